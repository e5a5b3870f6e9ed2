package bench

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
)

func TestMain(m *testing.M) {
	if _, err := ort.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func TestRun(t *testing.T) {
	b, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Width: 128, Height: 64, Timesteps: []int{1, 5}, Frames: 2, Batch: 2}
	r, err := Run(t.Context(), b, cfg, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if r.Bundle != models.Embedded || r.Provider != "cpu" || r.Width != 128 || r.Height != 64 || r.Batch != 2 ||
		len(r.Rows) != 2 {
		t.Errorf("report %+v", r)
	}
	for i, row := range r.Rows {
		if row.Timesteps != cfg.Timesteps[i] || !(row.EncodeP50 > 0) || !(row.ScoreP50 > 0) || row.TotalP95 < row.TotalP50 ||
			row.TotalP50 < row.ScoreP50 || !(row.FPS > 0) {
			t.Errorf("row %+v", row)
		}
	}
	cfg.Timesteps = []int{1000}
	if _, err := Run(t.Context(), b, cfg, ort.Options{Threads: 1}); !errors.Is(err, detector.ErrSetting) {
		t.Errorf("|T|=1000: %v, want %v", err, detector.ErrSetting)
	}
}

// Second looks need a calibration of them, which the embedded bundle lacks.
func TestSecondLook(t *testing.T) {
	b, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Width: 128, Height: 64, Timesteps: []int{1}, Frames: 1, Batch: 1, SecondLook: true}
	if _, err := Run(t.Context(), b, cfg, ort.Options{Threads: 1}); !errors.Is(err, detector.ErrSetting) {
		t.Errorf("Run() = %v, want %v", err, detector.ErrSetting)
	}
}

func TestValidate(t *testing.T) {
	want := "bench.frames: got 0, want 1 or more\nbench.batch: got 33, want 1 to 32"
	if err := (Config{Batch: 33}).Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate() = %v, want %q", err, want)
	}
}

func TestPercentiles(t *testing.T) {
	var ms []float64
	for i := range 100 {
		ms = append(ms, float64(100-i))
	}
	if p50, p95 := percentiles(ms); p50 != 51 || p95 != 96 {
		t.Errorf("percentiles of 1 … 100: %v, %v, want 51, 96", p50, p95)
	}
	if p50, p95 := percentiles([]float64{7}); p50 != 7 || p95 != 7 {
		t.Errorf("percentiles of one value: %v, %v", p50, p95)
	}
}
