// Curves on canvas: a large chart that tells what is under the pointer, and sparklines.

import { count, el, loss, name, setText } from "./words.js";

const MOST_RUNNING = 12;
const MOST_BEST = 12;
const MOST_SELECTED = 24;
const HOVER_DISTANCE = 40; // pixels
const DASHES = [[], [6, 3], [2, 3]];
const SERIES = 7;
const FETCH_AT_ONCE = 32;

// Colours of the theme as it is now.
function ink(names) {
  const style = getComputedStyle(document.documentElement);
  return names.map((each) => style.getPropertyValue(each).trim());
}

// A canvas with as many pixels as its place on the screen has.
function sized(canvas) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

function range(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || value === undefined) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

export function sparkline(canvas, curve) {
  const { pen, width, height } = sized(canvas);
  if (!curve || curve.steps.length < 2 || !width) return;
  const [low, high] = range(curve.losses);
  if (low === Infinity) return;
  const first = curve.steps[0];
  const across = (width - 6) / (curve.steps.at(-1) - first || 1);
  const down = (height - 8) / (high - low || 1);
  [pen.strokeStyle] = ink(["--accent"]);
  pen.fillStyle = pen.strokeStyle;
  pen.lineWidth = 1.5;
  pen.lineJoin = "round";
  trace(pen, curve.steps, curve.losses, (step) => 2 + (step - first) * across, (value) => 4 + (high - value) * down);
  const last = curve.losses.at(-1);
  if (last === null) return;
  pen.beginPath();
  pen.arc(2 + (curve.steps.at(-1) - first) * across, 4 + (high - last) * down, 2.2, 0, 7);
  pen.fill();
}

function trace(pen, steps, losses, x, y) {
  pen.beginPath();
  let up = true;
  for (let place = 0; place < steps.length; place += 1) {
    const value = losses[place];
    if (value === null) {
      up = true;
      continue;
    }
    if (up) pen.moveTo(x(steps[place]), y(value));
    else pen.lineTo(x(steps[place]), y(value));
    up = false;
  }
  pen.stroke();
}

// An exponential mean that is not drawn to zero at the start.
export function smoothed(losses, keep) {
  if (!keep) return losses;
  let mean = 0;
  let weight = 0;
  return losses.map((value) => {
    if (value === null) return null;
    mean = keep * mean + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return mean / weight;
  });
}

// Round numbers that divide a range.
export function ticks(low, high, most, log) {
  if (!(high > low)) return [low];
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
      for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
    const inside = found.filter((each) => each >= low && each <= high);
    if (inside.length >= 2) return inside.length > most ? inside.filter((each) => /^1/.test(String(each))) : inside;
  }
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high + step * 1e-9; at += 1) found.push(Number((at * step).toPrecision(12)));
  return found;
}

// What a plot shows of curves: its scales, and where a pointer is on them.
export class Plot {
  constructor(canvas) {
    this.canvas = canvas;
    this.lines = [];
  }

