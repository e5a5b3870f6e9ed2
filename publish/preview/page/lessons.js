// "This is normal": an event is taught as normal for its camera and place. What that changes is shown before it is done, and
// each lesson can be taken back.

import { api } from "./api.js";
import { $, toast } from "./dom.js";
import { app, on } from "./state.js";

const address = () => "api/v1/cameras/" + app.camera + "/normal";

// ask returns the answer to a request, or nothing after saying what is wrong.
async function ask(path, options) {
  try {
    const r = await api(path, options);
    const answer = await r.json();
    if (r.ok) return answer;
    toast(answer.error);
  } catch (e) {
    toast("The server is not responding.");
  }
}

const teach = what => ask(address(), {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what),
});

on("teach", async e => {
  const tried = await teach({ event: e.id, dry_run: true });
  if (!tried) return;
  const others = tried.explained.filter(id => id !== e.id).length;
  $("normal-effect").textContent = tried.events < 2 ? "There are no other events yet to try it on." :
    `Of the ${tried.events - 1} other latest events, ${others || "none"} would not have been.`;
  const dialog = $("normal");
  dialog.returnValue = "";
  dialog.onclose = async () => {
    if (dialog.returnValue === "learn" && await teach({ event: e.id })) load();
  };
  dialog.showModal();
});

async function load() {
  const answer = await ask(address());
  if (!answer) return;
  $("lessons-card").hidden = answer.lessons.length === 0;
  $("lessons").replaceChildren(...answer.lessons.reverse().map(row));
}

function row(lesson) {
  const li = document.createElement("li"), time = document.createElement("time");
  const what = document.createElement("span"), forget = document.createElement("button");
  time.dateTime = lesson.time;
  time.textContent = new Date(lesson.time).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
  const percent = v => Math.round(100 * v) + "%";
  what.className = "what";
  what.textContent = `at ${percent(lesson.box.x + lesson.box.width / 2)}, ${percent(lesson.box.y + lesson.box.height / 2)}` +
    (lesson.stale ? ": without effect, the bundle is another one" : "");
  forget.type = "button";
  forget.textContent = "Forget";
  forget.disabled = app.info?.role === "viewer";
  forget.onclick = async () => await ask(address() + "/" + encodeURIComponent(lesson.id), { method: "DELETE" }) && load();
  li.append(time, what, forget);
  return li;
}

on("camera", () => {
  $("lessons-card").hidden = true;
  load();
});
on("audit", a => (a.action === "teach" || a.action === "forget") && a.camera === app.camera && load());
