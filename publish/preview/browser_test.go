package preview_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/oodcast/oodcast/publish/schema"
)

// browser starts a headless Chromium with a window of w×h.
func browser(t *testing.T, w, h int) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("chromium is missing: run `make deps`")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(w, h),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func evaluate[T any](t *testing.T, ctx context.Context, js string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	if err != nil {
		t.Fatalf("%s: %v", js, err)
	}
	return v
}

func until(t *testing.T, ctx context.Context, js string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](js, chromedp.WithPollingTimeout(30*time.Second))); err != nil {
		state, _ := chromedp.Run(
			ctx, chromedp.Evaluate[string](`JSON.stringify({...oodcast, pc: oodcast.pc?.connectionState})`),
		)
		t.Fatalf("waited in vain for %s: %v\npage: %s", js, err, state)
	}
}

// grab returns the picture in the video element.
func grab(t *testing.T, ctx context.Context) image.Image {
	t.Helper()
	text := evaluate[string](t, ctx, `(() => { const v = document.getElementById("video");
		const c = document.createElement("canvas");
		c.width = v.videoWidth; c.height = v.videoHeight; c.getContext("2d").drawImage(v, 0, 0);
		return c.toDataURL("image/png").split(",")[1]; })()`)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// difference returns the mean absolute difference of two pictures, in grey levels.
func difference(a, b image.Image) float64 {
	var n, s float64
	for y := 0; y < a.Bounds().Dy(); y += 3 {
		for x := 0; x < a.Bounds().Dx(); x += 3 {
			_, g, _, _ := a.At(x, y).RGBA()
			_, h, _, _ := b.At(x, y).RGBA()
			n, s = n+1, s+math.Abs(float64(g)-float64(h))/257
		}
	}
	return s / n
}

// TestBrowserPlaysWHEP opens the page in Chromium: the WebRTC stream plays without loss, the picture moves, and the
// slider changes |T| in the maps that follow.
func TestBrowserPlaysWHEP(t *testing.T) {
	cam := newCamera("street")
	s := start(t, testConfig(), []schema.Camera{cam})
	feed(t, s, cam, 15)
	ctx := browser(t, 1440, 1000)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL())); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	until(t, ctx, `oodcast.stats.framesDecoded > 5`)
	t.Logf("6 frames decoded %v after the page", time.Since(begin).Round(time.Millisecond))
	first := grab(t, ctx)
	if b := first.Bounds(); b.Dx() != 768 || b.Dy() != 576 {
		t.Errorf("video is %v, want 768x576", b)
	}
	frames := evaluate[int](t, ctx, `oodcast.stats.framesDecoded`)
	until(t, ctx, fmt.Sprintf(`oodcast.stats.framesDecoded >= %d`, frames+30))
	if lost := evaluate[int](t, ctx, `oodcast.stats.packetsLost`); lost != 0 {
		t.Errorf("%d packets lost", lost)
	}
	second := grab(t, ctx)
	mean, deviation := picture(second)
	if mean < 20 || mean > 235 || deviation < 20 {
		t.Errorf("picture has mean %.1f and deviation %.1f: nothing to see", mean, deviation)
	}
	if d := difference(first, second); d < 0.5 {
		t.Errorf("the picture moved by %.2f grey levels in 30 frames", d)
	}

	until(t, ctx, `oodcast.last && oodcast.last.timesteps === 5`)
	setSlider(t, ctx, "timesteps", 17)
	until(t, ctx, `oodcast.last.timesteps === 17 && oodcast.status.timesteps === 17`)
	if n := cam.Status().Timesteps.N; n != 17 {
		t.Errorf("|T| = %d in the camera, want 17", n)
	}
	setSlider(t, ctx, "threshold", 6.5)
	until(t, ctx, `oodcast.status.threshold === 6.5 && document.getElementById("threshold-value").textContent === "6.5"`)
	setSlider(t, ctx, "threshold", 4)
	until(t, ctx, `document.querySelectorAll("#events li").length > 0`)
	if dir := os.Getenv("OODCAST_SCREENSHOTS"); dir != "" {
		time.Sleep(8 * time.Second) // for the eye only: a sparkline with some length
		screenshot(t, ctx, filepath.Join(dir, "page.png"))
		if _, err := chromedp.Run(ctx, chromedp.EmulateViewport(390, 1500)); err != nil {
			t.Fatal(err)
		}
		screenshot(t, ctx, filepath.Join(dir, "phone.png"))
	}
	if width := evaluate[int](t, ctx, `document.documentElement.scrollWidth - innerWidth`); width > 0 {
		t.Errorf("the page is %d px wider than its window", width)
	}
}

func setSlider(t *testing.T, ctx context.Context, id string, v float64) {
	t.Helper()
	evaluate[bool](t, ctx, fmt.Sprintf(`(() => { const e = document.getElementById(%q); e.value = %v;
		e.dispatchEvent(new Event("input", { bubbles: true })); return true; })()`, id, v))
}

func screenshot(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBrowserComesBack stops the server under the page and starts it again: the page reconnects without help.
func TestBrowserComesBack(t *testing.T) {
	cfg := testConfig()
	ctx := browser(t, 390, 844)
	t.Run("before", func(t *testing.T) {
		cam := newCamera("street")
		s := start(t, cfg, []schema.Camera{cam})
		cfg.Listen = strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/")
		feed(t, s, cam, 15)
		if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL())); err != nil {
			t.Fatal(err)
		}
		until(t, ctx, `oodcast.stats.framesDecoded > 5`)
		if width := evaluate[int](t, ctx, `document.documentElement.scrollWidth - innerWidth`); width > 0 {
			t.Errorf("on a phone the page is %d px wider than its window", width)
		}
	})
	until(t, ctx, `document.getElementById("state-text").textContent === "no connection"`)
	cam := newCamera("street")
	s := start(t, cfg, []schema.Camera{cam})
	feed(t, s, cam, 15)
	until(
		t, ctx,
		`oodcast.mode === "webrtc" && oodcast.pc.connectionState === "connected" &&
			document.getElementById("state-text").textContent === "live"`,
	)
	frames := evaluate[int](t, ctx, `oodcast.stats.framesDecoded`)
	until(t, ctx, fmt.Sprintf(`oodcast.stats.framesDecoded !== %d`, frames))
}

// TestBrowserFallsBack has a browser without WebRTC and a server that requires a token.
func TestBrowserFallsBack(t *testing.T) {
	cfg := testConfig()
	cfg.Token = testToken
	cam := newCamera("street")
	s := start(t, cfg, []schema.Camera{cam})
	feed(t, s, cam, 15)
	ctx := browser(t, 1200, 900)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL())); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.getElementById("login").open`)
	evaluate[bool](t, ctx, `delete window.RTCPeerConnection`)
	evaluate[bool](t, ctx, `(() => { document.getElementById("token").value = "correct-horse-battery";
		document.querySelector("#login button").click(); return true; })()`)
	until(t, ctx, `oodcast.mode === "mjpeg" && document.getElementById("mjpeg").naturalWidth === 768`)
	until(t, ctx, `oodcast.maps > 3`)
	if n := s.Viewers("street"); n != 1 {
		t.Errorf("Viewers() = %d, want 1", n)
	}
}
