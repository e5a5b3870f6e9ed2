// Small helpers for the document.

export const $ = id => document.getElementById(id);

export const sleep = ms => new Promise(done => setTimeout(done, ms));

// later returns f delayed by ms; a call in the meantime replaces the one before.
export function later(ms, f) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...args), ms);
  };
}

let toastTimer;

// toast shows an error for five seconds.
export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").hidden = true, 5000);
}
