// The figures of the newest map: peak, area, latency.

import { $, ms } from "./dom.js";
import { app, on } from "./state.js";

on("score", m => {
  app.maps++;
  app.last = m;
  $("peak").textContent = m.peak.toFixed(1);
  $("peak").style.color = m.peak > m.threshold ? "var(--warm)" : "";
  $("area").textContent = (100 * m.area).toFixed(m.area < .1 ? 1 : 0) + "%";
  const l = m.latency_ms;
  const parts = { wait: Math.max(0, l.total - l.encode - l.score), encode: l.encode, score: l.score };
  for (const [part, v] of Object.entries(parts)) {
    $(part).textContent = ms(v) + " ms";
    $("bar-" + part).style.width = 100 * v / Math.max(l.total, 1e-3) + "%";
  }
  $("total").textContent = ms(l.total);
});

// blank removes figures of another camera, or of the time before this one went down.
function blank() {
  for (const id of ["peak", "area", "total", "wait", "encode", "score"]) $(id).textContent = "–";
  for (const id of ["bar-wait", "bar-encode", "bar-score"]) $(id).style.width = 0;
  $("peak").style.color = "";
}

const DELIVERS = ["live", "stalled", "paused", "ended"]; // or did: its last figures stay

on("camera", blank);
on("status", s => { if (!DELIVERS.includes(s.state)) blank(); });
