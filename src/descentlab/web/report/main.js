// Puts the page together: colours, charts as they come into sight, the list, links to runs, print.

const LOOKS = ["", "dark", "light"];
const SAID = { "": "Colours: as the system", dark: "Colours: dark", light: "Colours: light" };

/** What the reader chose stays for the next page, where the browser lets a file remember. */
function remembered(value) {
  try {
    if (value !== undefined) localStorage.setItem("descentlab-theme", value);
    return localStorage.getItem("descentlab-theme") || "";
  } catch {
    return "";
  }
}

function theme() {
  const toggle = document.getElementById("theme");
  let look = remembered();
  const apply = () => {
    if (look) document.documentElement.dataset.theme = look;
    else delete document.documentElement.dataset.theme;
    toggle.textContent = SAID[look];
  };
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    look = LOOKS[(LOOKS.indexOf(look) + 1) % LOOKS.length];
    remembered(look);
    apply();
  });
  apply();
}

/** Draw the chart of a figure, once. */
function drawFigure(figure) {
  if (figure.dataset.drawn) return;
  figure.dataset.drawn = "yes";
  const chart = data("charts")[figure.dataset.chart];
  const canvas = figure.querySelector(".canvas");
  if (chart.type === "heat") heatMap(canvas, chart);
  else if (chart.type === "curves") curveChart(canvas, chart, openRun);
  else lineChart(canvas, chart, openRun);
}

function figures() {
  const all = document.querySelectorAll("figure[data-chart]");
  const sight = new IntersectionObserver(
    (entries) => entries.filter((each) => each.isIntersecting).forEach((each) => drawFigure(each.target)),
    { rootMargin: "600px" },
  );
  all.forEach((each) => sight.observe(each));
  return all;
}

/** On paper nothing is folded away, and every chart is drawn. */
function printing(all) {
  const unfold = () => {
    document.querySelectorAll("main details:not(.values)").forEach((each) => {
      if (!each.open) each.dataset.folded = "yes";
      each.open = true;
    });
    all.forEach(drawFigure);
  };
  const fold = () => {
    document.querySelectorAll("details[data-folded]").forEach((each) => {
      each.open = false;
      delete each.dataset.folded;
    });
  };
  window.addEventListener("beforeprint", unfold);
  window.addEventListener("afterprint", fold);
  window.matchMedia("print").addEventListener("change", (event) => (event.matches ? unfold() : fold()));
}

/** Open the run that the address names. */
function fromAddress() {
  const named = /^#run=(.+)$/.exec(location.hash);
  if (!named) return;
  try {
    openRun(decodeURIComponent(named[1]));
  } catch {
    // an address that cannot be decoded names no run
  }
}

theme();
printing(figures());
if (window.matchMedia("(max-width: 68rem)").matches) document.getElementById("contents").open = false;
runList(document.getElementById("run-list"), openRun);
document.getElementById("opened").addEventListener("close", () => history.replaceState(null, "", " "));
document.getElementById("opened").addEventListener("click", (event) => {
  if (event.target.id === "opened") event.target.close();
});
window.addEventListener("hashchange", fromAddress);
fromAddress();
document.documentElement.dataset.ready = "yes";
