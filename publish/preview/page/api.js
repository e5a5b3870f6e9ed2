// Requests to the server, with its token. All addresses are relative, so the page works below any path.

import { $ } from "./dom.js";

const query = new URLSearchParams(location.search);
let token = query.get("token") || sessionStorage.getItem("token") || "";
if (query.has("token")) { // it must not stay in the address bar
  sessionStorage.setItem("token", token);
  query.delete("token");
  history.replaceState(null, "", location.pathname + (query.size ? "?" + query : ""));
}

// withToken returns an address for an element, which cannot send headers.
export const withToken = url =>
  token ? url + (url.includes("?") ? "&" : "?") + "token=" + encodeURIComponent(token) : url;

function askToken() {
  return new Promise(done => {
    $("login").onclose = () => {
      token = $("token").value;
      sessionStorage.setItem("token", token);
      done();
    };
    if (!$("login").open) $("login").showModal();
  });
}

// api fetches an address, and asks for the token until the server accepts it.
export async function api(path, options = {}) {
  for (;;) {
    const headers = { ...(options.headers || {}) };
    if (token) headers.Authorization = "Bearer " + token;
    const r = await fetch(path, { ...options, headers });
    if (r.status !== 401) return r;
    await askToken();
  }
}
