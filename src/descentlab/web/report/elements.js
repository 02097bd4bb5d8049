// Elements and their texts. Whatever comes from a store goes through `visible` into a text node.

const SVG = "http://www.w3.org/2000/svg";

/** A text with characters that cannot be seen written out, as in \u202e. */
function visible(text) {
  return String(text).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, (each) =>
    `\\u${each.codePointAt(0).toString(16).padStart(4, "0")}`,
  );
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined) continue;
    element.append(child instanceof Node ? child : visible(child));
  }
  return element;
}

/** An HTML element; attributes never hold code, children are elements or texts. */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A button with its text and what it does. */
function button(text, attributes, act) {
  const made = make("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}

/** A labelled choice; options are pairs of value and text. */
function choice(label, options, act) {
  const select = make(
    "select",
    {},
    options.map(([value, text]) => make("option", { value }, text)),
  );
  select.addEventListener("change", () => act(select.value));
  return { select, label: make("label", {}, label, " ", select) };
}

/** A table in a frame of its own that can scroll. */
function table(heads, rows, label) {
  const head = make("tr", {}, heads.map((each) => make("th", { scope: "col" }, each)));
  const body = rows.map((row) =>
    make(
      "tr",
      {},
      row.map((cell, place) =>
        place ? make("td", {}, cell) : make("th", { scope: "row" }, cell),
      ),
    ),
  );
  const whole = make(
    "table",
    {},
    make("thead", {}, head),
    make("tbody", {}, body),
  );
  return make(
    "div",
    { class: "table-frame", role: "region", tabindex: "0", "aria-label": label },
    whole,
  );
}

const parsed = new Map();

/** Data of the page by name, parsed when first asked for. */
function data(name) {
  if (!parsed.has(name)) {
    parsed.set(name, JSON.parse(document.getElementById(`data-${name}`).textContent));
  }
  return parsed.get(name);
}
