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

function tracesOf(figure, texts) {
  const swap = (value) => (value === "#000000" ? ink().text : value);  // black would not show on black
  return figure.data.map((trace, i) => {
    const copy = { ...trace };
    if (texts.length) copy.text = texts[i];
    for (const part of ["line", "marker"]) {
      if (copy[part]) copy[part] = { ...copy[part], color: swap(copy[part].color) };
    }
    return copy;
  });
}

function draw(box) {
  if (!charts.has(box)) charts.set(box, JSON.parse(box.querySelector("script").textContent));
  const { figures, texts } = charts.get(box);
  const choice = [...box.querySelectorAll("select")].map((select) => select.value).join(",");
  const figure = figures[choice];
  Plotly.react(box.querySelector(".plot"), tracesOf(figure, texts), layoutOf(figure, box, choice), config);
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
