// What charts share: the frame with its axes, the legend, the tip beside a point, drawing anew.

const HEIGHT = 340;

/** Draw now, and whenever the width of the place changes. */
function follow(place, draw) {
  let width = 0;
  const again = () => {
    const now = Math.floor(place.clientWidth);
    if (now && now !== width) draw((width = now));
  };
  new ResizeObserver(again).observe(place);
  again();
}

function seriesClass(color) {
  return `s${(color % 7) + 1}${color >= 7 ? " dashed" : ""}`;
}

/** The plane of a chart with grid, ticks and titles, and the clip of its inside. */
function frame(chart, width, xs, ys, clip) {
  const height = width < 480 ? HEIGHT - 50 : HEIGHT;
  const tilted = chart.x.kind === "names" && width / chart.x.names.length < 80;
  const box = { left: 58, right: width - 14, top: 12, bottom: height - (tilted ? 76 : 48) };
  const x = scale(chart.x, xs, box.left, box.right);
  const y = scale(chart.y, ys, box.bottom, box.top);
  const root = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    height,
    role: "img",
    "aria-label": visible(chart.alt),
    tabindex: "0",
  });
  const inside = { x: box.left, y: box.top, width: Math.max(0, box.right - box.left), height: box.bottom - box.top };
  root.append(svg("clipPath", { id: clip }, svg("rect", inside)));
  root.append(...gridLines(chart, box, x, y, tilted), svg("rect", { class: "frame", ...inside }));
  root.append(...axisTitles(chart, box, height));
  return { root, box, x, y };
}

function gridLines(chart, box, x, y, tilted) {
  const found = [];
  for (const tick of y.ticks) {
    const at = y.at(tick);
    found.push(svg("line", { class: "grid-line", x1: box.left, x2: box.right, y1: at, y2: at }));
    found.push(svg("text", { x: box.left - 7, y: at + 4, "text-anchor": "end" }, short(tick)));
  }
  let last = -Infinity;
  for (const tick of x.ticks) {
    const at = x.at(tick);
    if (chart.x.kind !== "names" && at - last < 42) continue;
    last = at;
    found.push(svg("line", { class: "grid-line", x1: at, x2: at, y1: box.top, y2: box.bottom }));
    const turn = tilted ? `rotate(-35 ${at} ${box.bottom + 16})` : null;
    const where = { x: at, y: box.bottom + 18, "text-anchor": tilted ? "end" : "middle", transform: turn };
    found.push(svg("text", where, chart.x.kind === "names" ? cut(chart.x.names[tick]) : short(tick)));
  }
  return found;
}

function axisTitles(chart, box, height) {
  const middle = (box.top + box.bottom) / 2;
  const look = { class: "axis-title", "text-anchor": "middle" };
  return [
    svg("text", { ...look, x: (box.left + box.right) / 2, y: height - 6 }, chart.x.title),
    svg("text", { ...look, x: 13, y: middle, transform: `rotate(-90 13 ${middle})` }, chart.y.title),
  ];
}

/** A name that fits below an axis; its whole is in the tip and in the table of values. */
function cut(name) {
  return name.length > 24 ? `${name.slice(0, 23)}…` : name;
}

/** Buttons that show and hide names; `hidden` is the set of those that are not drawn. */
function legend(entries, hidden, changed) {
  return make(
    "ul",
    { class: "legend", "aria-label": "Shown in the chart" },
    entries.map(([name, color]) => {
      const look = `${seriesClass(color)}${color >= 7 ? " dashed-name" : ""}`;
      const toggle = button(name, { class: look, "aria-pressed": !hidden.has(name) + "" }, () => {
        if (!hidden.delete(name)) hidden.add(name);
        toggle.setAttribute("aria-pressed", !hidden.has(name) + "");
        changed();
      });
      return make("li", {}, toggle);
    }),
  );
}

/** The box beside a point: a name, and lines below it. */
function tip(place) {
  const box = make("div", { class: "tip", role: "status", hidden: true });
  place.append(box);
  return {
    show(x, y, name, lines) {
      box.replaceChildren(make("strong", {}, name), ...lines.map((each) => make("div", {}, each)));
      box.hidden = false;
      const left = x + 14 + box.offsetWidth > place.clientWidth ? x - 14 - box.offsetWidth : x + 14;
      box.style.left = `${Math.max(0, left)}px`;
      box.style.top = `${Math.max(0, y - box.offsetHeight - 8)}px`;
    },
    hide() {
      box.hidden = true;
    },
  };
}

const MOST_ROWS = 2000;

/** A table of the values of a chart, made when it is opened. */
function values(heads, rows) {
  const details = make("details", { class: "values" }, make("summary", {}, "Values as a table"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    const all = rows();
    details.append(table(heads, all.slice(0, MOST_ROWS), "values of the chart"));
    if (all.length > MOST_ROWS) {
      const said = `The first ${MOST_ROWS} of ${all.length} values; descent report --format json has all.`;
      details.append(make("p", { class: "small muted" }, said));
    }
  });
  return details;
}
