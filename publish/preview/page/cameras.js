// The tabs of the cameras, which come and go while the page is open, and the choice of the one that is shown.

import { api } from "./api.js";
import { $, sleep } from "./dom.js";
import { app, setStatus, tell } from "./state.js";
import { connection } from "./status.js";

function choose(camera) {
  app.camera = camera;
  tell("camera", camera);
  setStatus(app.list.find(c => c.camera === camera));
  for (const b of $("cameras").children) b.setAttribute("aria-current", b.dataset.camera === camera);
  document.title = camera + " · oodcast";
  const query = new URLSearchParams(location.search);
  query.set("camera", camera);
  history.replaceState(null, "", "?" + query);
}

function tab(camera) {
  const b = document.createElement("button"), dot = document.createElement("span");
  dot.className = "dot";
  b.type = "button";
  b.dataset.camera = camera;
  b.append(dot, camera);
  b.onclick = () => choose(camera);
  b.setAttribute("aria-current", camera === app.camera);
  return b;
}

function show(names) {
  const tabs = $("cameras");
  if (names.join() !== [...tabs.children].map(b => b.dataset.camera).join()) tabs.replaceChildren(...names.map(tab));
  app.list.forEach((c, i) => {
    const state = c.paused ? "paused" : c.state;
    tabs.children[i].className = state;
    tabs.children[i].title = state + (c.reason ? ": " + c.reason : "");
  });
}

// follow asks for the cameras and the server's state every few seconds.
export async function follow() {
  for (;;) {
    try {
      app.list = (await (await api("api/v1/cameras")).json()).cameras;
      app.info = await (await api("api/v1/info")).json();
      const names = app.list.map(c => c.camera);
      show(names);
      tell("info");
      const wanted = new URLSearchParams(location.search).get("camera");
      if (!names.length) $("state-text").textContent = "no cameras";
      else if (!names.includes(app.camera)) choose(names.includes(wanted) ? wanted : names[0]);
    } catch (e) {
      if (!app.camera) connection("no connection");
    }
    await sleep(app.camera ? 5000 : 1500);
  }
}
