package fit

import (
	"path/filepath"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
)

// A U-Net can be fitted, calibrated and scored like the MLP, and detects an object in the yard.
func TestUNet(t *testing.T) {
	opt := quick(t, filepath.Join(t.TempDir(), "unet"))
	opt.Denoiser, opt.Batch, opt.Steps = UNet, 4*unetWindow*unetWindow, 60
	if res := mustRun(t, opt); res.Loss > 0.95 {
		t.Errorf("loss %g after %d steps", res.Loss, res.Steps)
	}
	engine, err := ort.OpenEngine(openBundle(t, opt.Out), detector.DefaultConfig(), ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	if engine.Scorer.Window() != unetWindow {
		t.Errorf("window %d", engine.Scorer.Window())
	}
	for i := range uint64(10) {
		empty, full := score(t, engine, yardFrame(1000+i, 0, 0)), score(t, engine, yardFrame(2000+i, 32, 32))
		if full.Peak < empty.Peak+2 {
			t.Errorf("peak %g of the empty yard, %g with a square in it", empty.Peak, full.Peak)
		}
	}
}
