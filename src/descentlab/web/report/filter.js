// Which runs the list shows: words, key=value, and choices of method, state and comparison.

const SYMBOLS = { "β1": "beta1", "β2": "beta2", ppl: "perplexity", "λ": "weight_decay", data: "dataset" };
const haystacks = [];

/** The words of a run that a search looks through. */
function haystack(k) {
  if (haystacks[k] === undefined) {
    const columns = data("runs").columns;
    const names = ["run", "method", "state", "reason", "model", "dataset", "sweep", "studies", "source", "precision"];
    const found = names.map((name) => columns[name] && columns[name][k]).flat();
    haystacks[k] = found.filter(Boolean).join(" ").toLowerCase();
  }
  return haystacks[k];
}

/** The value of a column or a setting by its name. */
function valueOf(name, k) {
  const key = SYMBOLS[name] || name;
  const { columns, settings } = data("runs");
  if (columns[key]) return entry(key, k);
  const own = settings[key] || settings[`optimizer.${key}`];
  return own && own[1][k] >= 0 ? own[0][own[1][k]] : undefined;
}

/** Whether a run fits one word of a search: `lr>=0.01`, `init=zero`, or a part of its names. */
function fits(word, k) {
  const parts = /^([^<>=]+)(<=|>=|=|<|>)(.+)$/.exec(word);
  if (!parts) return haystack(k).includes(word);
  const [, name, sign, wanted] = parts;
  const value = valueOf(name, k);
  if (value === undefined || value === null) return false;
  const [a, b] = [Number(value), Number(wanted)];
  const known = !Number.isNaN(a) && !Number.isNaN(b);
  if (sign === "=") return known ? a === b : String(value).toLowerCase().includes(wanted);
  if (!known) return false;
  return { "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b }[sign];
}

/** The controls; `changed` gets a test of places of runs. */
function filters(changed) {
  const asked = { words: [], method: "", state: "", comparison: "" };
  const columns = data("runs").columns;
  const apply = () =>
    changed(
      (k) =>
        (!asked.method || columns.method[k] === asked.method) &&
        (!asked.state || columns.state[k] === asked.state) &&
        (!asked.comparison || columns.comparisons[k].includes(Number(asked.comparison))) &&
        asked.words.every((word) => fits(word, k)),
    );
  const input = make("input", {
    type: "search",
    id: "search",
    placeholder: "words, or lr>=0.01 β1=0.95 init=zero",
    autocomplete: "off",
    spellcheck: "false",
  });
  input.addEventListener("input", () => {
    asked.words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    apply();
  });
  const distinct = (name) => [...new Set(columns[name])].filter((each) => each !== null).sort();
  const pick = (label, name, options) =>
    choice(label, [["", "all"], ...options], (value) => {
      asked[name] = value;
      apply();
    }).label;
  const same = (name) => distinct(name).map((each) => [each, each]);
  const tables = data("more").compared.map((name, place) => [String(place), name]);
  return make(
    "div",
    { class: "filters", role: "search" },
    make("label", {}, "Search", input),
    pick("Method", "method", same("method")),
    pick("State", "state", same("state")),
    pick("Comparison", "comparison", tables),
  );
}
