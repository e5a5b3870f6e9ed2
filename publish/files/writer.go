package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/npy"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/publish/overlay"
)

// The formats of Writer.Formats and the endings of their files.
const (
	NPY     = "npy"     // _scores.npy: float32, height × width of a picture; frames × height × width of a video's maps
	PNG     = "png"     // _map.png: the colours of a picture's map
	Overlay = "overlay" // _overlay.jpg or, of a video, _overlay.mp4: the map over the frame
	JSON    = "json"    // _scores.json: a Score, or a list of them for a video
)

// Writer scores inputs and writes the results to a folder, which must exist. It is not safe for concurrent use, because
// the detector is not.
type Writer struct {
	Detector *detector.Detector
	Dir      string
	Formats  []string
}

// InputError is a fault of an input: it cannot be read, or not to its end. Other inputs may be fine.
type InputError struct{ err error }

func (e *InputError) Error() string { return e.err.Error() }
func (e *InputError) Unwrap() error { return e.err }

// Score scores a picture or a video and writes its files. An input that cannot be read is an [InputError].
func (w Writer) Score(ctx context.Context, path string) (Summary, error) {
	if opencv.IsPicture(path) {
		return w.picture(ctx, path)
	}
	return w.video(ctx, path)
}

// Stem returns the beginning of the names of an input's files: its name without the ending.
func Stem(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// endings are those of the names that Score gives to files.
func endings() []string {
	return []string{"_scores.npy", "_scores.json", "_map.png", "_overlay.jpg", "_overlay.mp4"}
}

// ResultOf returns the stem of the input whose result path is by its name, or "" for other names.
func ResultOf(path string) string {
	for _, end := range endings() {
		if stem, ok := strings.CutSuffix(filepath.Base(path), end); ok {
			return stem
		}
	}
	return ""
}

func (w Writer) wants(format string) bool { return slices.Contains(w.Formats, format) }

func (w Writer) path(in, suffix string) string { return filepath.Join(w.Dir, Stem(in)+suffix) }

func (w Writer) picture(ctx context.Context, path string) (Summary, error) {
	f, err := opencv.ReadImage(path)
	if err != nil {
		return Summary{}, &InputError{err}
	}
	defer f.Release()
	m, err := w.Detector.Score(ctx, f.Retain())
	if err != nil {
		return Summary{}, fmt.Errorf("score %q: %w", path, err)
	}
	if w.wants(NPY) {
		full := m.ResizeTo(nil, f.Width, f.Height)
		err = errors.Join(err, npy.WriteFile(w.path(path, "_scores.npy"), full, f.Height, f.Width))
	}
	if w.wants(PNG) {
		rgb := overlay.Colours(m, f.Width, f.Height)
		err = errors.Join(err, opencv.WriteImage(w.path(path, "_map.png"), f.Width, f.Height, rgb))
	}
	if w.wants(Overlay) {
		rgb := painted(overlay.NewLayer(), f, m)
		err = errors.Join(err, opencv.WriteImage(w.path(path, "_overlay.jpg"), f.Width, f.Height, rgb))
	}
	s := newScore(filepath.Base(path), m)
	if w.wants(JSON) {
		err = errors.Join(err, writeJSON(w.path(path, "_scores.json"), s))
	}
	return Summary{Path: path, Frames: 1, Score: s}, err
}

// painted returns a copy of the frame's pixels with the map over them.
func painted(layer *overlay.Layer, f *ingest.Frame, m *detector.Map) []byte {
	rgb := slices.Clone(f.Pix)
	layer.Set(m, f.Width, f.Height)
	layer.Blend(rgb)
	return rgb
}

func writeJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(path, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}
