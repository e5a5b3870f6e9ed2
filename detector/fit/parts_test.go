package fit

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector"
)

func TestSampleIsUniform(t *testing.T) {
	const limit, blocks, size = 200, 50, 100
	counts := make([]float64, blocks)
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := sample{channels: 1, limit: limit}
		for b := range blocks {
			enc := &detector.Encoding{Width: size, Height: 1, Channels: 1, Features: make([]float32, size)}
			for i := range enc.Features {
				enc.Features[i] = float32(b)
			}
			s.add(r, enc)
		}
		if s.tokens() != limit || s.seen != blocks*size {
			t.Fatalf("%d tokens of %d seen, want %d of %d", s.tokens(), s.seen, limit, blocks*size)
		}
		for _, v := range s.data {
			counts[int(v)]++
		}
	}
	// Each block's count is nearly Poisson-distributed with mean 160; the tolerance is five deviations.
	mean := 40.0 * limit / blocks
	for b, n := range counts {
		if math.Abs(n-mean) > 5*math.Sqrt(mean) {
			t.Errorf("tokens of block %d are kept %v times, want %v", b, n, mean)
		}
	}
}

func TestNormalisation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := sample{channels: 3, limit: 5000}
	for range 5000 {
		s.data = append(s.data, float32(4+2*r.NormFloat64()), float32(-1+0.5*r.NormFloat64()), 7)
	}
	global, err := s.global()
	if err != nil {
		t.Fatal(err)
	}
	if global.scale[0] != global.scale[1] || global.scale[0] < 5 || global.scale[0] > 10 {
		t.Errorf("global scale %v, want half the range of the widest channel for all", global.scale)
	}
	n, err := s.perChannel()
	if err != nil {
		t.Fatal(err)
	}
	// Three standard errors of 5000 samples.
	for ch, want := range [][2]float64{{4, 2}, {-1, 0.5}} {
		if math.Abs(float64(n.shift[ch])-want[0]) > 0.1 || math.Abs(float64(n.scale[ch])/want[1]-1) > 0.03 {
			t.Errorf("channel %d: shift %v, scale %v, want %v", ch, n.shift[ch], n.scale[ch], want)
		}
	}
	if n.scale[2] <= 0 {
		t.Errorf("a channel that never varies has scale %v", n.scale[2])
	}
	if std := s.apply(n); math.Abs(std-2.0/3) > 0.01 { // two channels of deviation 1, one of 0
		t.Errorf("mean deviation %v after normalisation, want 0.667", std)
	}
	flat := sample{channels: 2, limit: 9, data: make([]float32, 18)}
	if _, err := flat.perChannel(); err == nil {
		t.Error("perChannel() accepts features that never vary")
	}
}

func TestAugment(t *testing.T) {
	f := yardFrame(1, 32, 32)
	before := bytes.Clone(f.Pix)
	same := augment(f, rand.New(rand.NewPCG(1, 1)), false, false)
	if !bytes.Equal(same.Pix, f.Pix) {
		t.Error("the picture changes without jitter and mirror")
	}
	a, b := augment(f, rand.New(rand.NewPCG(1, 2)), true, true), augment(f, rand.New(rand.NewPCG(1, 2)), true, true)
	if !bytes.Equal(a.Pix, b.Pix) {
		t.Error("the same seed gives different pictures")
	}
	if bytes.Equal(a.Pix, f.Pix) || !bytes.Equal(before, f.Pix) {
		t.Error("jitter changes nothing, or it changes the original")
	}
	mirrored := 0
	for seed := range uint64(20) {
		m := augment(f, rand.New(rand.NewPCG(seed, 3)), false, true)
		if m.Pix[0] == f.Pix[3*(f.Width-1)] && m.Pix[3*(f.Width-1)] == f.Pix[0] {
			mirrored++
		}
	}
	if mirrored < 4 || mirrored > 16 {
		t.Errorf("%d of 20 pictures are mirrored", mirrored)
	}
}

func TestStateRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "state.bin")
	type header struct{ Key string }
	lists := [][]float32{{1, 2, float32(math.Inf(1))}, nil, make([]float32, 1<<17)}
	if err := writeState(path, header{"k"}, lists...); err != nil {
		t.Fatal(err)
	}
	var h header
	got, err := readState(path, &h)
	if err != nil || h.Key != "k" || len(got) != 3 || !slices.Equal(got[0], lists[0]) || len(got[2]) != 1<<17 {
		t.Fatalf("readState() = %v, %v", h, err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 5, 20, len(raw) / 2, len(raw) - 1} {
		if err := os.WriteFile(path, raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readState(path, &h); !errors.Is(err, errState) {
			t.Errorf("cut to %d bytes: %v, want %v", n, err, errState)
		}
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

func FuzzParseState(f *testing.F) {
	path := filepath.Join(f.TempDir(), "state.bin")
	if err := writeState(path, map[string]int{"a": 1}, []float32{1, 2}); err != nil {
		f.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[:len(raw)-8])
	f.Add([]byte(stateMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h map[string]int
		_, _ = parseState(raw, &h) // must neither panic nor allocate more than the file's size
	})
}

func TestRate(t *testing.T) {
	c := DefaultConfig()
	c.Steps, c.LR = 1000, 1e-3
	for _, tt := range []struct {
		step int
		want float64
	}{{1, 2e-5}, {50, 1e-3}, {525, 0.505e-3}, {1000, 1e-5}} {
		if got := c.rate(tt.step); math.Abs(got-tt.want) > 1e-6 {
			t.Errorf("rate(%d) = %v, want %v", tt.step, got, tt.want)
		}
	}
}
