// Lines and points over two axes, with a tip at the nearest point and keys to walk along them.

let charts = 0;

/** Draw a chart of lines into a place; `open` is called with the run behind a point. */
function lineChart(place, chart, open) {
  const hidden = new Set();
  const clip = `clip-${(charts += 1)}`;
  const entries = [...new Map(chart.series.map((each) => [each.name, each.color]))];
  const canvas = make("div", { class: "plane" });
  let width = 0;
  const redraw = () => drawLines(canvas, chart, hidden, width, clip, open);
  place.replaceChildren(
    ...(entries.length > 1 && chart.x.kind !== "names" ? [legend(entries, hidden, redraw)] : []),
    canvas,
    values(["", chart.x.title || "", chart.y.title, "interval", ""], () => valueRows(chart)),
  );
  follow(canvas, (now) => {
    width = now;
    redraw();
  });
}

function valueRows(chart) {
  const at = (x) => (chart.x.kind === "names" ? chart.x.names[Math.floor(x)] : short(x));
  return chart.series.flatMap((series) =>
    series.line && chart.series.some((each) => each.faint && each.name === series.name)
      ? []
      : series.x.map((x, k) => [
          series.name,
          at(x),
          series.y[k] === null ? "diverged" : short(series.y[k]),
          interval(series, k) || "",
          series.labels[k] || "",
        ]),
  );
}

function interval(series, k) {
  const [low, high] = [series.low[k], series.high[k]];
  if (low === undefined || low === null || high === null) return "";
  return `${short(low)} – ${short(high)}`;
}

function drawLines(canvas, chart, hidden, width, clip, open) {
  const shown = chart.series.filter((each) => !hidden.has(each.name));
  const bounds = shown.flatMap((each) => [...each.low, ...each.high]);
  const xs = chart.series.flatMap((each) => each.x);
  const ys = [...chart.series.flatMap((each) => each.y), ...bounds].filter((each) => each !== null);
  const plane = frame(chart, width, xs, ys, clip);
  const clipped = svg("g", { "clip-path": `url(#${clip})` });
  const over = svg("g");
  const spots = [];
  for (const series of shown) {
    const look = seriesClass(series.color) + (series.dashed ? " dashed" : "");
    if (series.line) {
      const band = bandPath(series, plane);
      if (band) clipped.append(svg("path", { class: `band ${look}`, d: band }));
      const thin = series.thin ? " thin" : "";
      clipped.append(svg("path", { class: `curve ${look}${thin}`, d: linePath(series, plane) }));
    } else if (series.low.length) {
      over.append(...bars(series, plane, look));
    }
    spots.push(...points(series, plane, look, over));
  }
  plane.root.append(clipped, over);
  canvas.replaceChildren(plane.root);
  hover(canvas, plane, chart, spots, open);
}

/** The height of a value; what diverged or lies above the axis is beyond its edge. */
function height(value, plane) {
  return value === null || value > plane.y.top ? plane.box.top - 40 : plane.y.at(value);
}

function linePath(series, plane) {
  let pen = "M";
  const parts = [];
  for (let k = 0; k < series.x.length; k += 1) {
    if (series.y[k] === undefined || Number.isNaN(series.y[k])) {
      pen = "M";
      continue;
    }
    parts.push(`${pen}${plane.x.at(series.x[k]).toFixed(1)} ${height(series.y[k], plane).toFixed(1)}`);
    pen = "L";
  }
  return parts.join("");
}

function bandPath(series, plane) {
  const known = series.x.map((_, k) => k).filter((k) => {
    const [low, high] = [series.low[k], series.high[k]];
    return low !== undefined && low !== null && high !== null;
  });
  if (known.length < 2) return "";
  const at = (k, value) => `${plane.x.at(series.x[k]).toFixed(1)} ${height(value, plane).toFixed(1)}`;
  const there = known.map((k) => at(k, series.low[k]));
  const back = known.reverse().map((k) => at(k, series.high[k]));
  return `M${[...there, ...back].join("L")}Z`;
}

