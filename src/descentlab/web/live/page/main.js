// Listens to the server, and redraws what a change touches.

import { CurvesView } from "./chart.js";
import { Opened } from "./opened.js";
import { drawGroups, drawRunning, tick } from "./progress.js";
import { drawFailures, drawRaces } from "./races.js";
import { Model } from "./state.js";
import { Table } from "./table.js";
import { count, el, setText } from "./words.js";

const SILENCE = 15000; // milliseconds without a word after which the connection counts as lost
const RETRY = 1500;

const model = new Model();
const opened = new Opened(model);
const curves = new CurvesView(model, (id) => opened.open(id));
const table = new Table(model, (id) => opened.open(id), () => curves.refresh());

let source = null;
let heard = 0;
let due = false;

function drawSoon() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    draw();
  });
}

function draw() {
  const problems = document.getElementById("problems");
  problems.hidden = model.problems.length === 0;
  problems.replaceChildren(...model.problems.map((each) => el("li", { textContent: each })));
  setText(document.getElementById("summary"), `${count(model.rows.size)} runs`);
  drawGroups(model, (id) => opened.open(id));
  drawRunning(model, (id) => opened.open(id));
  drawRaces(model, (id) => opened.open(id));
  drawFailures(model, (id) => opened.open(id));
  table.refresh();
  curves.refresh();
  opened.refresh();
}

function connection(alive) {
  const shown = document.getElementById("connection");
  shown.className = alive ? "badge good" : "badge bad";
  setText(shown, alive ? "live" : "connection lost, trying again");
}

function connect() {
  source?.close();
  source = new EventSource("/events");
  heard = Date.now();
  for (const kind of ["whole", "change", "beat"]) {
    source.addEventListener(kind, (event) => {
      heard = Date.now();
      connection(true);
      model.hear(JSON.parse(event.data), kind === "whole");
      if (kind !== "beat") drawSoon();
      if (kind === "whole") opened.fromAddress();
    });
  }
  source.onerror = () => {
    connection(false);
    source.close();
    setTimeout(connect, RETRY);
  };
}

function themes() {
  const button = document.getElementById("theme");
  const order = ["system", "light", "dark"];
  const show = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    setText(button, `◐ ${theme}`);
    button.setAttribute("aria-label", `Theme: ${theme}`);
    curves.refresh();
    drawSoon();
  };
  let theme = localStorage.getItem("theme") ?? "system";
  show(theme);
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    localStorage.setItem("theme", theme);
    show(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawSoon);
}

setInterval(() => {
  tick(model);
  if (Date.now() - heard > SILENCE) {
    connection(false);
    connect();
  }
}, 1000);
addEventListener("resize", drawSoon);
themes();
connect();