  draw(series, { logX = false, logY = false, smoothing = 0, marked = null } = {}) {
    const { pen, width, height } = sized(this.canvas);
    this.lines = [];
    if (!width) return;
    const [text, line, ...colours] = ink(["--muted", "--line", ...Array.from({ length: SERIES }, (_, n) => `--series-${n + 1}`)]);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = text;
    const drawn = series.filter(({ curve }) => curve && curve.steps.length);
    if (!drawn.length) {
      pen.textAlign = "center";
      pen.fillText("No steps yet.", width / 2, height / 2);
      return;
    }
    const shown = drawn.map((each) => ({ ...each, losses: smoothed(each.curve.losses, smoothing) }));
    const box = { left: 46, right: width - 12, top: 10, bottom: height - 36 };
    const { x, y, xs, ys } = this.scales(shown, box, logX, logY);
    axes(pen, { x, y, xs, ys, box, text, line, width, height, logX, logY });
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top - 4, box.right - box.left + 4, box.bottom - box.top + 8);
    pen.clip();
    pen.lineJoin = "round";
    for (const each of shown) {
      pen.strokeStyle = colours[each.place % SERIES];
      pen.fillStyle = pen.strokeStyle;
      pen.setLineDash(DASHES[Math.floor(each.place / SERIES) % DASHES.length]);
      if (smoothing && shown.length <= 4) {
        pen.globalAlpha = 0.25;
        pen.lineWidth = 1;
        trace(pen, each.curve.steps, each.curve.losses, x, y);
      }
      pen.globalAlpha = marked && marked !== each.id ? 0.3 : 1;
      pen.lineWidth = marked === each.id ? 2.6 : 1.6;
      trace(pen, each.curve.steps, each.losses, x, y);
      pen.setLineDash([]);
      for (const [step, value] of each.curve.heldOut ?? []) {
        if (value === null) continue;
        pen.beginPath();
        pen.arc(x(step), y(value), 3, 0, 7);
        pen.fill();
      }
      this.lines.push({ id: each.id, label: each.label, steps: each.curve.steps, losses: each.losses, raw: each.curve.losses, x, y });
    }
    pen.restore();
  }

  scales(shown, box, logX, logY) {
    const steps = shown.map(({ curve }) => [curve.steps[0], curve.steps.at(-1)]).flat();
    const [, lastStep] = range(steps);
    const firstStep = logX ? Math.max(1, range(steps)[0]) : 0;
    // One that diverges must not flatten all others.
    const tops = shown.map(({ losses }) => Math.min(range(losses)[1], (losses.find((each) => each !== null) ?? 0) * 1.1));
    const low = range(shown.map(({ losses, curve }) => range([...losses, ...(curve.heldOut ?? []).map(([, value]) => value)])[0]))[0];
    const high = Math.max(...tops, low + 1e-6);
    const pad = (high - low) * 0.03;
    const fx = logX ? (each) => Math.log(Math.max(each, firstStep)) : (each) => each;
    const useLog = logY && low > 0;
    const fy = useLog ? (each) => Math.log(Math.max(each, low / 2)) : (each) => each;
    const [x0, x1] = [fx(firstStep), fx(Math.max(lastStep, firstStep + 1))];
    const [y0, y1] = [fy(useLog ? low : low - pad), fy(high + pad)];
    return {
      x: (each) => box.left + ((fx(each) - x0) / (x1 - x0)) * (box.right - box.left),
      y: (each) => box.bottom - ((fy(each) - y0) / (y1 - y0)) * (box.bottom - box.top),
      xs: [firstStep, lastStep],
      ys: [low, high],
    };
  }

  // The point of a line that is nearest to the pointer, if one is near.
  nearest(px, py) {
    let best = null;
    for (const each of this.lines) {
      const place = nearestPlace(each, px);
      const value = each.losses[place];
      if (value === null) continue;
      const distance = Math.hypot(each.x(each.steps[place]) - px, each.y(value) - py);
      if (distance < (best?.distance ?? HOVER_DISTANCE)) best = { ...each, place, distance, step: each.steps[place], loss: each.raw[place] };
    }
    return best;
  }
}

function nearestPlace(line, px) {
  let low = 0;
  let high = line.steps.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line.x(line.steps[middle]) < px) low = middle + 1;
    else high = middle;
  }
  return low > 0 && px - line.x(line.steps[low - 1]) < line.x(line.steps[low]) - px ? low - 1 : low;
}

function axes(pen, { x, y, xs, ys, box, text, line, width, height, logX, logY }) {
  pen.strokeStyle = line;
  pen.fillStyle = text;
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const each of ticks(ys[0], ys[1], 6, logY)) {
    pen.beginPath();
    pen.moveTo(box.left, y(each));
    pen.lineTo(box.right, y(each));
    pen.stroke();
    pen.fillText(String(Number(each.toPrecision(4))), box.left - 6, y(each));
  }
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const each of ticks(xs[0], xs[1], Math.max(3, Math.floor(width / 110)), logX))
    pen.fillText(count(each), Math.min(x(each), box.right - 8), box.bottom + 6);
  pen.textAlign = "right";
  pen.fillText("step", box.right, height - 14);
  pen.textAlign = "left";
  pen.fillText("loss, nats per token", box.left, height - 14);
}

// Says what is under the pointer, beside it.
export function hover(plot, place, shown, onPick) {
  const canvas = plot.canvas;
  const hide = () => {
    place.hidden = true;
    shown(null);
  };
  canvas.addEventListener("pointermove", (event) => {
    const frame = canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - frame.left, event.clientY - frame.top];
    const found = plot.nearest(px, py);
    shown(found?.id ?? null);
    place.hidden = !found;
    if (!found) return;
    place.replaceChildren(name(found.label), el("span", { textContent: `step ${count(found.step)}, loss ${loss(found.loss)}` }));
    place.style.left = `${Math.max(0, Math.min(px + 14, frame.width - place.offsetWidth - 4))}px`;
    place.style.top = `${Math.max(0, py - place.offsetHeight - 10)}px`;
  });
  canvas.addEventListener("pointerleave", hide);
  canvas.addEventListener("click", (event) => {
    const frame = canvas.getBoundingClientRect();
    const found = plot.nearest(event.clientX - frame.left, event.clientY - frame.top);
    if (found && onPick) onPick(found.id);
  });
}

