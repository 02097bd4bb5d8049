// All runs as a table of which only what is in sight exists.

import { badge, count, el, loss, name, perplexity, setText } from "./words.js";

const BEYOND = 8; // lines above and below what is in sight
const ORDER = ["running", "failed", "damaged", "interrupted", "done", "diverged", "paused", "stopped", "pending"];

const COLUMNS = [
  { key: "label", title: "Run", of: (row) => row.label },
  { key: "state", title: "State", of: (row) => ORDER.indexOf(row.state) },
  { key: "step", title: "Step", number: true, of: (row) => (row.steps ? row.step / row.steps : 0) },
  { key: "loss", title: "Loss", number: true, of: (row) => row.loss },
  { key: "result", title: "Held-out", number: true, of: (row) => row.result },
  { key: "perplexity", title: "Perplexity", number: true, of: (row) => row.result },
  { key: "rate", title: "Tokens/s", number: true, of: (row) => row.rate },
];

export class Table {
  constructor(model, open, changed) {
    Object.assign(this, { model, open, changed });
    this.sorted = { key: "state", up: true };
    this.view = [];
    this.window = document.getElementById("window");
    this.lines = document.getElementById("lines");
    this.filter = document.getElementById("filter");
    this.byState = document.getElementById("by-state");
    this.byGroup = document.getElementById("by-group");
    this.head();
    this.window.addEventListener("scroll", () => this.draw(), { passive: true });
    this.filter.addEventListener("input", () => this.refresh(true));
    this.byState.addEventListener("change", () => this.refresh(true));
    this.byGroup.addEventListener("change", () => {
      model.group = this.byGroup.value;
      this.refresh(true);
      changed();
    });
    document.addEventListener("unselected", () => this.draw());
  }

  head() {
    const cells = COLUMNS.map((column) => {
      const button = el("button", { type: "button", className: "link", textContent: column.title, on: { click: () => this.sortBy(column) } });
      return el("span", { role: "columnheader", className: `cell ${column.key}${column.number ? " number" : ""}`, data: { key: column.key } }, button);
    });
    const chart = el("span", { className: "cell tick", role: "columnheader" }, el("span", { className: "visually-hidden", textContent: "In the chart" }));
    document.getElementById("head").replaceChildren(chart, ...cells);
    this.arrows();
  }

  sortBy(column) {
    const again = this.sorted.key === column.key;
    this.sorted = { key: column.key, up: again ? !this.sorted.up : column.key !== "rate" && column.key !== "step" };
    this.arrows();
    this.refresh(true);
  }

  arrows() {
    for (const cell of document.querySelectorAll("#head [data-key]")) {
      const here = cell.dataset.key === this.sorted.key;
      cell.setAttribute("aria-sort", here ? (this.sorted.up ? "ascending" : "descending") : "none");
    }
  }

  refresh(fromTheTop = false) {
    this.choices();
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = this.byState.value;
    const fits = (row) => {
      if (state && row.state !== state) return false;
      if (!this.model.inGroup(row)) return false;
      if (!words.length) return true;
      const text = `${row.label} ${row.id} ${row.state} ${row.groups.join(" ")}`.toLowerCase();
      return words.every((word) => text.includes(word));
    };
    this.view = [...this.model.rows.values()].filter(fits);
    this.sort();
    setText(document.getElementById("shown-count"), this.view.length === this.model.rows.size ? count(this.view.length) : `${count(this.view.length)} of ${count(this.model.rows.size)}`);
    if (fromTheTop) this.window.scrollTop = 0;
    this.draw();
  }

  sort() {
    const { of } = COLUMNS.find((column) => column.key === this.sorted.key);
    const sign = this.sorted.up ? 1 : -1;
    const keyed = this.view.map((row) => [of(row) ?? null, row]);
    keyed.sort(([one, left], [other, right]) => {
      if (one === null || other === null) return (one === null) - (other === null) || compare(left.label, right.label);
      return sign * compare(one, other) || compare(left.result ?? Infinity, right.result ?? Infinity) || compare(left.label, right.label) || compare(left.id, right.id);
    });
    this.view = keyed.map(([, row]) => row);
  }

  choices() {
    fillChoices(this.byState, ORDER.filter((state) => this.model.groups.some((group) => group.states[state])), "every state");
    this.model.group = fillChoices(this.byGroup, this.model.groups.map((group) => group.name || "\n"), "every study");
  }

  draw() {
    const height = parseFloat(getComputedStyle(this.lines).getPropertyValue("--row")); // in pixels
    const inSight = Math.ceil(this.window.clientHeight / height);
    const first = Math.max(0, Math.floor(this.window.scrollTop / height) - BEYOND);
    const rows = this.view.slice(first, first + inSight + 2 * BEYOND);
    this.lines.style.height = `${this.view.length * height}px`;
    const old = new Map([...this.lines.children].map((line) => [line.dataset.run, line]));
    rows.forEach((row, place) => {
      let line = old.get(row.id);
      old.delete(row.id);
      if (!line) {
        line = this.line(row);
        this.lines.append(line);
      }
      this.fill(line, row);
      line.style.transform = `translateY(${(first + place) * height}px)`;
      line.setAttribute("aria-rowindex", String(first + place + 1));
    });
    for (const line of old.values()) line.remove();
  }

  line(row) {
    const ticked = el("input", { type: "checkbox", ariaLabel: "Show its curve", on: { change: (event) => this.select(row.id, event.target.checked) } });
    const label = el("button", { type: "button", className: "link", on: { click: () => this.open(row.id) } }, el("bdi"));
    const cells = COLUMNS.slice(1).map((column) => el("span", { role: "cell", className: `cell ${column.key}${column.number ? " number" : ""}` }));
    const line = el("div", { className: "line", role: "row", data: { run: row.id } });
    line.append(el("span", { className: "cell tick", role: "cell" }, ticked), el("span", { className: "cell label", role: "cell" }, label), ...cells);
    return line;
  }

  fill(line, row) {
    const [tick, label, state, step, last, result, ppl, rate] = line.children;
    tick.firstChild.checked = this.model.selected.has(row.id);
    setText(label.firstChild.firstChild, row.label);
    label.title = row.label;
    if (state.dataset.state !== row.state) {
      state.dataset.state = row.state;
      state.replaceChildren(badge(row.state));
    }
    setText(step, row.steps ? `${count(row.step)}/${count(row.steps)}` : "–");
    setText(last, loss(row.loss));
    setText(result, loss(row.result));
    setText(ppl, perplexity(row.result));
    setText(rate, row.rate ? count(Math.round(row.rate)) : "–");
  }

  select(id, on) {
    if (on) this.model.selected.add(id);
    else this.model.selected.delete(id);
    this.changed();
  }
}

function compare(one, other) {
  return one < other ? -1 : one > other ? 1 : 0;
}

function fillChoices(select, values, all) {
  const key = values.join("\u0000");
  if (select.dataset.key === key) return select.value;
  const chosen = select.value;
  select.dataset.key = key;
  const options = values.map((value) => el("option", { value, textContent: value === "\n" ? "no study" : value }));
  select.replaceChildren(el("option", { value: "", textContent: all }), ...options);
  select.value = values.includes(chosen) ? chosen : "";
  return select.value;
}
