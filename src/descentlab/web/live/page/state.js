// What the page knows of the store: what the server told, put together.

export class Model {
  constructor() {
    this.rows = new Map();
    this.groups = [];
    this.curves = new Map();
    this.races = {};
    this.problems = [];
    this.clockAhead = 0;
    this.selected = new Set();
    this.group = ""; // the study that the table shows; empty for all
  }

  // Whether a run is of the study that is shown; a line break stands for runs of none.
  inGroup(row) {
    return !this.group || (this.group === "\n" ? !row.groups.length : row.groups.includes(this.group));
  }

  // Seconds since 1970 by the server's clock.
  now() {
    return Date.now() / 1000 + this.clockAhead;
  }

  hear({ now, told }, whole) {
    this.clockAhead = now - Date.now() / 1000;
    if (whole) {
      this.rows.clear();
      this.curves.clear();
      this.races = {};
    }
    if (!told) return;
    for (const row of told.rows ?? []) this.rows.set(row.id, { step: 0, steps: 0, groups: [], method: "", ...row });
    for (const id of told.gone ?? []) {
      this.rows.delete(id);
      this.curves.delete(id);
    }
    if (told.groups) this.groups = told.groups;
    else if (whole) this.groups = [];
    if (told.problems) this.problems = told.problems;
    Object.assign(this.races, told.races ?? {});
    for (const [id, part] of Object.entries(told.curves ?? {})) this.extend(id, part);
  }

  extend(id, part) {
    const curve = part.start ? this.curves.get(id) : { steps: [], losses: [] };
    if (!curve || curve.steps.length < part.start) return; // the whole of it will be asked for
    curve.steps.length = curve.losses.length = part.start;
    for (const step of part.steps) curve.steps.push(step);
    for (const loss of part.losses) curve.losses.push(loss);
    curve.heldOut = part.held_out;
    this.curves.set(id, curve);
  }

  running() {
    return [...this.rows.values()].filter((row) => row.state === "running");
  }

  // The run with the lowest held-out loss of each method in the study that is shown, the best first.
  bestByMethod() {
    const best = new Map();
    for (const row of this.rows.values()) {
      if (row.result === undefined || row.result === null || !this.inGroup(row)) continue;
      const before = best.get(row.method);
      if (!before || row.result < before.result) best.set(row.method, row);
    }
    return [...best.values()].sort((one, other) => one.result - other.result);
  }
}