export class CurvesView {
  constructor(model, open) {
    this.model = model;
    this.open = open;
    this.plot = new Plot(document.getElementById("chart"));
    this.logX = this.logY = false;
    this.marked = null;
    this.asked = new Set();
    this.places = new Map();
    this.due = false;
    for (const axis of ["x", "y"]) {
      const button = document.getElementById(`log-${axis}`);
      button.addEventListener("click", () => {
        const on = (this[`log${axis.toUpperCase()}`] = !this[`log${axis.toUpperCase()}`]);
        button.setAttribute("aria-pressed", String(on));
        this.refresh();
      });
    }
    this.smoothing = document.getElementById("smoothing");
    this.smoothing.addEventListener("input", () => this.refresh());
    document.getElementById("unselect").addEventListener("click", () => {
      model.selected.clear();
      document.dispatchEvent(new Event("unselected"));
      this.refresh();
    });
    hover(this.plot, document.getElementById("hover"), (id) => this.mark(id), open);
  }

  mark(id) {
    if (id === this.marked) return;
    this.marked = id;
    this.refresh();
  }

  shown() {
    const { model } = this;
    const found = new Map();
    const take = (rows, most) => {
      for (const row of rows.slice(0, most)) if (row) found.set(row.id, row);
    };
    take(model.running(), MOST_RUNNING);
    take(model.bestByMethod(), MOST_BEST);
    take([...model.selected].map((id) => model.rows.get(id)), MOST_SELECTED);
    return [...found.values()];
  }

  refresh() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.draw();
    });
  }

  draw() {
    const rows = this.shown();
    this.colour(rows);
    this.fetchMissing(rows);
    const series = rows.map((row) => ({ id: row.id, label: row.label, curve: this.model.curves.get(row.id), place: this.places.get(row.id) }));
    const smoothing = Number(this.smoothing.value) / 100;
    this.plot.draw(series, { logX: this.logX, logY: this.logY, smoothing, marked: this.marked });
    this.legend(rows);
    document.getElementById("unselect").hidden = !this.model.selected.size;
  }

  // A run keeps its colour while it is shown; one that comes gets the first that is free.
  colour(rows) {
    const here = new Set(rows.map((row) => row.id));
    for (const id of this.places.keys()) if (!here.has(id)) this.places.delete(id);
    const used = new Set(this.places.values());
    let free = 0;
    for (const row of rows) {
      if (this.places.has(row.id)) continue;
      while (used.has(free)) free += 1;
      used.add(free);
      this.places.set(row.id, free);
    }
  }

  async fetchMissing(rows) {
    const missing = rows
      .filter((row) => row.state !== "running" && row.state !== "pending" && !this.model.curves.has(row.id) && !this.asked.has(row.id))
      .map((row) => row.id)
      .slice(0, FETCH_AT_ONCE);
    if (!missing.length) return;
    for (const id of missing) this.asked.add(id);
    try {
      const answer = await fetch(`/curves?runs=${missing.map(encodeURIComponent).join(",")}`);
      if (!answer.ok) return;
      for (const [id, part] of Object.entries(await answer.json())) this.model.extend(id, part);
      this.refresh();
    } catch {
      // The connection is lost, which the page says; once it is back the curves are asked for again.
    } finally {
      for (const id of missing) this.asked.delete(id);
    }
  }

  legend(rows) {
    const list = document.getElementById("legend");
    const key = rows.map((row) => `${row.id} ${row.label} ${row.state} ${this.places.get(row.id)}`).join("|");
    if (key === list.dataset.key) return;
    list.dataset.key = key;
    list.replaceChildren(
      ...rows.map((row) => {
        const place = this.places.get(row.id);
        const swatch = el("i", { className: `swatch series-${(place % SERIES) + 1} dash-${Math.floor(place / SERIES) % DASHES.length}` });
        const on = { mouseenter: () => this.mark(row.id), mouseleave: () => this.mark(null), click: () => this.open(row.id) };
        return el("li", {}, el("button", { type: "button", className: "link", on }, swatch, name(row.label)), row.state === "running" ? " running" : "");
      }),
    );
  }
}
