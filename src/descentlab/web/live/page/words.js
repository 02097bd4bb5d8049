// Elements whose text is only ever text, and numbers as people say them.

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") for (const [kind, listener] of Object.entries(value)) made.addEventListener(kind, listener);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "aria") for (const [key, each] of Object.entries(value)) made.setAttribute(`aria-${key}`, each);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A name that somebody chose: whatever its letters do, they do it within it.
export const name = (text, className = "") => el("bdi", { textContent: text, className });

export const badge = (state) => el("span", { className: `badge ${state}`, textContent: state });

export const loss = (nats) => (nats === undefined || nats === null ? "–" : nats.toFixed(4));

export function perplexity(nats) {
  if (nats === undefined || nats === null) return "–";
  const found = Math.exp(nats);
  return found < 1e5 ? found.toFixed(2) : found.toExponential(2);
}

export const count = (number) => number.toLocaleString("en");

export const share = (fraction) => `${(Math.floor(fraction * 1000) / 10).toFixed(fraction < 0.1 ? 1 : 0)}%`;

export function duration(seconds) {
  if (seconds === undefined || seconds === null) return "?";
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(whole / 86400)} days`;
}

export function clock(seconds) {
  const date = new Date(seconds * 1000);
  const today = new Date().toDateString() === date.toDateString();
  const time = date.toLocaleTimeString("en-GB");
  return today ? time : `${date.toISOString().slice(0, 10)} ${time}`;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
