package fit

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// walkers is a grey place of 320 × 240 in which something of the given height walks to and fro; moving: a camera on a vehicle.
type walkers struct {
	high   int
	moving bool
}

func (s walkers) Run(ctx context.Context, sink ingest.Sink) error {
	for i := range 60 {
		f := ingest.NewFrame(320, 240)
		f.PTS = time.Duration(i) * time.Second / 10
		for p := range 320 * 240 {
			x, y := p%320, p/320
			v := byte(100 + y/4)
			if s.moving {
				v = byte((x + 40*i) * (y + 3))
			}
			if left := i * 5 % 300; x >= left && x < left+12 && y >= 100 && y < 100+s.high {
				v = 250
			}
			f.Pix[3*p], f.Pix[3*p+1], f.Pix[3*p+2] = v, v, v
		}
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// Small people are enlarged until they cover enough tokens; large ones, an empty place and a moving camera keep the bundle's size.
func TestChooseSize(t *testing.T) {
	spec := models.EncoderSpec{Stride: 16, Size: models.Size{Width: 1024, Height: 512}}
	for name, c := range map[string]struct {
		source walkers
		want   models.Size
	}{
		"small":           {walkers{high: 28}, models.Size{Width: 640, Height: 480}},
		"large":           {walkers{high: 90}, models.Size{}},
		"nothing":         {walkers{}, models.Size{}},
		"a moving camera": {walkers{high: 28, moving: true}, models.Size{}},
		"tiny":            {walkers{high: 12}, models.Size{Width: 1024, Height: 768}}, // 4.7 times would be more than the network is for
	} {
		got, reason, err := ChooseSize(t.Context(), []ingest.Source{c.source}, spec)
		if err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
		if said := strings.Contains(reason, "are scored at"); said != (c.want != models.Size{}) {
			t.Errorf("%s: %q", name, reason)
		}
	}
}

// A folder of clips is its films or its folders of frames; a folder of pictures is none.
func TestClips(t *testing.T) {
	dir := t.TempDir()
	place := func(name string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"films/02.mp4", "films/01.AVI", "frames/Train001/1.tif", "frames/Train002/1.tif", "pictures/1.png", "pictures/2.png"} {
		place(f)
	}
	for name, want := range map[string][]string{
		"films": {"01.AVI", "02.mp4"}, "frames": {"Train001", "Train002"}, "pictures": nil, "films/02.mp4": nil, "none": nil,
	} {
		var got []string
		for _, c := range Clips(filepath.Join(dir, name)) {
			got = append(got, filepath.Base(c))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
