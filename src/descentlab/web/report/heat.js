// A number for each row and column as a colour, with the number written in where there is room.

const COLORS = ["#fde725", "#b5de2b", "#6ece58", "#35b779", "#1f9e89", "#26828e", "#31688e", "#3e4989", "#482878", "#440154"];

/** Width of a cell that a number fits into; a map of more scrolls in its own frame. */
const READABLE = 40;

function heatMap(place, map) {
  const canvas = make("div", { class: "plane" });
  place.replaceChildren(
    canvas,
    values([`${map.y} \\ ${map.x}`, ...map.columns], () =>
      map.rows.map((row, i) => [row, ...map.values[i].map((_, j) => cellText(map, i, j))]),
    ),
  );
  follow(canvas, (width) => drawMap(canvas, map, width));
}

function cellText(map, i, j) {
  if (map.texts.length) return map.texts[i][j];
  return map.values[i][j] === null ? "" : short(map.values[i][j]);
}

function colorOf(value, cap) {
  return COLORS[Math.min(COLORS.length - 1, Math.max(0, Math.floor((value / cap) * COLORS.length)))];
}

/** Cells are null where nothing was tried; their text is × where everything diverged. */
function drawMap(canvas, map, width) {
  const [left, top] = [78, 6];
  const many = map.texts.length === 0;
  const room = (width - left - 12) / map.columns.length;
  const wide = many ? Math.min(room, 18) : Math.min(Math.max(room, READABLE), 66);
  const tall = many ? Math.min(wide, 14) : Math.min(32, Math.max(22, wide * 0.55));
  const right = left + wide * map.columns.length;
  const bottom = top + tall * map.rows.length;
  const height = bottom + 96;
  const whole = Math.max(width, right + 12);
  canvas.classList.toggle("wide", whole > width);
  const root = svg("svg", {
    viewBox: `0 0 ${whole} ${height}`,
    width: whole,
    class: "fixed",
    height,
    role: "img",
    "aria-label": visible(map.alt),
    tabindex: "0",
  });
  const over = svg("g");
  map.rows.forEach((row, i) => {
    map.columns.forEach((column, j) => {
      const at = { x: left + j * wide, y: top + i * tall, width: wide, height: tall };
      root.append(cell(map, i, j, at));
      if (!many) over.append(...written(map, i, j, at));
    });
  });
  for (const [i, j] of map.marked) {
    const size = { width: wide - 2, height: tall - 2 };
    over.append(svg("rect", { class: "cell-frame", x: left + j * wide + 1, y: top + i * tall + 1, ...size }));
  }
  if (map.best) {
    const [x, y] = [left + (map.best[1] + 0.5) * wide, top + (map.best[0] + 0.5) * tall];
    over.append(svg("path", { class: "cell-frame", d: `M${x - 5} ${y - 5}l10 10m0 -10l-10 10` }));
  }
  root.append(over, ...mapAxes(map, { left, right, top, bottom, wide, tall, width }));
  canvas.replaceChildren(root);
  hoverMap(canvas, map, root, { left, top, wide, tall });
}

function cell(map, i, j, at) {
  const value = map.values[i][j];
  const said = map.texts.length ? map.texts[i][j] : "";
  if (said === "×") return svg("rect", { class: "cell diverged", ...at });
  if (value === null) return svg("rect", { class: "cell none", ...at });
  return svg("rect", { class: "cell", fill: colorOf(value, map.cap), ...at, width: at.width + 0.5, height: at.height + 0.5 });
}

function written(map, i, j, at) {
  const said = map.texts[i][j];
  if (!said) return [];
  const value = map.values[i][j];
  const ground = value === null || value < 0.45 * map.cap ? "on-light" : "on-dark";
  const best = value === 0 ? " best" : "";
  const middle = { x: at.x + at.width / 2, y: at.y + at.height / 2 + 4 };
  return [svg("text", { class: `cell-text ${ground}${best}`, ...middle }, said)];
}

/** Names of rows and columns, as many as fit, and the scale of colours. */
function mapAxes(map, { left, right, top, bottom, wide, tall, width }) {
  const found = [];
  const skip = Math.ceil(46 / wide);
  map.columns.forEach((name, j) => {
    if (j % skip) return;
    const at = { x: left + (j + 0.5) * wide, y: bottom + 16, "text-anchor": "middle" };
    found.push(svg("text", at, name));
  });
  const rows = Math.ceil(16 / tall);
  map.rows.forEach((name, i) => {
    if (i % rows) return;
    found.push(svg("text", { x: left - 6, y: top + (i + 0.5) * tall + 4, "text-anchor": "end" }, name));
  });
  const middle = (top + bottom) / 2;
  found.push(
    svg("text", { class: "axis-title", x: (left + right) / 2, y: bottom + 36, "text-anchor": "middle" }, map.x),
    svg("text", { class: "axis-title", x: 2, y: middle + 4 }, map.y),
  );
  const step = Math.min(22, (width - left - 14) / COLORS.length);
  COLORS.forEach((fill, k) => {
    found.push(svg("rect", { fill, x: left + k * step, y: bottom + 52, width: step + 0.5, height: 10 }));
  });
  const ends = [[0, "0", "start"], [COLORS.length * step, `≥ ${short(map.cap)}`, "end"]];
  for (const [x, said, anchor] of ends) {
    found.push(svg("text", { x: left + x, y: bottom + 76, "text-anchor": anchor }, said));
  }
  found.push(svg("text", { x: left, y: bottom + 92 }, map.scale));
  return found;
}

function hoverMap(canvas, map, root, { left, top, wide, tall }) {
  const beside = tip(canvas);
  const ring = svg("rect", { class: "focus-ring", width: wide, height: tall, visibility: "hidden" });
  root.append(ring);
  let at = [0, -1];
  const show = (i, j) => {
    at = [i, j];
    const [x, y] = [left + j * wide, top + i * tall];
    ring.setAttribute("x", x);
    ring.setAttribute("y", y);
    ring.setAttribute("visibility", "visible");
    const name = `${map.y} = ${map.rows[i]}, ${map.x} = ${map.columns[j]}`;
    beside.show(x + wide / 2, y, name, toldOfCell(map, i, j));
  };
  const hide = () => {
    ring.setAttribute("visibility", "hidden");
    beside.hide();
  };
  const point = (event) => {
    const box = root.getBoundingClientRect();
    const j = Math.floor((event.clientX - box.left - left) / wide);
    const i = Math.floor((event.clientY - box.top - top) / tall);
    if (map.values[i] === undefined || map.values[i][j] === undefined) hide();
    else show(i, j);
  };
  root.addEventListener("pointermove", point);
  root.addEventListener("pointerdown", point);
  root.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && hide());
  root.addEventListener("blur", hide);
  root.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return event.key === "Escape" && hide();
    event.preventDefault();
    const within = (value, count) => Math.min(count - 1, Math.max(0, value));
    return show(within(at[0] + step[0], map.rows.length), within(at[1] + step[1], map.columns.length));
  });
}

function toldOfCell(map, i, j) {
  const value = map.values[i][j];
  const text = map.texts.length ? map.texts[i][j] : "";
  return [
    text === "×" ? "diverged at every learning rate" : text && `perplexity ${text}`,
    value !== null && `${map.scale}: ${short(value)}`,
    map.labels.length && map.labels[i][j],
  ].filter(Boolean);
}
