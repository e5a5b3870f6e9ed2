// What the page knows, and who wants to hear of it. Modules do not call each other: one tells, others listen.
//
//   camera  another camera is shown        status  the state and the settings of that camera
//   score   a map was made                 event   an event started, changed or ended
//   info    the server's own state         back    the server answers again
//   audit   a setting of any camera was changed     teach  a person says that an event is normal

// app is also for the browser's console and the tests.
export const app = window.oodcast = { camera: null, status: null, mode: "", stats: {}, maps: 0 };

const listeners = {};

export function on(kind, f) { (listeners[kind] ??= []).push(f); }

export function tell(kind, value) {
  for (const f of listeners[kind] || []) f(value);
}

export function setStatus(status) {
  if (!status) return;
  app.status = status;
  tell("status", status);
}
