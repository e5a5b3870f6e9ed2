package opencv

import (
	"fmt"
	"image"
	"runtime"

	"gocv.io/x/gocv"
)

// cutOutRounds is the number of iterations of GrabCut, after which its outline hardly moves.
const cutOutRounds = 5

// CutOut separates the thing in the middle of a picture, packed RGB pixels of width x height, from what is around it, with
// GrabCut (Rother et al., SIGGRAPH 2004): a frame of one twentieth of the picture is background. The result is 255 where the
// thing is and 0 elsewhere, one byte per pixel. The same pixels give the same result.
func CutOut(rgb []byte, width, height int) ([]byte, error) {
	rect := image.Rect(width/20+1, height/20+1, width-width/20-1, height-height/20-1)
	if rect.Dx() < 8 || rect.Dy() < 8 {
		return nil, fmt.Errorf("cut out: picture of %dx%d pixels, want at least 12x12", width, height)
	}
	runtime.LockOSThread() // OpenCV has a random number generator per thread
	defer runtime.UnlockOSThread()
	gocv.SetRNGSeed(1)
	mask, background, foreground := gocv.NewMat(), gocv.NewMat(), gocv.NewMat()
	defer mask.Close()
	defer background.Close()
	defer foreground.Close()
	err := withMat(height, width, rgb, func(m gocv.Mat) error {
		gocv.GrabCut(m, &mask, rect, &background, &foreground, cutOutRounds, gocv.GCInitWithRect)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cut out: %w", err)
	}
	out := mask.ToBytes()
	if len(out) != width*height {
		return nil, fmt.Errorf("cut out: mask of %d pixels for %dx%d", len(out), width, height)
	}
	for i, v := range out { // 1: foreground, 3: probably foreground
		out[i] = v & 1 * 255
	}
	return out, nil
}
