package opencv_test

import (
	"errors"
	"io"
	"testing"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// A pipeline delivers its pictures to the end, in the size that is asked for, and may be opened again.
func TestCapture(t *testing.T) {
	c := opencv.NewPipeline("test", "videotestsrc num-buffers=3 pattern=red ! video/x-raw,width=64,height=48 ! videoconvert ! appsink sync=false")
	if err := c.Close(); err != nil {
		t.Errorf("Close before Open = %v", err)
	}
	for range 2 {
		if err := c.Open(t.Context()); err != nil {
			t.Fatalf("%v: \"make deps-test\" installs GStreamer's plugins", err)
		}
		n := 0
		for ; ; n++ {
			w, h, err := c.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || w != 64 || h != 48 {
				t.Fatalf("Next() = %dx%d, %v", w, h, err)
			}
			for _, size := range [][2]int{{w, h}, {32, 24}, {100, 80}} {
				pix := make([]byte, 3*size[0]*size[1])
				if err := c.RGB(pix, size[0], size[1]); err != nil {
					t.Fatal(err)
				}
				if middle := pix[len(pix)/6*3:][:3]; middle[0] < 240 || middle[1] > 15 || middle[2] > 15 {
					t.Errorf("picture %d at %v: RGB %v in the middle, want red", n, size, middle)
				}
			}
			if err := c.RGB(make([]byte, 5), w, h); err == nil {
				t.Error("RGB accepts a buffer of another size")
			}
		}
		if n != 3 {
			t.Errorf("%d pictures, want 3", n)
		}
		for range 2 {
			if err := c.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
		}
	}
	checkMats(t)
}

func TestCameraNames(t *testing.T) {
	if _, err := opencv.NewCamera("front", "webcam"); !errors.Is(err, ingest.ErrUnsupported) {
		t.Errorf("NewCamera = %v, want ErrUnsupported", err)
	}
	c, err := opencv.NewCamera("front", "/dev/none")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Open(t.Context()); !errors.Is(err, ingest.ErrConnect) {
		t.Errorf("Open() = %v, want ErrConnect", err)
	}
	checkMats(t)
}
