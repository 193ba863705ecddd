"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const ways = JSON.parse(document.getElementById("ways").textContent);
const touch = matchMedia("(pointer: coarse)").matches;
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

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
  for (const section of document.querySelectorAll("section[data-frame]")) show(section, Number(section.dataset.frame));
}

function nearest(sorted, wanted) {
  let best = 0;
  for (let k = 1; k < sorted.length; k++) {
    if (Math.abs(sorted[k] - wanted) < Math.abs(sorted[best] - wanted)) best = k;
  }
  return best;
}

// Mark a frame of a drive on its map, along its way, and among its images.
function show(section, frame) {
  const way = ways[section.dataset.drive];
  const at = nearest(way.frame, frame);
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  const line = { color: ink, width: 1.5, dash: "dot" };
  section.dataset.frame = frame;
  for (const plot of section.querySelectorAll(".plot[data-place]")) {
    const x = { map: way.x, along: way.metres, time: way.seconds }[plot.dataset.place][at];
    const spot = { type: "circle", xref: "x", yref: "y", xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: way.z[at] };
    const mark = plot.dataset.place === "map"
      ? { ...spot, x0: -9, x1: 9, y0: -9, y1: 9, line: { color: ink, width: 2.5 } }
      : { type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line };
    Plotly.relayout(plot, { shapes: [mark] });
  }
  const buttons = [...section.querySelectorAll(".film button")];
  if (!buttons.length) return;
  const chosen = buttons[nearest(buttons.map((button) => Number(button.dataset.frame)), frame)];
  for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
  const film = chosen.parentElement;
  film.scrollTo({ left: chosen.offsetLeft - (film.clientWidth - chosen.clientWidth) / 2, behavior: calm ? "auto" : "smooth" });
  const nearby = Number(chosen.dataset.frame) === frame ? "" : `; the nearest image is of frame ${chosen.dataset.frame}`;
  section.querySelector(".place").textContent = `Frame ${frame}, after ${way.metres[at].toFixed(0)} m${nearby}`;
}

function link(section) {
  let wanted = null;
  const follow = (event) => {
    const frame = event.points.map((point) => point.customdata).find((value) => value !== undefined);
    if (frame === undefined) return;
    if (wanted === null) requestAnimationFrame(() => { show(section, wanted); wanted = null; });
    wanted = frame;
  };
  for (const plot of section.querySelectorAll(".plot[data-place]")) {
    plot.on("plotly_hover", follow);
    plot.on("plotly_click", follow);
  }
  for (const button of section.querySelectorAll(".film button")) {
    button.addEventListener("click", () => show(section, Number(button.dataset.frame)));
  }
}

draw();
document.querySelectorAll("section[data-drive]").forEach(link);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
