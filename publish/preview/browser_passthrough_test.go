package preview_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/publish/schema"
)

// codecPage plays url and keeps the connection in pc.
const codecPage = `(async url => {
	window.oodcast = {};
	document.body.innerHTML = "<video id=video autoplay muted playsinline></video>";
	window.pc = new RTCPeerConnection();
	pc.addTransceiver("video", { direction: "recvonly" });
	pc.ontrack = e => document.getElementById("video").srcObject = new MediaStream([e.track]);
	await pc.setLocalDescription(await pc.createOffer());
	const r = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: pc.localDescription.sdp });
	await pc.setRemoteDescription({ type: "answer", sdp: await r.text() });
	return r.status;
})(%q)`

// watchStats keeps the browser's own figures about the stream of a connection in window.seen.
const watchStats = `setInterval(async () => {
	const all = await %s.getStats();
	all.forEach(s => {
		if (s.type === "inbound-rtp" && s.kind === "video" && s.codecId)
			window.seen = { codec: all.get(s.codecId).mimeType, frames: s.framesDecoded, keys: s.keyFramesDecoded, lost: s.packetsLost };
	});
}, 100), true`

// TestBrowserPassthrough has Chromium play what a camera sends: its own H.264, VP8 while the camera is away, and H.264 again. Our
// page goes on showing the overlay.
func TestBrowserPassthrough(t *testing.T) {
	for _, profile := range []string{"baseline", "high"} {
		t.Run(profile, func(t *testing.T) {
			cam := newCamera("front")
			s := start(t, testConfig(), []schema.Camera{cam})
			server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", Profile: profile, FPS: 20})
			connect(t, s, cam, server)
			ctx := browser(t, 800, 600)
			if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL()+"livez")); err != nil {
				t.Fatal(err)
			}
			if code, err := chromedp.Run(ctx, chromedp.Evaluate[int](fmt.Sprintf(codecPage, s.URL()+"whep/front"), chromedp.EvalAwaitPromise)); err != nil || code != 201 {
				t.Fatalf("POST: %d, %v", code, err)
			}
			evaluate[bool](t, ctx, fmt.Sprintf(watchStats, "pc"))
			until(t, ctx, `window.seen?.codec === "video/H264" && seen.frames > 40`)
			if mean, deviation := picture(grab(t, ctx)); mean < 60 || mean > 200 || deviation < 20 {
				t.Errorf("picture has mean %.1f and deviation %.1f", mean, deviation)
			}
			server.Die()
			until(t, ctx, `seen.codec === "video/VP8"`)
			server.Revive(t)
			until(t, ctx, `seen.codec === "video/H264"`)
			n := evaluate[int](t, ctx, `seen.frames`)
			until(t, ctx, fmt.Sprintf(`seen.frames > %d`, n+40))
		})
	}
	t.Run("page", func(t *testing.T) {
		cam := newCamera("front")
		s := start(t, testConfig(), []schema.Camera{cam})
		connect(t, s, cam, ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", FPS: 20}))
		ctx := browser(t, 1200, 900)
		if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL())); err != nil {
			t.Fatal(err)
		}
		until(t, ctx, `oodcast.mode === "webrtc" && oodcast.stats.framesDecoded > 5`)
		evaluate[bool](t, ctx, fmt.Sprintf(watchStats, "oodcast.pc"))
		until(t, ctx, `window.seen?.codec === "video/VP8"`)
		if s.Listening("front") {
			t.Error("the page gets H.264")
		}
	})
}
