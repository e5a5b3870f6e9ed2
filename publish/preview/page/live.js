// Server-sent events of the camera that is shown: its scores, its status, its events; and the changes of all settings.

import { api } from "./api.js";
import { app, on, setStatus, tell } from "./state.js";
import { connection } from "./status.js";

let feed;

async function listen() {
  feed?.close();
  const camera = app.camera;
  try {
    const r = await api("api/v1/events?camera=" + camera);
    for (const e of (await r.json()).events) tell("event", e);
  } catch (e) { /* they come with the next connection */ }
  feed = new EventSource("api/v1/cameras/" + camera + "/live");
  feed.addEventListener("score", e => tell("score", JSON.parse(e.data)));
  feed.addEventListener("status", e => setStatus(JSON.parse(e.data)));
  feed.addEventListener("event", e => tell("event", JSON.parse(e.data)));
  feed.addEventListener("audit", e => tell("audit", JSON.parse(e.data)));
  let lost = false;
  feed.onopen = () => {
    if (lost) tell("back");
    lost = false;
  };
  feed.onerror = () => {
    lost = true;
    connection("no connection");
    if (feed.readyState === EventSource.CLOSED) setTimeout(() => camera === app.camera && listen(), 2000);
  };
}

on("camera", listen);
