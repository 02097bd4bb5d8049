// How far each study is, and a card for each run that is being trained.

import { sparkline } from "./chart.js";
import { count, duration, el, loss, name, perplexity, setText, share } from "./words.js";

const STATES = ["done", "diverged", "failed", "damaged", "running", "paused", "interrupted", "stopped", "pending"];
const MOST_GROUPS = 8;
const MOST_CARDS = 24;
const WORDS = { paused: "paused by racing", stopped: "stopped by racing" };

const keyed = new Map(); // cards of running runs, by id

export function drawGroups(model, open) {
  const own = model.groups.filter((group) => !group.imported);
  document.getElementById("groups").replaceChildren(
    ...own.slice(0, MOST_GROUPS).map((group) => groupCard(model, group, open)),
  );
  const others = own.slice(MOST_GROUPS);
  const imported = model.groups.filter((group) => group.imported);
  const line = document.getElementById("imported");
  const parts = [];
  if (others.length) parts.push(`${others.length} more studies, in the table`);
  if (imported.length) {
    const runs = imported.reduce((sum, group) => sum + group.runs, 0);
    parts.push(`${count(runs)} imported runs of ${imported.length} sweeps`);
  }
  if (!model.rows.size) parts.push("This store has no runs yet; they appear here as they are registered");
  line.hidden = parts.length === 0;
  setText(line, `${parts.join("; ")}.`);
}

function groupCard(model, group, open) {
  const bar = el("div", { className: "bar", role: "img" });
  bar.setAttribute("aria-label", `${share(group.trained)} of all steps are trained`);
  const whole = group.runs || 1;
  for (const state of STATES) {
    if (!group.states[state] || state === "pending") continue;
    const part = el("span", { className: `part ${state}`, title: `${group.states[state]} ${WORDS[state] ?? state}` });
    part.style.width = `${(100 * group.states[state]) / whole}%`;
    bar.append(part);
  }
  const states = STATES.filter((state) => group.states[state]).map((state) =>
    el("li", {}, el("i", { className: `dot ${state}` }), `${count(group.states[state])} ${WORDS[state] ?? state}`),
  );
  const left = timeLeft(group);
  const best = model.rows.get(group.best);
  return el(
    "article",
    { className: "card group" },
    el("h3", {}, group.name ? name(group.name) : "Runs of no study"),
    el(
      "p",
      { className: "figures" },
      el("strong", { textContent: share(group.trained) }),
      ` of all training, ${count(group.runs)} ${group.runs === 1 ? "run" : "runs"}`,
      left ? el("span", { className: "left", textContent: left }) : null,
    ),
    bar,
    el("ul", { className: "states small" }, ...states),
    best
      ? el("p", { className: "small" }, "Best so far: ", runLink(best, open), ` ${loss(best.result)} nats, perplexity ${perplexity(best.result)}`)
      : null,
  );
}

function timeLeft(group) {
  const waits = (group.states.pending ?? 0) + (group.states.interrupted ?? 0) + (group.states.paused ?? 0);
  if (group.left !== undefined && group.left !== null)
    return group.raced ? `at most ${duration(group.left)} left` : `about ${duration(group.left)} left`;
  if (group.states.running) return "time left: not known yet";
  return waits && !group.raced ? "nothing is running" : "";
}

export function runLink(row, open) {
  return el("button", { type: "button", className: "link", on: { click: () => open(row.id) } }, name(row.label));
}

export function drawRunning(model, open) {
  const running = model.running();
  const shown = running.slice(0, MOST_CARDS);
  const more = running.length > MOST_CARDS ? `, ${MOST_CARDS} shown` : "";
  setText(document.getElementById("running-count"), running.length ? `${running.length}${more}` : "");
  document.getElementById("running-none").hidden = running.length > 0;
  const here = new Set(shown.map((row) => row.id));
  for (const [id, card] of keyed) {
    if (here.has(id)) continue;
    card.whole.remove();
    keyed.delete(id);
  }
  const place = document.getElementById("running");
  for (const row of shown) {
    if (!keyed.has(row.id)) {
      const card = runningCard(row, open);
      keyed.set(row.id, card);
      place.append(card.whole);
    }
    fill(keyed.get(row.id), row, model);
  }
}

function runningCard(row, open) {
  const card = {
    title: el("bdi"),
    line: el("canvas", { className: "spark" }),
    loss: el("strong"),
    step: el("span"),
    bar: el("span", { className: "part running" }),
    pace: el("p", { className: "small muted pace" }),
    life: el("p", { className: "small muted life" }),
  };
  card.line.setAttribute("aria-hidden", "true");
  card.whole = el(
    "article",
    { className: "card run", data: { run: row.id } },
    el("h3", {}, el("button", { type: "button", className: "link", on: { click: () => open(row.id) } }, card.title)),
    el("p", { className: "figures" }, card.loss, card.step),
    card.line,
    el("div", { className: "bar" }, card.bar),
    card.pace,
    card.life,
  );
  return card;
}

function fill(card, row, model) {
  setText(card.title, row.label);
  setText(card.loss, row.loss === undefined ? "no step yet" : loss(row.loss));
  setText(card.step, ` step ${count(row.step)} of ${count(row.steps)}`);
  card.bar.style.width = `${row.steps ? (100 * row.step) / row.steps : 0}%`;
  const pace = [];
  if (row.rate) pace.push(`${count(Math.round(row.rate))} tokens/s`);
  if (row.left !== undefined && row.left !== null) pace.push(`${duration(row.left)} left`);
  if (row.attempt > 1) pace.push(`attempt ${row.attempt}`);
  if (row.reason) pace.push(row.reason);
  setText(card.pace, pace.join(" · "));
  life(card, row, model);
  sparkline(card.line, model.curves.get(row.id));
}

function life(card, row, model) {
  const seen = row.beat ? `heartbeat ${duration(Math.max(0, model.now() - row.beat))} ago` : "no heartbeat yet";
  setText(card.life, [row.host, seen].filter(Boolean).join(" · "));
}

// Ages grow though nothing is told.
export function tick(model) {
  for (const [id, card] of keyed) {
    const row = model.rows.get(id);
    if (row) life(card, row, model);
  }
}
