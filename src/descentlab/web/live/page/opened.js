// One run, opened: where it stands, its curve, its attempts, its log and its settings.

import { hover, Plot } from "./chart.js";
import { badge, count, el, loss, name, perplexity, setText } from "./words.js";

export class Opened {
  constructor(model) {
    this.model = model;
    this.id = null;
    this.dialog = document.getElementById("opened");
    this.body = document.getElementById("opened-body");
    document.getElementById("close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => {
      this.id = null;
      history.replaceState(null, "", location.pathname);
    });
    addEventListener("hashchange", () => this.fromAddress());
  }

  fromAddress() {
    const id = location.hash.slice(1);
    if (id && id !== this.id && this.model.rows.has(id)) this.open(id);
  }

  async open(id) {
    const row = this.model.rows.get(id);
    if (!row) return;
    this.id = id;
    this.seen = row;
    history.replaceState(null, "", `#${id}`);
    setText(document.getElementById("opened-title"), row.label);
    this.body.replaceChildren(el("p", { className: "muted", textContent: "Reading …" }));
    if (!this.dialog.open) this.dialog.showModal();
    await this.read(id);
  }

  async read(id) {
    try {
      const answer = await fetch(`/runs/${encodeURIComponent(id)}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const found = await answer.json();
      if (this.id === id) this.show(found);
    } catch {
      if (this.id === id) this.body.replaceChildren(el("p", { textContent: "It could not be read; close it and try again." }));
    }
  }

  // What is told of the run while it is open.
  refresh() {
    const row = this.id && this.model.rows.get(this.id);
    if (!row || !this.facts) return;
    if (row.state !== this.seen.state || row.attempt !== this.seen.attempt) {
      this.seen = row;
      this.read(this.id);
      return;
    }
    this.facts.replaceChildren(...facts(row));
    this.draw();
  }

  show(found) {
    const canvas = el("canvas", { className: "opened-chart" });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "Training loss of this run by step");
    const tip = el("p", { className: "hover", hidden: true });
    const row = this.model.rows.get(found.id);
    this.found = found;
    this.facts = el("div", { className: "facts" }, ...facts(row));
    this.plot = new Plot(canvas);
    hover(this.plot, tip, () => {}, null);
    this.body.replaceChildren(
      this.facts,
      ...(found.remarks ?? []).map((remark) => el("p", { className: "remark" }, name(remark))),
      el("div", { className: "chart" }, canvas, tip),
      ...(found.attempts ?? []).map((attempt) => shownAttempt(attempt)),
      settings(found),
    );
    this.draw();
  }

  draw() {
    const row = this.model.rows.get(this.found.id);
    const { start, held_out: heldOut, ...whole } = this.found.curve;
    const live = row?.state === "running" ? this.model.curves.get(row.id) : null;
    const curve = live ?? { ...whole, heldOut };
    this.plot.draw([{ id: this.found.id, label: row?.label ?? this.found.id, curve, place: 0 }], { smoothing: 0 });
  }
}

function facts(row) {
  const pairs = [
    ["Run", row.id],
    ["Step", row.steps ? `${count(row.step)} of ${count(row.steps)}` : "–"],
    ["Training loss", loss(row.loss)],
    ["Held-out loss", loss(row.result)],
    ["Perplexity", perplexity(row.result)],
    ["Tokens/s", row.rate ? count(Math.round(row.rate)) : "–"],
    ["Host", row.host || "–"],
    ["Study", (row.groups ?? []).join(", ") || "–"],
  ].filter(([, value]) => value !== "–");
  const list = el("dl", { className: "pairs" });
  for (const [term, value] of pairs) list.append(el("div", {}, el("dt", { textContent: term }), el("dd", {}, name(value))));
  return [el("p", {}, badge(row.state), " ", row.reason ? name(row.reason) : ""), list];
}

function shownAttempt(attempt) {
  const said = [attempt.began ? `began ${attempt.began} UTC` : "", attempt.host ?? "", attempt.ended].filter(Boolean).join(" · ");
  const block = el("section", { className: "attempt" }, el("h3", { textContent: `Attempt ${attempt.generation}` }), el("p", { className: "small" }, name(said)));
  for (const notice of attempt.notices ?? []) block.append(el("p", { className: "small muted" }, name(notice)));
  if (attempt.log) block.append(el("pre", { className: "log", textContent: attempt.log, tabIndex: 0 }));
  return block;
}

function settings(found) {
  const rows = found.settings.map(([key, value]) => el("tr", {}, el("td", {}, el("code", { textContent: key })), el("td", {}, name(value))));
  return el("section", {}, el("h3", { textContent: "Settings" }), el("div", { className: "table-frame" }, el("table", {}, el("tbody", {}, ...rows))));
}
