// The list of all runs: only the rows in sight are in the page, so that thousands stay smooth.

const ROW = 36;
const BEYOND = 12;
/** Runs that the reader ticked, to be drawn together. */
const ticked = new Set();

const SHOWN = [
  ["run", "run"],
  ["method", "method"],
  ["state", "state"],
  ["perplexity", "perplexity"],
  ["lr", "lr"],
  ["beta1", "β1"],
  ["beta2", "β2"],
  ["seed", "seed"],
];
const NUMBERS = new Set(["perplexity", "lr", "beta1", "beta2", "seed"]);

/** What a column says of the run at a place. */
function entry(name, k) {
  const columns = data("runs").columns;
  const column = columns[name];
  const value = column ? column[k] : null;
  if (name === "perplexity" && columns.state[k] === "diverged") return Infinity;
  return value === "inf" ? Infinity : value;
}

function entryText(name, k) {
  const value = entry(name, k);
  if (value === null || value === undefined) return "–";
  if (value === Infinity) return name === "perplexity" ? "diverged" : "none";
  if (name === "perplexity") return value < 1e4 ? value.toFixed(2) : short(value);
  return typeof value === "number" ? short(value) : value;
}

/** Places of runs in an order; what has no value comes last either way. */
function sortedBy(places, name, down) {
  const key = new Map(places.map((k) => [k, entry(name, k)]));
  const none = (value) => value === null || value === undefined || value === "";
  return [...places].sort((a, b) => {
    const [x, y] = [key.get(a), key.get(b)];
    if (none(x) || none(y)) return none(x) - none(y) || a - b;
    const order = x < y ? -1 : x > y ? 1 : a - b;
    return down ? -order : order;
  });
}

function runList(place, open) {
  const total = data("runs").columns.run.length;
  const state = { places: [...Array(total).keys()], sort: "perplexity", down: false };
  const filler = make("div", { class: "list-filler" });
  const rows = make("div", { class: "list-rows", role: "rowgroup", tabindex: "0", "aria-label": "Runs" }, filler);
  const count = make("p", { class: "small muted", role: "status" });
  const head = listHead((name) => {
    state.down = state.sort === name ? !state.down : false;
    state.sort = name;
    again();
  });
  const grid = make("div", { class: "list", role: "table", "aria-label": "All runs" }, head, rows);
  let asked = (k) => k >= 0;
  const draw = () => drawRows(rows, filler, state.places, open);
  const again = () => {
    const kept = [...Array(total).keys()].filter(asked);
    state.places = sortedBy(kept, state.sort, state.down);
    filler.style.height = `${state.places.length * ROW}px`;
    grid.setAttribute("aria-rowcount", String(state.places.length + 1));
    count.textContent = `${kept.length.toLocaleString("en")} of ${total.toLocaleString("en")} runs`;
    for (const cell of head.children) {
      const sorted = cell.dataset.name === state.sort;
      cell.setAttribute("aria-sort", sorted ? (state.down ? "descending" : "ascending") : "none");
    }
    rows.scrollTop = 0;
    draw();
  };
  rows.addEventListener("scroll", () => requestAnimationFrame(draw));
  new ResizeObserver(draw).observe(rows);
  place.append(
    filters((test) => {
      asked = test;
      again();
    }),
    count,
    grid,
  );
  again();
}

function listHead(sort) {
  const cells = SHOWN.map(([name, said]) =>
    make(
      "span",
      { role: "columnheader", "data-name": name, class: NUMBERS.has(name) ? "number" : null },
      button(said, {}, () => sort(name)),
    ),
  );
  return make("div", { class: "list-row head", role: "row" }, make("span", { role: "columnheader" }, ""), cells);
}

function drawRows(rows, filler, places, open) {
  const first = Math.max(0, Math.floor(rows.scrollTop / ROW) - BEYOND);
  const last = Math.min(places.length, Math.ceil((rows.scrollTop + rows.clientHeight) / ROW) + BEYOND);
  const focused = document.activeElement && document.activeElement.dataset.run;
  const there = places.slice(first, last).map((k, place) => listRow(k, first + place, open));
  filler.replaceChildren(...there);
  if (!focused) return;
  const same = there.map((row) => row.querySelector(".run-name"));
  const again = same.find((name) => name.dataset.run === focused);
  if (again) again.focus({ preventScroll: true });
}

/** A name in two parts, of which the first gives way: names of one sweep differ in their ends. */
function cutInTheMiddle(name) {
  const end = name.length > 20 ? name.slice(-8) : "";
  const begin = name.slice(0, name.length - end.length);
  return [make("span", { class: "begin" }, begin), make("span", {}, end)];
}

function listRow(k, place, open) {
  const run = data("runs").columns.run[k];
  const tick = make("input", { type: "checkbox", "aria-label": `draw ${visible(run)}` });
  tick.checked = ticked.has(run);
  tick.addEventListener("change", () => {
    if (tick.checked) ticked.add(run);
    else ticked.delete(run);
    document.dispatchEvent(new Event("ticked"));
  });
  const cells = SHOWN.map(([name]) => {
    const said = entryText(name, k);
    if (name === "run") {
      const link = button("", { class: "run-name", "data-run": run, title: visible(run) }, () => open(run));
      link.append(...cutInTheMiddle(said));
      return make("span", { role: "cell" }, link);
    }
    if (name === "state") return make("span", { role: "cell" }, make("span", { class: `badge ${said}` }, said));
    return make("span", { role: "cell", class: NUMBERS.has(name) ? "number" : null, title: visible(said) }, said);
  });
  const row = make("div", { class: "list-row", role: "row", "aria-rowindex": String(place + 2) });
  row.append(make("span", { role: "cell" }, tick), ...cells);
  row.style.transform = `translateY(${place * ROW}px)`;
  return row;
}
