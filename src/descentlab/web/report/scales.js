// Numbers as people write them, and axes: places on the screen, ticks and their texts.

/** A number in few digits: 21.92, 0.008, 57,972, 1.2e-6. */
function short(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size >= 1e9 || (size > 0 && size < 1e-4)) {
    return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  }
  if (size >= 10000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(size >= 1000 ? 5 : 4)));
}

/** A setting as it was given: every digit. */
function exact(value) {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

/** An axis from the ends of its data to a range of pixels. */
function scale(axis, values, from, to) {
  if (axis.kind === "names") return names(axis, from, to);
  const known = values.filter((each) => Number.isFinite(each));
  let low = axis.low ?? Math.min(...known);
  let top = axis.top ?? Math.max(...known);
  if (!known.length && axis.low === null) [low, top] = [1, 10];
  const log = axis.kind === "log" && low > 0;
  if (low === top) [low, top] = log ? [low / 2, top * 2] : [low - 1, top + 1];
  const f = log ? Math.log : (each) => each;
  const pad = (end) => (axis[end] === null || axis[end] === undefined ? 0.03 : 0);
  const span = f(top) - f(low);
  const [start, end] = [f(low) - pad("low") * span, f(top) + pad("top") * span];
  const at = (value) => from + ((f(value) - start) / (end - start)) * (to - from);
  const g = log ? Math.exp : (each) => each;
  return { at, top: g(end), low: g(start), ticks: (log ? logTicks : ticks)(g(start), g(end)) };
}

function names(axis, from, to) {
  const step = (to - from) / axis.names.length;
  const marks = axis.names.map((_, place) => place);
  return { at: (place) => from + step * (place + 0.5), ticks: marks, top: Infinity, step };
}

/** Five or so round numbers within a range. */
function ticks(low, top) {
  const raw = (top - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= top * (1 + 1e-12); k += 1) {
    found.push(Number((k * step).toPrecision(12)));
  }
  return found;
}

/** Powers of ten, with as many numbers between as there is room for. */
function logTicks(low, top) {
  const decades = Math.log10(top / low);
  if (decades < 0.5) return ticks(low, top);
  const fine = decades > 1 ? [1, 2, 3, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  const within = decades > 4 ? [1] : decades > 2 ? [1, 3] : fine;
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(top); power += 1) {
    for (const each of within) {
      const value = Number((each * 10 ** power).toPrecision(6));
      if (value >= low * (1 - 1e-9) && value <= top * (1 + 1e-9)) found.push(value);
    }
  }
  return found.length > 9 ? found.filter((_, place) => place % 2 === 0) : found;
}
