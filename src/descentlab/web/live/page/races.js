// What races decided, and what failed: both as lists that people read.

import { runLink } from "./progress.js";
import { badge, clock, count, el, loss, name, setText, share } from "./words.js";

const PAGE = 12;
const MOST_STOPPED = 60;

let shownDecisions = PAGE;
let shownFailures = PAGE;
let drawnRaces = "";
let drawnFailures = "";
let redraw = () => {};

for (const [id, more] of [
  ["more-decisions", () => (shownDecisions += 4 * PAGE)],
  ["more-failures", () => (shownFailures += 16 * PAGE)],
]) {
  document.getElementById(id).addEventListener("click", () => {
    more();
    drawnRaces = drawnFailures = "";
    redraw();
  });
}

export function drawRaces(model, open) {
  redraw = () => {
    drawRaces(model, open);
    drawFailures(model, open);
  };
  const entries = Object.entries(model.races).flatMap(([group, timeline]) => timeline.map((entry, place) => ({ ...entry, group, place })));
  entries.sort((one, other) => (other.at ?? 0) - (one.at ?? 0) || other.place - one.place);
  document.getElementById("racing").hidden = entries.length === 0;
  const key = `${shownDecisions} ${entries.length} ${entries[0]?.at} ${entries[0]?.stopped.length} ${entries[0]?.kept}`;
  if (key === drawnRaces) return;
  drawnRaces = key;
  const several = Object.keys(model.races).length > 1;
  const stopped = [...model.rows.values()].filter((row) => row.state === "stopped").length;
  setText(
    document.getElementById("racing-summary"),
    `${count(stopped)} runs stand still because they could not win; ${count(entries.length)} decisions so far, the newest first. Each tells what was compared, in nats.`,
  );
  document.getElementById("decisions").replaceChildren(...entries.slice(0, shownDecisions).map((entry) => decision(model, entry, several, open)));
  document.getElementById("more-decisions").hidden = entries.length <= shownDecisions;
}

function decision(model, entry, several, open) {
  const total = entry.kept + entry.stopped.length;
  const others = entry.rule === "other seeds"; // these are whole: nothing is stopped
  let what = total === 1 ? "the only one goes on" : `all ${total} go on`;
  if (entry.stopped.length) what = `${entry.stopped.length} of ${total} ${entry.dropped ? "dropped" : "stopped"}`;
  if (others) what = `the best ${entry.kept} of ${total} run with the other seeds`;
  const summary = [
    entry.at ? el("time", { className: "muted", textContent: clock(entry.at) }) : null,
    entry.race || several ? el("b", {}, name([several ? entry.group : "", entry.race].filter(Boolean).join(" · "))) : null,
    el("span", { textContent: others ? what : `at ${share(entry.fraction)} of training, ${entry.rule}: ${what}` }),
  ];
  if (!entry.stopped.length || others) return el("li", {}, el("p", {}, ...summary));
  const details = el("details", {}, el("summary", {}, ...summary));
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector("ul")) details.append(stoppedRuns(model, entry, open));
  });
  return el("li", {}, details);
}

function stoppedRuns(model, entry, open) {
  const items = entry.stopped.slice(0, MOST_STOPPED).map(([id, score, threshold]) => {
    const row = model.rows.get(id);
    const link = row ? runLink(row, open) : name(id);
    const bound = threshold === null || score === null ? "" : `, ${loss(threshold)} goes on`;
    return el("li", {}, link, ` ${score === null ? "diverged" : loss(score)}${bound}`);
  });
  const more = entry.stopped.length - MOST_STOPPED;
  if (more > 0) items.push(el("li", { className: "muted", textContent: `and ${count(more)} more` }));
  return el("ul", { className: "small stopped-runs" }, ...items);
}

export function drawFailures(model, open) {
  const failed = [...model.rows.values()].filter((row) => row.state === "failed" || row.state === "damaged");
  document.getElementById("failing").hidden = failed.length === 0;
  setText(document.getElementById("failure-count"), failed.length ? count(failed.length) : "");
  const key = `${shownFailures} ${failed.map((row) => row.id + row.attempt + row.reason + row.label).join("|")}`;
  if (key === drawnFailures) return;
  drawnFailures = key;
  document.getElementById("failures").replaceChildren(...failed.slice(0, shownFailures).map((row) => failure(row, open)));
  document.getElementById("more-failures").hidden = failed.length <= shownFailures;
}

function failure(row, open) {
  const item = el(
    "li",
    { className: "card" },
    el("p", {}, badge(row.state), " ", runLink(row, open), row.attempt > 1 ? ` attempt ${row.attempt}` : ""),
    el("p", { className: "reason" }, name(row.reason)),
  );
  if (row.state === "failed") {
    const log = el("details", {}, el("summary", { textContent: "End of its log" }));
    log.addEventListener("toggle", () => log.open && !log.querySelector("pre") && showLog(log, row.id));
    item.append(log);
  }
  return item;
}

async function showLog(place, id) {
  try {
    const answer = await fetch(`/runs/${encodeURIComponent(id)}`);
    const opened = await answer.json();
    const log = opened.attempts.find((attempt) => attempt.log)?.log;
    place.append(el("pre", { textContent: log || "It left no log." }));
  } catch {
    place.open = false; // the connection is lost, which the page says
  }
}
