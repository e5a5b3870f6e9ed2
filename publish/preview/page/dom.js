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

// ms formats milliseconds to three digits or so.
export const ms = v => v >= 100 ? v.toFixed(0) : v.toFixed(1);

let toastTimer;

// toast shows an error for five seconds.
export function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").hidden = true, 5000);
}
