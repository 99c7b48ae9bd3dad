"use strict";
// Draws each chart of the page when it comes near the window, anew when a choice, the colours or the width change.
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 40rem)");
const charts = new Map();
const config = {
  responsive: true,
  displaylogo: false,
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  toImageButtonOptions: { format: "svg" },
};
let printing = false;

function ink() {
  return dark.matches && !printing ? { text: "#e6e9ec", soft: "#8a949f", grid: "#353c44", paper: "#14181c" }
                                   : { text: "#1d2126", soft: "#8a949f", grid: "#e1e5ea", paper: "#ffffff" };
}

function layoutOf(figure, box, choice) {
  const { text, soft, grid, paper } = ink();
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, zeroline: false, automargin: true, uirevision: choice };
  const layout = {
    ...figure.layout,
    autosize: true,
    font: { family: getComputedStyle(document.body).fontFamily, size: narrow.matches ? 11 : 12, color: text },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: narrow.matches ? 48 : 64, r: 12, t: 28, b: 48 },
    hoverlabel: { bgcolor: paper, bordercolor: grid, font: { color: text }, align: "left", namelength: -1 },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 0, yanchor: "bottom", yref: "container", uirevision: box.id },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: text },
    dragmode: narrow.matches ? false : "zoom",  // so that a finger scrolls the page
    uirevision: box.id,
  };
  for (const name of ["xaxis", "yaxis"]) layout[name] = { ...axis, ...figure.layout[name] };
  return layout;
}

function whole(value, arrays) {  // with its arrays, of which the page holds each once
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  if ("bdata" in value) return { ...value, bdata: arrays[value.bdata] };
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, whole(part, arrays)]));
}

function tracesOf(figure, { texts, arrays, looks }) {
  const swap = (value) => (value === "#000000" ? ink().text : value);  // black would not show on black
  return figure.data.map((trace, i) => {
    const { look, ...own } = trace;
    const copy = whole({ ...looks[look], ...own }, arrays);
    if (texts.length) copy.text = texts[i];
    for (const part of ["line", "marker"]) {
      if (copy[part]) copy[part] = { ...copy[part], color: swap(copy[part].color) };
    }
    return copy;
  });
}

function draw(box) {
  if (!charts.has(box)) charts.set(box, JSON.parse(box.querySelector("script").textContent));
  const chart = charts.get(box);
  const choice = [...box.querySelectorAll("select")].map((select) => select.value).join(",");
  const figure = chart.figures[choice];
  Plotly.react(box.querySelector(".plot"), tracesOf(figure, chart), layoutOf(figure, box, choice), config);
}

const drawn = () => charts.forEach((_, box) => draw(box));
const boxes = [...document.querySelectorAll(".chart")];
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) {
      near.unobserve(target);
      draw(target);
    }
  }
}, { rootMargin: "400px" });

// Tables of many rows: a page of them at a time, or of those with a text.
for (const box of document.querySelectorAll(".paged")) {
  const [find, before, after] = ["input", ".before", ".after"].map((name) => box.querySelector(name));
  const [body, said] = ["tbody", "output"].map((name) => box.querySelector(name));
  const most = body.rows.length, right = [...box.querySelectorAll("th")].map((head) => head.className);
  let rows, kept, start = 0;
  const show = (to) => {
    if (!rows) {
      rows = JSON.parse(box.querySelector("script").textContent);
      rows.forEach((row) => { row.text = row.join("\n").toLowerCase(); });
    }
    const text = find.value.trim().toLowerCase();
    kept = text ? rows.filter((row) => row.text.includes(text)) : rows;
    start = Math.max(0, Math.min(to, kept.length - 1));
    const page = kept.slice(start, start + most);
    body.replaceChildren(...page.map((row) => {
      const line = document.createElement("tr");
      row.forEach((cell, i) => { const one = line.insertCell(); one.textContent = cell; one.className = right[i]; });
      return line;
    }));
    const places = page.length ? `${(start + 1).toLocaleString("en")} to ${(start + page.length).toLocaleString("en")}` : "none";
    said.textContent = `rows ${places} of ${kept.length.toLocaleString("en")}`;
    before.disabled = start === 0;
    after.disabled = start + most >= kept.length;
  };
  box.querySelector("form").hidden = false;
  box.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  before.addEventListener("click", () => show(start - most));
  after.addEventListener("click", () => show(start + most));
  find.addEventListener("input", () => show(0));
}

for (const box of boxes) {
  near.observe(box);
  box.querySelector("form").addEventListener("change", () => draw(box));
}
dark.addEventListener("change", drawn);
narrow.addEventListener("change", drawn);
addEventListener("beforeprint", () => {
  printing = true;
  document.documentElement.classList.add("print");
  document.querySelectorAll("details").forEach((one) => { one.dataset.open = one.open; one.open = true; });
  boxes.forEach(draw);
});
addEventListener("afterprint", () => {
  printing = false;
  document.documentElement.classList.remove("print");
  document.querySelectorAll("details").forEach((one) => { one.open = one.dataset.open === "true"; });
  drawn();
});