function bars(series, plane, look) {
  return series.x.flatMap((x, k) => {
    if (series.low[k] === null || series.high[k] === null) return [];
    const at = plane.x.at(x);
    const [low, high] = [plane.y.at(series.low[k]), height(series.high[k], plane)];
    return [svg("line", { class: `bar ${look}`, x1: at, x2: at, y1: low, y2: Math.max(high, plane.box.top) })];
  });
}

/** Draw the points of a series; those above the axis are triangles at its edge. */
function points(series, plane, look, over) {
  const size = series.faint ? 3 : series.line ? 3.6 : 5.5;
  const found = [];
  for (let k = 0; k < series.x.length; k += 1) {
    if (series.y[k] === undefined || Number.isNaN(series.y[k])) continue;
    const off = series.y[k] === null || series.y[k] > plane.y.top;
    const [x, y] = [plane.x.at(series.x[k]), off ? plane.box.top + 5 : plane.y.at(series.y[k])];
    found.push({ x, y, series, k });
    if (!series.points) continue;
    const kind = `point ${look}${series.faint ? " faint" : ""}`;
    if (off) {
      over.append(svg("path", { class: kind, d: `M${x} ${y - 5}l4.5 8h-9z` }));
    } else {
      over.append(svg("circle", { class: kind, cx: x, cy: y, r: size }));
    }
  }
  return found;
}

function hover(canvas, plane, chart, spots, open) {
  const ring = svg("circle", { class: "focus-ring", r: 7, visibility: "hidden" });
  plane.root.append(ring);
  const beside = tip(canvas);
  const at = { current: -1 };
  const show = (place) => {
    const spot = spots[place];
    if (!spot) return hide();
    at.current = place;
    ring.setAttribute("cx", spot.x);
    ring.setAttribute("cy", spot.y);
    ring.setAttribute("visibility", "visible");
    return beside.show(spot.x, spot.y, spot.series.name, told(chart, spot));
  };
  const hide = () => {
    ring.setAttribute("visibility", "hidden");
    beside.hide();
  };
  const enter = (place) => {
    const run = spots[place] && spots[place].series.runs[spots[place].k];
    if (run && open) open(run);
  };
  byPointer(plane.root, spots, at, { show, hide, enter });
  plane.root.addEventListener("blur", hide);
  plane.root.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 25, PageUp: -25 }[event.key];
    if (step) {
      show((Math.max(at.current, -1) + step + spots.length * 25) % spots.length);
      event.preventDefault();
    } else if (event.key === "Enter") enter(at.current);
    else if (event.key === "Escape") hide();
  });
}

/** The place of the point that is nearest to the pointer, -1 if none is near. */
function nearest(event, root, spots) {
  const box = root.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let [best, least] = [-1, 45 ** 2];
  spots.forEach((spot, place) => {
    const far = (spot.x - x) ** 2 + (spot.y - y) ** 2;
    if (far <= least) [best, least] = [place, far];
  });
  return best;
}

function byPointer(root, spots, at, { show, hide, enter }) {
  root.addEventListener("pointermove", (event) => show(nearest(event, root, spots)));
  root.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && hide());
  // A finger cannot point: the first touch of a point tells of it, the second opens its run.
  let first = false;
  root.addEventListener("pointerdown", (event) => {
    const place = nearest(event, root, spots);
    first = event.pointerType === "touch" && place !== at.current;
    if (first) show(place);
  });
  root.addEventListener("click", (event) => {
    if (!first) enter(nearest(event, root, spots));
  });
}

/** What the tip says of a point. */
function told(chart, { series, k }) {
  const x = chart.x.kind === "names" ? null : `${chart.x.title}: ${short(series.x[k])}`;
  const y = series.y[k] === null ? "diverged" : `${chart.y.title}: ${short(series.y[k])}`;
  const range = interval(series, k);
  const run = series.runs[k] ? `run ${series.runs[k]}` : null;
  return [x, y, range && `95% interval ${range}`, series.labels[k], run].filter(Boolean);
}
