// Requests to the server. All addresses are relative, so the page works below any path. Who may look or change settings is
// in a cookie that scripts cannot read; no address has a token in it.

import { $ } from "./dom.js";

let asking; // the login that is open, for all requests that wait for it

// askToken shows the login form until the server accepts a token.
function askToken() {
  return asking ??= new Promise(done => {
    const dialog = $("login");
    dialog.oncancel = e => e.preventDefault();
    dialog.onsubmit = async e => {
      e.preventDefault();
      const fault = await logIn($("token").value);
      $("login-fault").textContent = fault;
      if (fault) return;
      $("token").value = "";
      dialog.close();
      asking = undefined;
      done();
    };
    if (!dialog.open) dialog.showModal();
  });
}

// logIn exchanges a token for the cookie, and returns what is wrong, or nothing.
async function logIn(token) {
  try {
    const r = await fetch("api/v1/login", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }),
    });
    return r.ok ? "" : (await r.json()).error;
  } catch (e) {
    return "The server is not responding.";
  }
}

// logOut takes the cookie away; the next request asks for a token.
export async function logOut() {
  await fetch("api/v1/logout", { method: "POST" });
  location.reload();
}

// api fetches an address, and asks for a token until the server accepts one.
export async function api(path, options = {}) {
  for (;;) {
    const r = await fetch(path, options);
    if (r.status !== 401) return r;
    await askToken();
  }
}
