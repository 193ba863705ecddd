"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const touch = matchMedia("(pointer: coarse)").matches;

function themed(figure) {
  const style = getComputedStyle(document.documentElement);
  const names = ["--ink", "--rule", "--card", "--soft"];
  const [ink, rule, card, soft] = names.map((name) => style.getPropertyValue(name).trim());
  const { data, layout } = structuredClone(figure);
  layout.font = { color: ink, size: 12, family: "system-ui, -apple-system, Segoe UI, Roboto, sans-serif" };
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.hoverlabel = { bgcolor: card, bordercolor: rule, font: { color: ink } };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: ink };
  for (const axis of [layout.xaxis, layout.yaxis]) {
    Object.assign(axis, { gridcolor: rule, zerolinecolor: rule, linecolor: rule });
  }
  for (const trace of data.filter((trace) => trace.meta === "ink")) {
    (trace.marker ?? trace.line).color = ink;
  }
  // A finger moves the page; only the map, which is made for panning, takes it.
  if (touch && layout.dragmode !== "pan") layout.dragmode = false;
  return { data, layout };
}

function draw() {
  for (const place of document.querySelectorAll(".plot")) {
    const { data, layout } = themed(figures[place.dataset.figure]);
    const map = layout.dragmode === "pan";
    Plotly.react(place, data, layout, {
      responsive: true,
      displaylogo: false,
      showSendToCloud: false, // on by default in new releases: it sends the data away
      scrollZoom: map,
      displayModeBar: map ? true : touch ? false : "hover",
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
    });
  }
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
