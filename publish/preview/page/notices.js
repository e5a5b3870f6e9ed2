// What an operator should know: a camera that is down, NATS out of reach, a configuration that was rejected, drift.

import { $ } from "./dom.js";
import { app, on } from "./state.js";

let shown = "[]";

function show() {
  const s = app.status || {}, list = [];
  if (s.reason) list.push(["bad", s.paused ? "paused" : s.state, s.reason]);
  if (app.info?.nats?.state === "away") {
    list.push(["bad", "NATS is unreachable", "events wait on disk, maps are dropped and counted"]);
  }
  if (s.config_fault) list.push(["bad", "configuration not applied", s.config_fault]);
  if (s.hint) list.push(["", "drift", s.hint]);
  const text = JSON.stringify(list);
  if (text === shown) return; // screen readers read what changes
  shown = text;
  $("notices").hidden = !list.length;
  $("notices").replaceChildren(...list.map(([kind, what, why]) => {
    const li = document.createElement("li"), b = document.createElement("b");
    li.className = kind;
    b.textContent = what;
    li.append(b, why);
    return li;
  }));
}

on("status", show);
on("info", show);
