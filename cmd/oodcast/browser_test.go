package main

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// videoStats reads the browser's own statistics of the stream that the page receives.
const videoStats = `(async () => {
  const all = {decoded: 0, lost: 0, width: 0};
  if (oodcast.pc) for (const [, s] of await oodcast.pc.getStats()) if (s.type === 'inbound-rtp') {
    all.decoded += s.framesDecoded || 0; all.lost += s.packetsLost || 0; all.width = s.frameWidth || all.width;
  }
  return all;
})()`

// picture reads the brightness of the frame on the screen, sampled at 64×48 points.
const picture = `(() => {
  const v = document.querySelector('video'), c = document.createElement('canvas');
  c.width = 64; c.height = 48;
  const g = c.getContext('2d'); g.drawImage(v, 0, 0, 64, 48);
  const d = g.getImageData(0, 0, 64, 48).data, s = [];
  for (let i = 0; i < d.length; i += 4) s.push((d[i] + d[i + 1] + d[i + 2]) / 3);
  return s;
})()`

type inbound struct {
	Decoded, Lost, Width int
}

func browser(t *testing.T) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1400, 1000),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
	)
	alloc, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	return ctx
}

// The page shows a moving picture without loss, and its slider changes |T| in the maps on NATS.
func TestPageShowsTheStream(t *testing.T) {
	p, nc := yard(t)
	address := p.find(t, "page")
	sub := maps(t, nc)

	ctx := browser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(address), chromedp.WaitVisible("#video")); err != nil {
		t.Fatal(err)
	}
	stats := func() inbound { return evaluate[inbound](ctx, t, videoStats) }
	first := waitFor(t, func() (inbound, bool) { s := stats(); return s, s.Decoded >= 5 })
	before := evaluate[[]float64](ctx, t, picture)
	last := waitFor(t, func() (inbound, bool) { s := stats(); return s, s.Decoded >= first.Decoded+20 })
	after := evaluate[[]float64](ctx, t, picture)
	t.Logf("%d frames decoded, %d packets lost, %d pixels wide", last.Decoded, last.Lost, last.Width)
	if last.Lost != 0 {
		t.Errorf("%d packets lost on loopback", last.Lost)
	}
	brightness, change := compare(before, after)
	if brightness < 20 || brightness > 235 {
		t.Errorf("mean brightness %.0f of 255, want a picture of a sunny yard", brightness)
	}
	if change < 0.1 {
		t.Errorf("the picture changed by %.2f grey levels, want at least 0.1", change)
	}

	evaluate[chromedp.Void](ctx, t, `{ const s = document.querySelector('#timesteps'); s.value = 3;
		s.dispatchEvent(new Event('input', {bubbles: true})); s.dispatchEvent(new Event('change', {bubbles: true})); }`)
	waitFor(t, func() (int, bool) {
		m, _ := next(t, sub, 30*time.Second)
		n := len(m.GetModel().GetTimesteps())
		return n, n == 3
	})
}

// compare returns the mean brightness of b and its mean absolute difference from a, in grey levels.
func compare(a, b []float64) (brightness, change float64) {
	for i := range b {
		brightness += b[i] / float64(len(b))
		change += max(a[i]-b[i], b[i]-a[i]) / float64(len(b))
	}
	return brightness, change
}

// waitFor calls ask until it reports success, and returns its last value.
func waitFor[T any](t *testing.T, ask func() (T, bool)) T {
	t.Helper()
	var v T
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		var ok bool
		if v, ok = ask(); ok {
			return v
		}
		select {
		case <-t.Context().Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Fatalf("still %v after a minute", v)
	return v
}

// evaluate runs JavaScript in the page and returns what its promise resolves to.
func evaluate[T any](ctx context.Context, t *testing.T, js string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
