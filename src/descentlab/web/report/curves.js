// Training curves: 16 bits a loss, decoded when drawn; which runs are drawn is the reader's choice.

const AT_MOST = 60;
const SMOOTHINGS = [["0", "none"], ["0.01", "1%"], ["0.03", "3%"], ["0.1", "10%"]];

/** The curve of a run: places in shares of the training, losses in nats (NaN if not finite). */
function decoded(run, kind = "training") {
  const curve = data("curves")[kind][run];
  if (!curve) return null;
  const bytes = Uint8Array.from(atob(curve.codes), (each) => each.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const places = data("curves").grids[curve.grid];
  const losses = places.map((_, k) => {
    const code = view.getUint16(2 * k, true);
    return code === 65535 ? NaN : curve.low + ((curve.high - curve.low) * code) / 65534;
  });
  return { places, losses };
}

/** An exponential mean over points whose half-life is a share of the curve, as in pandas' ewm. */
function smoothed(losses, share) {
  if (!share) return losses;
  const keep = 0.5 ** (1 / Math.max(1, share * losses.length));
  let [sum, weight] = [0, 0];
  return losses.map((loss) => {
    if (Number.isNaN(loss)) return NaN;
    sum = sum * keep + loss;
    weight = weight * keep + 1;
    return sum / weight;
  });
}

function curveSeries(run, name, color, share, thin) {
  const curve = decoded(run);
  const losses = smoothed(curve.losses, share);
  return {
    name,
    color,
    x: curve.places.map((each) => 100 * each),
    y: losses.map((each) => Math.exp(Math.min(each, 700))),
    low: [],
    high: [],
    labels: [],
    runs: curve.places.map(() => run),
    line: true,
    points: false,
    thin,
  };
}

/** A chart of training curves with what to draw and how smooth. */
function curveChart(place, chart, open) {
  const state = { which: "best", share: 0.03 };
  const canvas = make("div");
  const note = make("p", { class: "small muted" });
  const options = () => [
    ["best", "best setting of each method"],
    ...Object.keys(chart.groups).map((name) => [`all ${name}`, `runs of ${name}`]),
    ["ticked", `runs ticked in the list (${ticked.size})`],
  ];
  const draw = () => {
    const { series, said } = chosen(chart, state);
    note.textContent = said;
    lineChart(canvas, planeOf(chart, series), open);
  };
  const which = choice("Draw", options(), (value) => {
    state.which = value;
    draw();
  });
  const smooth = choice("Smooth over", SMOOTHINGS, (value) => {
    state.share = Number(value);
    draw();
  });
  smooth.select.value = String(state.share);
  document.addEventListener("ticked", () => {
    which.select.lastChild.textContent = options().at(-1)[1];
    if (state.which === "ticked") draw();
  });
  const controls = make("div", { class: "chart-controls" }, which.label, smooth.label);
  place.replaceChildren(controls, canvas, note);
  draw();
}

function planeOf(chart, series) {
  const lows = series.map((each) => Math.min(...each.y.filter((y) => !Number.isNaN(y))));
  const low = Math.min(...lows, chart.top / 1.5);
  return {
    alt: chart.alt,
    x: { title: "share of the training, %", kind: "linear", names: [], low: 0, top: 100 },
    y: { title: "training perplexity", kind: "log", names: [], low: low * 0.98, top: chart.top },
    series,
  };
}

/** The series that were asked for, and a sentence on what was left out. */
function chosen(chart, { which, share }) {
  const names = Object.keys(chart.groups);
  const known = (runs) => runs.filter((run) => data("curves").training[run]);
  let asked;
  let said = "";
  if (which === "best") {
    asked = names.flatMap((name, color) => chart.groups[name].map((run) => [run, name, color]));
  } else if (which === "ticked") {
    asked = known([...ticked]).map((run, color) => [run, run, color]);
    said = asked.length ? "" : "No run with a curve is ticked in the list below.";
  } else {
    const name = which.slice(4);
    asked = chart.members[name].map((run) => [run, name, names.indexOf(name)]);
    if (chart.counts[name] > asked.length) {
      said = `The ${asked.length} best of ${chart.counts[name].toLocaleString("en")} runs are drawn.`;
    }
  }
  if (asked.length > AT_MOST) said = `The first ${AT_MOST} of ${asked.length} are drawn.`;
  const drawn = asked.slice(0, AT_MOST);
  const thin = drawn.length > 9;
  return { series: drawn.map(([run, name, color]) => curveSeries(run, name, color, share, thin)), said };
}
