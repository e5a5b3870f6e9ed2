// A WebRTC session over WHEP. TURN servers belong into the configuration of the RTCPeerConnection below.

import { api } from "./api.js";
import { $, sleep } from "./dom.js";
import { app } from "./state.js";

let end = () => {}; // ends the session that plays

// A page that is closed or left gives its place to others at once. keepalive lets the request outlive the page.
addEventListener("pagehide", () => end());

// play shows the stream of a camera in the video element until it breaks or wanted() is false, and returns whether it
// played at all. It calls on.start with the first picture, on.frames with the rate, and on.stall when pictures stop.
export async function play(camera, wanted, on) {
  let pc, session, played = false;
  const finish = end = () => {
    pc?.close();
    if (session) api("whep/" + camera + "/" + session, { method: "DELETE", keepalive: true }).catch(() => {});
    session = null;
  };
  try {
    pc = app.pc = new RTCPeerConnection();
    pc.addTransceiver("video", { direction: "recvonly" });
    pc.ontrack = e => {
      $("video").srcObject = e.streams[0] || new MediaStream([e.track]);
      if ("jitterBufferTarget" in e.receiver) e.receiver.jitterBufferTarget = 0;
    };
    await pc.setLocalDescription(await pc.createOffer());
    const r = await api("whep/" + camera + "?overlay=1", { // and not the camera's own H.264, which has none
      method: "POST", headers: { "Content-Type": "application/sdp" }, body: pc.localDescription.sdp,
    });
    if (!r.ok) throw new Error(r.status === 503 ? "too many viewers" : "no session");
    session = r.headers.get("Location").split("/").pop();
    await pc.setRemoteDescription({ type: "answer", sdp: await r.text() });
    let frames = 0, still = 0, before = performance.now();
    for (;;) {
      await sleep(500);
      if (!wanted()) return played;
      if (pc.connectionState === "failed" || pc.connectionState === "closed") return played;
      const s = await inbound(pc);
      if (s.framesDecoded > frames) {
        if (!played) {
          played = true;
          on.start();
        }
        const now = performance.now();
        on.frames(1000 * (s.framesDecoded - frames) / (now - before));
        frames = s.framesDecoded;
        before = now;
        still = 0;
      } else if (++still >= (played ? 14 : 12)) {
        return played; // frozen: the server repeats a picture every second
      } else if (played && still > 5) {
        on.stall();
      }
      app.stats = s;
    }
  } catch (e) {
    app.error = String(e);
    return played;
  } finally {
    finish();
  }
}

// inbound returns the browser's own figures about the stream that it receives.
async function inbound(pc) {
  const out = { framesDecoded: 0 };
  (await pc.getStats()).forEach(s => {
    if (s.type !== "inbound-rtp" || s.kind !== "video") return;
    Object.assign(out, {
      framesDecoded: s.framesDecoded || 0, packetsLost: s.packetsLost, keyFramesDecoded: s.keyFramesDecoded,
      width: s.frameWidth, height: s.frameHeight, pli: s.pliCount, bytes: s.bytesReceived,
    });
  });
  return out;
}
