// The list of events, newest first, with thumbnails where evidence is kept.

import { $ } from "./dom.js";
import { app, on, tell } from "./state.js";

const most = 50;
const events = new Map(); // the newest message about each event, by id
const rows = new Map(); // list items, by id

on("event", e => {
  events.set(e.id, e);
  while (events.size > most) events.delete(events.keys().next().value);
  const list = [...events.values()].sort((a, b) => a.start < b.start ? 1 : -1);
  $("no-events").hidden = list.length > 0;
  $("event-count").textContent = list.length ? list.length : "";
  $("events").classList.toggle("bare", !list.some(e => e.snapshot));
  list.forEach((e, at) => {
    const li = rows.get(e.id) || row(e.id);
    fill(li, e);
    if ($("events").children[at] !== li) $("events").insertBefore(li, $("events").children[at] || null);
  });
  for (const [id, li] of rows) {
    if (events.has(id)) continue;
    li.remove();
    rows.delete(id);
  }
});

on("camera", () => {
  events.clear();
  rows.clear();
  $("events").replaceChildren();
  $("no-events").hidden = false;
  $("event-count").textContent = "";
});

function row(id) {
  const li = document.createElement("li");
  const add = (tag, name) => {
    const el = document.createElement(tag);
    el.className = name;
    li.append(el);
    return el;
  };
  add("span", "dot");
  li.time = add("time", "");
  li.shot = add("a", "shot");
  li.where = add("span", "where");
  li.peak = add("b", "");
  const normal = add("button", "quiet");
  normal.type = "button";
  normal.textContent = "Normal?";
  normal.title = "teach the camera that this is normal here";
  li.normal = normal;
  normal.onclick = () => tell("teach", events.get(id));
  rows.set(id, li);
  return li;
}

// voices say in words which part of the score spoke the loudest at the peak.
const voices = {
  diffusion: ["unfamiliar", "The features are unlike those of normal footage."],
  unclaimed: ["no known class", "No class that the network knows claims it."],
  contrast: ["stands out", "The network is less sure here than around it: small things show so."],
  motion: ["moves oddly", "It is faster than what moves there normally."],
};

// categories say in words what an event is about, if it is not a strange region.
const categories = {
  motion: ["too fast", "It is faster than what moves here normally."],
  crowd: ["much of the picture", "A strange region takes up a quarter of the picture or more."],
  left: ["left here", "Something new has been still for a while."],
  taken: ["taken away", "Something that was always here is gone."],
  covered: ["lens covered", "Something in front of the lens hides the place."],
  moved: ["camera moved", "The camera looks elsewhere than it used to."],
  defocused: ["out of focus", "The place is blurred."],
};

function fill(li, e) {
  li.className = e.type === "end" ? "" : "open";
  li.title = e.id + (e.reason ? ": " + e.reason : "");
  li.time.textContent = new Date(e.start).toLocaleTimeString([], { hour12: false });
  const [word, meaning] = voices[e.voice] || ["", ""];
  const [what, why] = categories[e.category] || [word, meaning];
  const seen = e.seen_as && `seen as ${e.seen_as}`;
  li.where.title = "place, share of the picture, duration" + (why ? ", why: " + why : "");
  li.where.textContent = [place(e.box), `${(100 * e.area).toFixed(1)}%`, `${(e.duration_ms / 1000).toFixed(1)} s`, e.zone, what, seen]
    .filter(Boolean).join(", ");
  li.normal.hidden = app.info?.role === "viewer" || ["covered", "moved", "defocused"].includes(e.category); // not about a place
  li.peak.textContent = "peak " + e.peak.toFixed(1);
  if (e.snapshot && li.shown !== e.snapshot) picture(li, e, 0);
}

function place(box) {
  const x = box.x + box.width / 2, y = box.y + box.height / 2;
  return (y < .33 ? "top" : y > .67 ? "bottom" : "middle") + " " + (x < .33 ? "left" : x > .67 ? "right" : "centre");
}

// picture shows the thumbnail of an event. The file is written a moment after the message, so a failure is tried again.
function picture(li, e, tries) {
  const base = "api/v1/events/" + encodeURIComponent(e.id) + "/", img = new Image();
  img.alt = "picture of the event";
  img.onload = () => li.shot.replaceChildren(img);
  img.onerror = () => {
    if (tries < 5 && rows.get(e.id) === li && li.shown === e.snapshot) {
      setTimeout(() => picture(li, e, tries + 1), 500 << tries);
    }
  };
  li.shown = e.snapshot;
  li.shot.href = base + "snapshot.jpg";
  li.shot.target = "_blank";
  li.shot.rel = "noopener";
  img.src = base + "thumb.jpg?of=" + encodeURIComponent(e.snapshot.split("/").pop()) + "&try=" + tries;
}
