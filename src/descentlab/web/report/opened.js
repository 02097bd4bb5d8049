// One run opened: how it ended, its curve, its settings, where it was computed.

const FACTS = [
  ["state", "state"],
  ["reason", "reason"],
  ["perplexity", "held-out perplexity"],
  ["loss", "held-out loss, nats"],
  ["train_perplexity", "training perplexity, as reported"],
  ["method", "method"],
  ["lr", "learning rate"],
  ["beta1", "β1"],
  ["beta2", "β2"],
  ["weight_decay", "weight decay"],
  ["clip_norm", "clip of the norm"],
  ["coordinate_clip", "clip of coordinates"],
  ["eps", "ε"],
  ["seed", "seed"],
  ["model", "model"],
  ["dataset", "data"],
  ["sequence_length", "sequence length"],
  ["batch_size", "batch size, sequences"],
  ["steps", "steps"],
  ["tokens", "tokens"],
  ["precision", "precision"],
  ["diverged_at", "diverged at step"],
  ["inexact_since", "not to the same bits after step"],
  ["duplicate_of", "the same cell as"],
  ["sweep", "sweep"],
  ["studies", "studies"],
  ["source", "source"],
  ["reported", "reported instead of what was true"],
  ["notes", "notes"],
];

function place(run) {
  return data("runs").columns.run.indexOf(run);
}

function settingsOf(k) {
  const found = {};
  for (const [key, [values, at]] of Object.entries(data("runs").settings)) {
    if (at[k] >= 0) found[key] = values[at[k]];
  }
  return found;
}

const COUNTS = new Set(["tokens", "steps", "diverged_at", "inexact_since"]);

function factText(name, value) {
  if (COUNTS.has(name)) return value.toLocaleString("en");
  if (name === "reported") {
    return Object.entries(value).map(([key, each]) => `${key}: ${exact(each)}`).join("; ");
  }
  if (value === Infinity) return name === "perplexity" || name === "loss" ? "diverged" : "none";
  if (Array.isArray(value)) return value.map(exact).join("; ");
  if (name === "perplexity") return short(value);
  return exact(value);
}

/** Show a run in the dialog; the address then names it, so that it can be linked to. */
function openRun(run) {
  const k = place(run);
  if (k < 0) return;
  const dialog = document.getElementById("opened");
  const columns = data("runs").columns;
  const close = button("Close", { "aria-label": "Close the run" }, () => dialog.close());
  const state = columns.state[k];
  const head = make(
    "div",
    { class: "opened-head" },
    make("h2", { id: "opened-title" }, run),
    make("span", { class: `badge ${state}` }, state),
    close,
  );
  const body = make("div", { class: "opened-body" });
  dialog.replaceChildren(head, body);
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", `#run=${encodeURIComponent(run)}`);
  body.append(...parts(run, k));
}

function parts(run, k) {
  const facts = FACTS.map(([name, said]) => [said, name, entry(name, k)])
    .filter(([, , value]) => value !== null && value !== undefined && value !== "" && !empty(value))
    .map(([said, name, value]) => [said, factText(name, value)]);
  const settings = settingsOf(k);
  const rows = Object.entries(settings).map(([key, value]) => [key, exact(value)]);
  const environment = data("runs").environments[data("runs").columns.environment[k]];
  const copy = button("Copy the settings as JSON", {}, async () => {
    await navigator.clipboard.writeText(JSON.stringify(settings, null, 2));
    copy.textContent = "Copied";
  });
  return [
    make("h3", {}, "Result"),
    table(["", ""], facts, "result"),
    make("h3", {}, "Training curve"),
    curvePlace(run, k),
    make("h3", {}, "Settings"),
    rows.length ? table(["setting", "value"], rows, "settings") : make("p", {}, "None is on record."),
    rows.length ? copy : null,
    make("h3", {}, "Environment"),
    environment
      ? table(["", ""], Object.entries(environment).map(([key, value]) => [key, exact(value)]), "environment")
      : make("p", { class: "muted" }, "Not on record."),
  ].filter(Boolean);
}

function empty(value) {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function curvePlace(run, k) {
  const canvas = make("div", { class: "chart" });
  if (!data("curves").training[run]) return make("p", { class: "muted" }, "It has no training curve with a finite loss.");
  const raw = { ...curveSeries(run, "as recorded", 5, 0, true) };
  const smooth = curveSeries(run, "smoothed over 3%", 0, 0.03, false);
  const held = decoded(run, "validation");
  const series = [raw, smooth];
  if (held) {
    series.push({
      ...smooth,
      name: "held-out",
      color: 1,
      x: held.places.map((each) => 100 * each),
      y: held.losses.map((each) => Math.exp(each)),
      runs: [],
      points: true,
    });
  }
  const finite = smooth.y.filter((each) => Number.isFinite(each));
  const chart = {
    alt: `Training perplexity of run ${run} over its training`,
    x: { title: "share of the training, %", kind: "linear", names: [], low: 0, top: 100 },
    y: { title: "training perplexity", kind: "log", names: [], low: null, top: Math.max(...finite) * 1.05 },
    series: series.map((each) => ({ ...each, runs: [] })),
  };
  const known = raw.y.filter((each) => Number.isFinite(each));
  chart.y.low = Math.min(...known) * 0.98;
  lineChart(canvas, chart, null);
  return canvas;
}
