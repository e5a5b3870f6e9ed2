package opencv

import (
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"

	"gocv.io/x/gocv"

	"github.com/oodcast/oodcast/ingest"
)

// VideoWriter writes a video file. It is not safe for concurrent use.
type VideoWriter struct {
	path          string
	width, height int
	w             *gocv.VideoWriter
	bgr           gocv.Mat
	codec         string
}

// CreateVideo creates a video of w x h pixels at fps frames per second. The extension of path chooses the codec: .mp4, .mov
// and .mkv are H.264, or MPEG-4 part 2 where OpenCV has no H.264 encoder; .avi is Motion JPEG. Odd sides lose their last
// pixel, because H.264 takes even ones only.
func CreateVideo(path string, fps float64, w, h int) (*VideoWriter, error) {
	if !(fps > 0 && fps <= 1000) || w < 2 || h < 2 || w > ingest.MaxSide || h > ingest.MaxSide {
		return nil, fmt.Errorf("write video %q: %v frames per second of %dx%d pixels", path, fps, w, h)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("write video %q: %w", path, err)
	}
	var codecs []string
	switch strings.ToLower(filepath.Ext(path)) {
	case ".mp4", ".mov", ".mkv", ".m4v":
		codecs = []string{"avc1", "mp4v"}
	case ".avi":
		codecs = []string{"MJPG"}
	default:
		return nil, fmt.Errorf("write video %q: %w: want .mp4, .mkv or .avi", path, ingest.ErrUnsupported)
	}
	silence()
	for _, codec := range codecs {
		vw, err := gocv.VideoWriterFile(path, codec, fps, w&^1, h&^1, true)
		if err == nil && vw.IsOpened() {
			return &VideoWriter{path: path, width: w, height: h, w: vw, bgr: gocv.NewMat(), codec: codec}, nil
		}
		if vw != nil {
			_ = vw.Close()
		}
	}
	return nil, fmt.Errorf("write video %q: OpenCV has no encoder fors format or cannot create the file", path)
}

// Codec is the FourCC of the chosen codec: avc1, mp4v or MJPG.
func (v *VideoWriter) Codec() string { return v.codec }

// Write appends one picture of packed RGB pixels in the size that CreateVideo was given.
func (v *VideoWriter) Write(rgb []byte) error {
	if v.w == nil {
		return fmt.Errorf("write video %q: closed", v.path)
	}
	if len(rgb) != 3*v.width*v.height {
		return fmt.Errorf("write video %q: %d bytes, want %dx%d pixels", v.path, len(rgb), v.width, v.height)
	}
	err := withMat(v.height, v.width, rgb, func(m gocv.Mat) error {
		gocv.CvtColor(m, &v.bgr, gocv.ColorBGRToRGB) // its own inverse
		return nil
	})
	if err != nil {
		return fmt.Errorf("write video %q: %w", v.path, err)
	}
	picture := v.bgr
	if v.width%2 != 0 || v.height%2 != 0 {
		even := v.bgr.Region(image.Rect(0, 0, v.width&^1, v.height&^1))
		defer even.Close()
		picture = even.Clone() // the encoder needs rows without gaps
		defer picture.Close()
	}
	if err := v.w.Write(picture); err != nil {
		return fmt.Errorf("write video %q: %w", v.path, err)
	}
	return nil
}

// Close completes the file. Closing twice is harmless.
func (v *VideoWriter) Close() error {
	if v.w == nil {
		return nil
	}
	_ = v.bgr.Close()
	err := v.w.Close()
	v.w = nil
	if err != nil {
		return fmt.Errorf("write video %q: %w", v.path, err)
	}
	if info, err := os.Stat(v.path); err != nil || info.Size() == 0 {
		return fmt.Errorf("write video %q: the file is empty: is the disk full?", v.path)
	}
	return nil
}
