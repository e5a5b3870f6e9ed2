// The live picture: WebRTC, MJPEG where that does not work, and the badge that says which.

import { $, sleep } from "./dom.js";
import { app, on } from "./state.js";
import { play } from "./whep.js";

let round = 0; // counts the cameras that were shown: a loop of an earlier one ends
let wake = () => {}; // ends the pause before the next attempt

async function watch() {
  const mine = ++round, camera = app.camera;
  let failures = 0;
  while (mine === round) {
    const begin = performance.now();
    if (failures < 2 || $("mjpeg").hidden) mode("connecting", "connecting…");
    const played = await play(camera, () => mine === round, {
      start: () => {
        noFallback();
        $("video").play().catch(() => {});
      },
      frames: fps => mode("webrtc", "live · " + fps.toFixed(0) + " fps"),
      stall: () => mode("connecting", "stalled…"),
    });
    if (mine !== round) return;
    failures = played ? 0 : failures + 1;
    if (failures >= 2) {
      fallback();
      await Promise.race([sleep(20000), new Promise(done => wake = done)]);
    } else {
      await sleep(Math.max(500, 1500 - (performance.now() - begin)));
    }
  }
}

function mode(kind, text) {
  app.mode = kind;
  app.badge = text;
  badge();
}

const SILENT = { down: "no signal", stalled: "no new frames", connecting: "camera connecting…" };

// badge says how the picture arrives, or what is wrong with the camera: the last picture of one that is down is not live.
function badge() {
  const s = app.status, state = !s ? "live" : s.paused ? "paused" : s.state;
  const shown = app.mode && app.mode !== "connecting";
  $("badge").className = "pill badge " + (shown ? state : "connecting");
  $("badge-text").textContent = shown && state !== "live" ? SILENT[state] || state : app.badge || "connecting…";
}

function fallback() {
  const img = $("mjpeg");
  if (!img.hidden) return;
  const load = () => img.src = "api/v1/cameras/" + app.camera + "/stream.mjpg?t=" + Date.now();
  img.onload = () => {
    fit(img.naturalWidth, img.naturalHeight);
    mode("mjpeg", "MJPEG");
  };
  img.onerror = () => {
    mode("connecting", "no connection");
    setTimeout(() => img.hidden || load(), 2000);
  };
  load();
  img.hidden = false;
  $("video").hidden = true;
}

function noFallback() {
  const img = $("mjpeg");
  img.onerror = img.onload = null;
  img.hidden = true;
  img.removeAttribute("src");
  $("video").hidden = false;
}

// fit gives the stage the shape of the picture.
function fit(w, h) {
  if (w && h) $("stage").style.aspectRatio = w + " / " + h;
}
$("video").onresize = () => fit($("video").videoWidth, $("video").videoHeight);

$("full").onclick = () => document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen();

on("camera", camera => {
  noFallback();
  $("snapshot").href = "api/v1/cameras/" + camera + "/snapshot.jpg";
  watch();
});
on("status", badge);
on("back", () => wake());
