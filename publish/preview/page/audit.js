// The latest changes of settings, newest first: when, which camera, from what to what, who, from where.

import { $ } from "./dom.js";
import { on } from "./state.js";

const most = 50;
const seen = new Map(); // list items by the text of their message: after a break the server sends the latest ones again

on("audit", a => {
  const key = JSON.stringify(a);
  if (seen.has(key)) return;
  seen.set(key, row(a));
  const newest = [...seen].sort(([, x], [, y]) => y.when - x.when);
  for (const [old] of newest.splice(most)) seen.delete(old);
  $("audit").replaceChildren(...newest.map(([, li]) => li));
  $("no-audit").hidden = true;
});

function row(a) {
  const li = document.createElement("li"), time = document.createElement("time");
  const what = document.createElement("span"), who = document.createElement("span");
  li.when = Date.parse(a.time);
  time.dateTime = a.time;
  time.textContent = new Date(a.time).toLocaleTimeString([], { hour12: false });
  time.title = new Date(a.time).toLocaleString();
  what.className = "what";
  what.textContent = a.camera + ": " + describe(a);
  who.className = "who";
  who.textContent = requester(a);
  who.title = [a.via, a.name, a.address].filter(Boolean).join(", ");
  li.append(time, what, who);
  return li;
}

const DONE = {
  set: "", pause: "paused", resume: "resumed", reload: "", restore: "restored", added: "camera added",
  restarted: "camera restarted", removed: "camera removed", teach: "taught", forget: "forgotten",
};

// describe says what was done, and the settings that differ. A camera that came or went differs in all of them.
function describe(a) {
  const done = DONE[a.action] ?? a.action;
  if (a.action === "added" || a.action === "removed" || a.action === "pause" || a.action === "resume") return done;
  const list = a.changes?.length ? a.changes.map(c => [c.key, c.before, c.after]) :
    Object.keys(a.after).map(key => [key, text(a.before[key]), text(a.after[key])]);
  const different = list.filter(([, before, after]) => before !== after).map(([key, before, after]) => `${key} ${before} → ${after}`);
  const same = list.map(([key, , after]) => `${key} ${after}, as before`);
  return [done, (different.length ? different : same).join(", ")].filter(Boolean).join(": ");
}

const text = v => v === undefined ? "–" : Array.isArray(v) ? "[" + v.join(", ") + "]" : String(v);

// requester names who asked and from where, as far as they said: nobody has checked the name.
function requester(a) {
  if (a.via === "config") return a.address || "configuration";
  if (a.via === "state") return "after a restart";
  const name = /^Mozilla\//.test(a.name || "") ? "browser" : a.name;
  return [a.via === "nats" ? "NATS" : "", name, a.address].filter(Boolean).join(" · ");
}
