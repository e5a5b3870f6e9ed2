package preview_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// players is where `make deps-test` unpacks the players.
const players = "../../.deps/players"

// playerPages play url in the video element v, each with a player that others wrote, used as its own documentation shows.
var playerPages = map[string]string{
	"eyevinn": `
		const load = async (file, needs) => {
			const exports = {}, module = { exports };
			new Function("require", "module", "exports", await (await fetch(file)).text())(name => needs[name] || {}, module, exports);
			return module.exports;
		};
		const events = await load("/players/events/events.js", {});
		const { WebRTCPlayer } = await load("/players/webrtc-player/dist/main.js", { events });
		const player = new WebRTCPlayer({ video: v, type: "whep", iceServers: [] });
		player.load(new URL(url));
		window.stop = () => player.unload();`,
	"whip-whep": `
		const { WHEPClient } = await import("/players/whip-whep/whep.js");
		const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
		pc.addTransceiver("audio");
		pc.addTransceiver("video");
		pc.ontrack = e => { if (e.track.kind === "video") v.srcObject = e.streams[0] || new MediaStream([e.track]); };
		const whep = new WHEPClient();
		whep.view(pc, url);
		window.restart = () => whep.restart();
		window.stop = () => whep.stop();`,
	"mediamtx": `
		const { MediaMTXWebRTCReader } = await import("/players/mediamtx-webrtc-react/dist/index.js");
		const reader = new MediaMTXWebRTCReader({
			url, onError: e => problems.push(e), onTrack: e => { if (e.track.kind === "video") v.srcObject = e.streams[0] || new MediaStream([e.track]); },
		});
		window.stop = () => reader.close();`,
}

// playerPage is a page of another origin. React is imported by one of the players and not needed by what it plays with.
const playerPage = `<!doctype html><meta charset="utf-8"><script>
	window.problems = []; window.oodcast = {};
	addEventListener("unhandledrejection", e => problems.push(String(e.reason)));
	addEventListener("error", e => problems.push(e.message));
</script>
<script type="importmap">{"imports": {"react": "/react.js", "react/jsx-runtime": "/react.js"}}</script>
<video autoplay muted playsinline></video>
<script type="module">const v = document.querySelector("video"), url = %q;%s</script>`

const noReact = `const f = () => {}; export default f;
export { f as useEffect, f as useRef, f as useState, f as useCallback, f as jsx, f as jsxs };`

// TestForeignPlayers has three players from npm play our stream in Chromium, from another origin: VP8 of a camera that does not
// send H.264, and what a camera sends that does.
func TestForeignPlayers(t *testing.T) {
	if _, err := os.Stat(players); err != nil {
		t.Skipf("%v: run `make deps-test`", err)
	}
	var whep string
	mux := http.NewServeMux()
	mux.Handle("GET /players/", http.StripPrefix("/players/", http.FileServer(http.Dir(players))))
	mux.HandleFunc("GET /react.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write([]byte(noReact))
	})
	mux.HandleFunc("GET /play/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, playerPage, whep, playerPages[r.PathValue("name")])
	})
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	cfg, cam, passed := testConfig(), newCamera("street"), newCamera("h264")
	cfg.Origins = []string{site.URL}
	s := start(t, cfg, []schema.Camera{cam, passed})
	feed(t, s, cam, 15)
	connect(t, s, passed, ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", FPS: 20}))
	for name := range playerPages {
		for camera, size := range map[string]string{"street": "768x576", "h264": "320x240"} {
			t.Run(name+"/"+camera, func(t *testing.T) {
				whep = s.URL() + "whep/" + camera
				playWith(t, s, site.URL, name, camera, size)
			})
		}
	}
}

// playWith has a player play a camera whose pictures have the given size.
func playWith(t *testing.T, s *preview.Server, site, name, camera, size string) {
	ctx := browser(t, 800, 600)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(site+"/play/"+name)); err != nil {
		t.Fatal(err)
	}
	frames := func(more int) {
		t.Helper()
		n := evaluate[int](t, ctx, `document.querySelector("video").getVideoPlaybackQuality().totalVideoFrames`)
		until(t, ctx, fmt.Sprintf(`problems.length > 0 ||
			document.querySelector("video").getVideoPlaybackQuality().totalVideoFrames >= %d`, n+more))
		if p := evaluate[string](t, ctx, `problems.join()`); p != "" {
			t.Fatalf("the player reports %s", p)
		}
	}
	frames(20)
	if name == "whip-whep" {
		evaluate[bool](t, ctx, `(restart(), true)`)
		frames(30)
	}
	shown := evaluate[string](t, ctx, `(v => v.videoWidth + "x" + v.videoHeight)(document.querySelector("video"))`)
	if passes := s.Listening(camera); shown != size || passes != (camera == "h264") {
		t.Errorf("the picture is %s, want %s; H.264: %v", shown, size, passes)
	}
	if n := s.Viewers(camera); n != 1 {
		t.Errorf("Viewers() = %d, want 1", n)
	}
	evaluate[bool](t, ctx, `(stop(), true)`)
	wait(t, "the viewer to be gone", func() bool { return s.Viewers(camera) == 0 })
}
