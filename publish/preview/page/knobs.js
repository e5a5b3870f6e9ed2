// The settings: |T|, latency budget, threshold, pause. What is shown is what the server reports to be in force.

import { api } from "./api.js";
import { $, later, ms, toast } from "./dom.js";
import { app, on, setStatus } from "./state.js";

let touched = { timesteps: 0, threshold: 0 };

// held reports that a person has just moved a slider: it stays where it is, whatever the server still reports.
const held = what => performance.now() - touched[what] < 1200;

async function patch(update) {
  try {
    const r = await api("api/v1/cameras/" + app.camera, {
      method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify(update),
    });
    const answer = await r.json();
    if (!r.ok) {
      toast(answer.error);
      touched = { timesteps: 0, threshold: 0 };
      setStatus(app.status);
      return;
    }
    setStatus(answer);
  } catch (e) {
    toast("The server is not responding.");
  }
}

const sendTimesteps = later(120, n => patch({ timesteps: n }));
const sendThreshold = later(120, v => patch({ threshold: v }));

$("timesteps").oninput = e => {
  touched.timesteps = performance.now();
  fill(e.target);
  $("timesteps-value").textContent = e.target.value;
  explain(+e.target.value);
  sendTimesteps(+e.target.value);
};
$("threshold").oninput = e => {
  touched.threshold = performance.now();
  fill(e.target);
  $("threshold-value").textContent = (+e.target.value).toFixed(1);
  sendThreshold(+e.target.value);
};
$("auto").onclick = () => {
  const s = app.status;
  if (!s) return;
  if (s.timesteps === "auto") patch({ timesteps: s.timesteps_used || 5 });
  else patch({ timesteps: "auto", latency_budget: s.latency_budget || "150ms" });
};
$("budget").onchange = e => {
  if (e.target.reportValidity() && +e.target.value > 0) {
    patch({ timesteps: "auto", latency_budget: e.target.value + "ms" });
  }
};
$("pause").onclick = () => app.status && patch({ paused: !app.status.paused });

// fill colours a slider's track up to its thumb.
function fill(range) {
  range.style.setProperty("--at", 100 * (range.value - range.min) / (range.max - range.min) + "%");
}
for (const range of document.querySelectorAll("input[type=range]")) fill(range);

let cost = null; // smoothed ms: encoder, one timestep

const WHY = {
  measuring: "measuring the cost of a frame",
  budget: "one more timestep would miss the budget",
  rate: "one more timestep would not keep up with the cameras",
  load: "lowered: frames were over the budget",
  floor: "the fewest allowed, and still over the budget",
  ceiling: "the most allowed",
};

// explain says below the slider what n timesteps cost, or why the budget chose as many.
function explain(n) {
  const why = app.status?.timesteps === "auto" && WHY[app.status.timesteps_reason];
  if (why) {
    $("timesteps-note").textContent = why + ".";
    return;
  }
  $("timesteps-note").textContent = !cost ? "\u00a0" :
    `about ${ms(cost.encode)} + ${n} × ${cost.step.toFixed(cost.step < 1 ? 2 : 1)} = ${ms(cost.encode + n * cost.step)} ms per frame`;
}

// milliseconds reads a duration in Go's notation: 1m0.5s, 120ms.
function milliseconds(text) {
  const unitMS = { h: 36e5, m: 6e4, s: 1e3, ms: 1, "µs": 1e-3, ns: 1e-6 };
  let sum = 0;
  for (const [, n, unit] of (text || "").matchAll(/([\d.]+)(h|ms|m|s|µs|ns)/g)) sum += n * unitMS[unit];
  return sum;
}

on("status", s => {
  const auto = s.timesteps === "auto", list = Array.isArray(s.timesteps);
  $("pause").textContent = s.paused ? "Resume" : "Pause";
  $("auto").setAttribute("aria-pressed", auto);
  $("budget-row").hidden = !auto;
  if (auto && document.activeElement !== $("budget")) $("budget").value = Math.round(milliseconds(s.latency_budget));
  $("timesteps").max = s.timesteps_offered || 25;
  if (!held("timesteps")) {
    const n = auto ? s.timesteps_used : list ? s.timesteps.length : s.timesteps;
    $("timesteps").value = n;
    $("timesteps-value").textContent = n || "–";
    fill($("timesteps"));
    explain(n);
  }
  if (!held("threshold")) {
    const slider = $("threshold"), top = Math.max(20, 2 * s.threshold);
    if (+slider.max < top) slider.max = Math.ceil(top);
    if (s.threshold < +slider.min) slider.min = Math.floor(s.threshold);
    slider.value = s.threshold;
    $("threshold-value").textContent = s.threshold.toFixed(1);
    fill(slider);
  }
});

on("score", m => {
  const mix = (before, now) => before === undefined ? now : .9 * before + .1 * now;
  cost = { encode: mix(cost?.encode, m.latency_ms.encode), step: mix(cost?.step, m.latency_ms.score / m.timesteps) };
});

on("camera", () => cost = null);

// People with the viewer token see the settings, and cannot change them.
on("info", () => {
  const only = app.info.role === "viewer";
  for (const id of ["timesteps", "threshold", "auto", "budget", "pause"]) {
    $(id).disabled = only;
    if (only) $(id).title = "the viewer token may look, but not change settings";
  }
});
