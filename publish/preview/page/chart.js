// The sparkline of the last minute's peaks.

import { $ } from "./dom.js";
import { app, on } from "./state.js";

const SPAN = 60000; // ms
let points = [];

on("score", m => points.push({ t: performance.now(), v: m.peak }));
on("camera", () => points = []);

// fitted returns the canvas with as many pixels as the screen has for it.
function fitted() {
  const c = $("spark"), ratio = devicePixelRatio || 1, w = c.clientWidth, h = c.clientHeight;
  if (c.width !== Math.round(w * ratio)) {
    c.width = Math.round(w * ratio);
    c.height = Math.round(h * ratio);
  }
  const g = c.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  return { g, w, h };
}

function draw() {
  requestAnimationFrame(draw);
  const { g, w, h } = fitted(), now = performance.now();
  while (points.length && now - points[0].t > SPAN + 2000) points.shift();
  const threshold = app.status ? app.status.threshold : 0;
  let lo = Math.min(0, threshold), hi = Math.max(threshold * 1.6, 1);
  for (const p of points) {
    lo = Math.min(lo, p.v);
    hi = Math.max(hi, p.v * 1.05);
  }
  const X = t => w - (now - t) * w / SPAN, Y = v => h - 8 - (v - lo) / (hi - lo) * (h - 16);
  drawThreshold(g, w, Y(threshold));
  if (points.length > 1) drawLine(g, w, h, points.map(p => [X(p.t), Y(p.v)]), Y(threshold));
}

function drawThreshold(g, w, y) {
  g.strokeStyle = "rgba(255,154,61,.55)";
  g.setLineDash([5, 5]);
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(0, y);
  g.lineTo(w, y);
  g.stroke();
  g.setLineDash([]);
  g.fillStyle = "#8e99ad";
  g.font = "11px sans-serif";
  g.fillText("threshold", 4, y - 5);
}

// drawLine draws the line, blue below y and orange above, and the area under it.
function drawLine(g, w, h, line, y) {
  const trace = () => {
    g.beginPath();
    line.forEach(([px, py], i) => i ? g.lineTo(px, py) : g.moveTo(px, py));
  };
  trace();
  g.lineTo(line.at(-1)[0], h);
  g.lineTo(line[0][0], h);
  g.closePath();
  const below = g.createLinearGradient(0, 0, 0, h);
  below.addColorStop(0, "rgba(84,199,255,.28)");
  below.addColorStop(1, "rgba(84,199,255,0)");
  g.fillStyle = below;
  g.fill();
  for (const [colour, top, bottom] of [["#54c7ff", y, h], ["#ff9a3d", 0, y]]) {
    g.save();
    g.beginPath();
    g.rect(0, top, w, bottom - top);
    g.clip();
    trace();
    g.strokeStyle = colour;
    g.lineWidth = 1.8;
    g.lineJoin = "round";
    g.stroke();
    g.restore();
  }
}

requestAnimationFrame(draw);
