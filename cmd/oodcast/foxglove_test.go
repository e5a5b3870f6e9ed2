package main

import (
	"bytes"
	"encoding/binary"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/foxglove"
	"github.com/oodcast/oodcast/publish/mcap/mcaptest"
)

// A recording of a real detector has the maps that were on NATS, pixel for pixel, and valid pictures.
func TestFoxglove(t *testing.T) {
	_, nc := yard(t)
	var mu sync.Mutex
	seen := map[int64]client.Map{} // by capture time
	stop, err := client.New(nc).Maps(func(m client.Map) {
		mu.Lock()
		defer mu.Unlock()
		seen[m.Captured.UnixNano()] = m
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "recording.mcap")
	p := start(t, "foxglove", "--nats", nc.ConnectedUrl(), "--out", file, "--grid", "--snapshots", "200ms")
	count := func(schema string) (n int) {
		b, err := os.ReadFile(file)
		if err != nil {
			return 0
		}
		rec, _ := mcaptest.Read(b) // reads what has been written so far
		for _, m := range rec.Messages {
			if m.Schema.Name == schema {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(time.Minute); count("foxglove.RawImage") < 3 || count("foxglove.CompressedImage") < 1; {
		if time.Now().After(deadline) {
			t.Fatal("no maps or no pictures are recorded")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if code, _ := p.stop(t, os.Interrupt); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := mcaptest.Read(b)
	if err != nil || !rec.Ended {
		t.Fatalf("ended %v, %v", rec.Ended, err)
	}
	mu.Lock()
	defer mu.Unlock()
	compared := 0
	for _, m := range rec.Messages {
		switch m.Schema.Name {
		case "foxglove.RawImage":
			var img foxglove.RawImage
			if err := proto.Unmarshal(m.Data, &img); err != nil {
				t.Fatal(err)
			}
			if want, ok := seen[img.GetTimestamp().AsTime().UnixNano()]; ok { // the last one may still be on its way
				samePixels(t, &img, want)
				compared++
			}
		case "foxglove.CompressedImage":
			var img foxglove.CompressedImage
			if err := proto.Unmarshal(m.Data, &img); err != nil {
				t.Fatal(err)
			}
			if c, err := jpeg.DecodeConfig(bytes.NewReader(img.GetData())); err != nil || c.Width < 100 {
				t.Errorf("picture %+v, %v", c, err)
			}
		}
	}
	if compared < 2 {
		t.Errorf("compared %d maps of %d, want at least 2", compared, count("foxglove.RawImage"))
	}
}

// samePixels checks the format and the frame's name, and that every pixel has the value of its cell.
func samePixels(t *testing.T, img *foxglove.RawImage, m client.Map) {
	t.Helper()
	if img.GetWidth() != m.GetWidth() || img.GetHeight() != m.GetHeight() || img.GetStep() != 4*m.GetWidth() ||
		img.GetEncoding() != "32FC1" || img.GetFrameId() != "yard_optical_frame" || len(img.GetData()) != 4*len(m.Values) {
		t.Fatalf("image of %dx%d as %s in %s", img.GetWidth(), img.GetHeight(), img.GetEncoding(), img.GetFrameId())
	}
	for i, want := range m.Values {
		if got := math.Float32frombits(binary.LittleEndian.Uint32(img.GetData()[4*i:])); got != want {
			t.Fatalf("pixel %d is %v, want %v", i, got, want)
		}
	}
}
