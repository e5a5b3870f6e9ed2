package foxglove_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/foxglove"
	"github.com/oodcast/oodcast/publish/mcap/mcaptest"
)

func TestLevel(t *testing.T) {
	for _, c := range []struct {
		value, threshold float32
		want             float64
	}{
		{0, 4, 0},
		{4, 4, 0.5},
		{8, 4, 1},
		{2, 4, 0.25},
		{-3, 4, 0},
		{99, 4, 1},
		{0.5, 0.5, 0.5},
		{1, 0.5, 0.75},
		{-2, -2, 0.5},
		{0, -2, 1},
		{-4, -2, 0},
		{1, 0, 1},
		{-1, 0, 0},
	} {
		if got := foxglove.Level(c.value, c.threshold); got != c.want {
			t.Errorf("Level(%v, %v) = %v, want %v", c.value, c.threshold, got, c.want)
		}
	}
}

func TestImageEncodings(t *testing.T) {
	m := half(0)
	for _, c := range []struct {
		encoding string
		step     uint32
		at       func([]byte, int) float64
		top      float64
	}{
		{foxglove.Mono8, 6, func(b []byte, i int) float64 { return float64(b[i]) }, 255},
		{foxglove.Mono16, 12, func(b []byte, i int) float64 { return float64(binary.LittleEndian.Uint16(b[2*i:])) }, 65535},
	} {
		img, err := foxglove.Image(m, c.encoding)
		if err != nil {
			t.Fatal(err)
		}
		if img.GetStep() != c.step || len(img.GetData()) != 4*int(c.step) || img.GetEncoding() != c.encoding {
			t.Errorf("%s: step %d, %d bytes", img.GetEncoding(), img.GetStep(), len(img.GetData()))
		}
		// Cell (4, 1) is at twice the threshold, cell (5, 0) at 2.5 of 8, and cell (1, 0) outside the region of interest.
		for i, want := range map[int]float64{10: 1, 5: 2.5 / 8, 1: 0} {
			if got := c.at(img.GetData(), i) / c.top; got < want-0.003 || got > want+0.003 {
				t.Errorf("%s: pixel %d is %v, want %v", c.encoding, i, got, want)
			}
		}
	}
	want := `foxglove: image encoding "rgb8": want 32FC1, mono16 or mono8`
	if _, err := foxglove.Image(m, "rgb8"); err == nil || err.Error() != want {
		t.Errorf("Image(rgb8) = %v, want %q", err, want)
	}
	if _, err := foxglove.NewRecorder(nil, foxglove.Options{Image: "rgb8"}); err == nil || err.Error() != want {
		t.Errorf("NewRecorder(rgb8) = %v, want %q", err, want)
	}
}

// TestLostEnd checks that an event whose end was lost is not drawn forever, and that the number of drawn events is bounded.
func TestLostEnd(t *testing.T) {
	var file buffer
	r, err := foxglove.NewRecorder(&file, foxglove.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		e := message("start", 1, 0)
		e.ID = fmt.Sprint(i)
		if err := r.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{0, 299, 302} { // tenths of a second
		if err := r.Map(hill(n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	rec, err := mcaptest.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	var sizes []bool
	for _, m := range rec.Messages {
		if m.Channel.Topic == "/front/image/boxes" {
			sizes = append(sizes, len(m.Data) > 256*50)
		}
	}
	if len(sizes) != 3 || !sizes[0] || !sizes[1] || sizes[2] {
		t.Errorf("events drawn: %v, want on the first two maps only", sizes)
	}
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }

func Example() {
	var file buffer // in your program: os.Create("recording.mcap")
	r, err := foxglove.NewRecorder(&file, foxglove.Options{Image: foxglove.Mono8})
	if err != nil {
		panic(err)
	}
	c := client.New(nil) // in your program: with a NATS connection, and c.Maps(func(m client.Map) { r.Map(m) })
	_ = c
	if err := r.Map(hill(0)); err != nil {
		panic(err)
	}
	if err := r.Close(); err != nil {
		panic(err)
	}
	rec, err := mcaptest.Read(file)
	if err != nil {
		panic(err)
	}
	for _, m := range rec.Messages {
		fmt.Println(m.Channel.Topic, m.Schema.Name)
	}
	// Output:
	// /front/anomaly/map foxglove.RawImage
	// /front/anomaly/boxes foxglove.ImageAnnotations
	// /front/image/boxes foxglove.ImageAnnotations
}
