// The state of the camera in the header, its throughput, and the facts about it.

import { logOut } from "./api.js";
import { $ } from "./dom.js";
import { app, on } from "./state.js";

// connection shows in the header why there is no state.
export function connection(text, kind = "down") {
  $("state").className = "pill " + kind;
  $("state-text").textContent = text;
}

const compact = n => n < 10000 ? String(n) : n < 1e6 ? (n / 1000).toFixed(1) + "k" : (n / 1e6).toFixed(1) + "M";

on("status", s => {
  const state = s.paused ? "paused" : s.state;
  connection(state, state);
  $("model").textContent = [s.bundle, s.provider].filter(Boolean).join(" · ");
  $("bundle").textContent = s.bundle;
  $("provider").textContent = s.provider;
  $("size").textContent = s.width ? s.width + " × " + s.height : "–";
  $("source").textContent = s.source || "–";
  $("source").title = s.source || "";
  subject();
  const t = s.stats, dropped = t.dropped || {};
  $("camera-fps").textContent = t.camera_fps.toFixed(1);
  $("score-fps").textContent = t.score_fps.toFixed(1);
  $("dropped").textContent = compact(Object.values(dropped).reduce((a, b) => a + b, 0));
  $("dropped").parentElement.title = Object.entries(dropped).map(([k, v]) => k + " " + v).join("\n");
  $("scored").textContent = compact(t.scored);
  $("viewers").textContent = t.viewers;
});

// subject shows where the camera is on NATS.
function subject() {
  const nats = app.info?.nats;
  $("subject").textContent = nats?.subjects ? nats.subjects.replace(/>$/, app.camera + ".>") : nats ? "off" : "–";
}
on("info", subject);
on("info", () => $("logout").hidden = !app.info.login);
$("logout").onclick = logOut;
