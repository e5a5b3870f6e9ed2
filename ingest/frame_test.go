package ingest_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"sync"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

func TestFrameGoesBackAfterTheLastRelease(t *testing.T) {
	pool := ingest.NewPool(2)
	f := pool.TryGet(4, 2)
	if f == nil || len(f.Pix) != 24 || pool.InFlight() != 1 {
		t.Fatalf("TryGet = %v, %d in flight", f, pool.InFlight())
	}
	f.Retain()
	f.Release()
	if pool.InFlight() != 1 {
		t.Error("the frame went back while a reference was held")
	}
	f.Release()
	if pool.InFlight() != 0 {
		t.Error("the frame did not go back after the last Release")
	}
}

func TestPoolIsTheBound(t *testing.T) {
	pool := ingest.NewPool(1)
	f := pool.TryGet(2, 2)
	if pool.TryGet(2, 2) != nil {
		t.Fatal("TryGet gave a second frame of a pool of one")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := pool.Get(ctx, 2, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get on an empty pool = %v", err)
	}
	f.Release()
	g, err := pool.Get(t.Context(), 8, 8) // larger than before: the buffer grows
	if err != nil || len(g.Pix) != 192 || g.Camera != "" || g.Seq != 0 {
		t.Errorf("Get = %+v, %v", g, err)
	}
	g.Release()
}

// The pool stays within its bytes for all sizes: it holds fewer large pictures, and frees unused buffers for others.
func TestPoolIsBoundInBytes(t *testing.T) {
	const limit = 3 * 64 * 64 * 4 // four pictures of 64x64
	pool := ingest.NewBoundedPool(8, limit)
	take := func(side, want int) {
		t.Helper()
		var got []*ingest.Frame
		for f := pool.TryGet(side, side); f != nil; f = pool.TryGet(side, side) {
			if len(f.Pix) != 3*side*side {
				t.Fatalf("%d bytes of %dx%d", len(f.Pix), side, side)
			}
			got = append(got, f)
		}
		if len(got) != want || pool.Bytes() > limit {
			t.Errorf("%d frames of %dx%d in %d bytes, want %d in at most %d", len(got), side, side, pool.Bytes(), want, limit)
		}
		for _, f := range got {
			f.Release()
		}
	}
	take(32, 8)
	take(64, 4)
	take(90, 2)
	take(64, 2) // the buffers of 90x90 are kept and suffice
	take(91, 0) // needs more than half
	if err := pool.Fits(91, 91); !errors.Is(err, ingest.ErrTooLarge) {
		t.Errorf("Fits() = %v", err)
	}
	if _, err := pool.Get(t.Context(), 91, 91); !errors.Is(err, ingest.ErrTooLarge) {
		t.Errorf("Get() = %v", err)
	}
	held := pool.TryGet(90, 90)
	second := pool.TryGet(90, 90)
	time.AfterFunc(time.Millisecond, second.Release)
	third, err := pool.Get(t.Context(), 90, 90) // waits until the second comes back
	if err != nil {
		t.Fatal(err)
	}
	third.Release()
	held.Release()
	if pool.InFlight() != 0 {
		t.Errorf("%d in flight", pool.InFlight())
	}
}

func TestFrameMisusePanics(t *testing.T) {
	for name, misuse := range map[string]func(*ingest.Frame){
		"ingest: Frame released twice":                  (*ingest.Frame).Release,
		"ingest: Frame retained after its last Release": func(f *ingest.Frame) { f.Retain() },
		"ingest: frame of 0x5 pixels":                   func(*ingest.Frame) { ingest.NewFrame(0, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			f := ingest.NewFrame(1, 1)
			f.Release()
			defer func() {
				if got := recover(); got != name {
					t.Errorf("panic %v, want %q", got, name)
				}
			}()
			misuse(f)
		})
	}
}

func TestPoolConcurrently(t *testing.T) {
	pool := ingest.NewPool(3)
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 200 {
				f, err := pool.Get(t.Context(), 1+i%7, 1+g)
				if err != nil {
					t.Error(err)
					return
				}
				f.Pix[0] = byte(g) // the race detector notices when two goroutines own the same frame
				f.Retain().Release()
				f.Release()
			}
		})
	}
	wg.Wait()
	if pool.InFlight() != 0 {
		t.Errorf("%d in flight", pool.InFlight())
	}
}

func TestPoolDoesNotAllocate(t *testing.T) {
	pool := ingest.NewPool(1)
	if n := testing.AllocsPerRun(50, func() { pool.TryGet(64, 48).Release() }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestFrameImage(t *testing.T) {
	f := ingest.NewFrame(3, 2)
	copy(f.Pix, []byte{200, 100, 50})
	copy(f.Pix[3*(1*3+2):], []byte{1, 2, 3})
	img := ingest.FrameImage(f)
	if got := img.Bounds(); got != image.Rect(0, 0, 3, 2) {
		t.Fatalf("bounds %v", got)
	}
	if got := img.RGBAAt(0, 0); got != (color.RGBA{200, 100, 50, 255}) {
		t.Errorf("pixel 0, 0 = %v", got)
	}
	if got := img.RGBAAt(2, 1); got != (color.RGBA{1, 2, 3, 255}) {
		t.Errorf("pixel 2, 1 = %v", got)
	}
}

func TestCheckSize(t *testing.T) {
	for _, tt := range []struct {
		w, h int
		ok   bool
	}{
		{1, 1, true}, {16384, 4096, true}, {16384, 4097, false}, {16385, 1, false}, {0, 5, false}, {5, -1, false},
	} {
		if err := ingest.CheckSize(tt.w, tt.h); (err == nil) != tt.ok || err != nil && !errors.Is(err, ingest.ErrUnreadable) {
			t.Errorf("CheckSize(%d, %d) = %v", tt.w, tt.h, err)
		}
	}
}

func BenchmarkPool(b *testing.B) {
	pool := ingest.NewPool(4)
	b.ReportAllocs()
	for b.Loop() {
		pool.TryGet(768, 576).Release()
	}
}
