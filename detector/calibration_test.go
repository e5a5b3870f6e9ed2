package detector

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCalibrationRoundTrip(t *testing.T) {
	cal := testCalibration(t)
	r := rand.New(rand.NewPCG(1, 1))
	values, peaks := make([]float32, 1000), make([]float32, 20)
	for _, x := range [][]float32{values, peaks} {
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
	}
	cal.Levels = []Level{NewLevel(5, values, peaks)}
	raw, err := cal.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseCalibration(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cal, got); diff != "" {
		t.Error(diff)
	}
}

func TestQuantiles(t *testing.T) {
	x := make([]float32, 101)
	for i := range x {
		x[i] = float32(100 - i)
	}
	list := quantiles(x, []float64{0, 0.25, 0.995, 1})
	for i, want := range []float64{0, 25, 99.5, 100} {
		if math.Abs(list[i].Value-want) > 1e-5 {
			t.Errorf("quantile %v = %v, want %v", list[i].P, list[i].Value, want)
		}
	}
	if got := quantile(list, 0.125); math.Abs(got-12.5) > 1e-6 {
		t.Errorf("between two quantiles: %v, want 12.5", got)
	}
	if got := quantiles([]float32{3}, []float64{0.5}); got[0].Value != 3 {
		t.Errorf("quantile of a single value: %v, want 3", got)
	}
}

func TestCalibrationRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Calibration)
		want string
	}{
		{"format", func(c *Calibration) { c.Format = 2 }, "calibration.format: got 2, want 1"},
		{"lengths", func(c *Calibration) { c.Mean = c.Mean[1:] }, "calibration.mean: got 5 timesteps, 4 means"},
		{"variance", func(c *Calibration) { c.Covariance[2][2] = 0 }, "calibration.covariance: row 2"},
		{"nan", func(c *Calibration) { c.Mean[0] = math.NaN() }, "calibration.mean"},
		{"lse", func(c *Calibration) { c.LSE.Std = -1 }, "calibration.lse"},
		{"levels", func(c *Calibration) { c.Levels = []Level{{Timesteps: 9}} }, "calibration.levels: |T|=9"},
	} {
		c := testCalibration(t)
		tt.edit(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Validate() = %v, want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzParseCalibration(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"format":1,"timesteps":[5],"mean":[0],"covariance":[[1]],"min":[0],"max":[1],` +
		`"lse":{"mean":0,"std":1,"min":0,"max":1},"levels":[{"timesteps":1,"values":[{"p":0.5,"value":1}],` +
		`"peaks":[{"p":0.5,"value":1}]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ParseCalibration(raw)
		if err != nil {
			return
		}
		if _, err := c.Marshal(); err != nil {
			t.Errorf("a parsed calibration does not marshal: %v", err)
		}
		for n := range 30 {
			c.scale(n)
		}
		c.DefaultThreshold()
	})
}
