package synth

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/oodcast/oodcast/ingest"
)

// Errors of Write.
var (
	ErrNoFrames = errors.New("synth: the footage has no frame")
	ErrNotEmpty = errors.New("synth: the folder is not empty")
)

// Footage is normal footage that can be read more than once.
type Footage struct {
	// Names are the sources for the note in the set, without passwords.
	Names []string
	// Open returns the sources, which are read one after the other.
	Open func() ([]ingest.Source, error)
}

// Written is the result of Write.
type Written struct {
	Out    string       `json:"out"`
	Images int          `json:"images"`
	Frames int          `json:"frames"` // of the footage
	Things map[Kind]int `json:"things"`
}

// String returns the result as one line for people.
func (w *Written) String() string {
	var things []string
	for _, k := range Kinds() {
		if n := w.Things[k]; n > 0 {
			things = append(things, fmt.Sprintf("%d %s", n, k))
		}
	}
	return fmt.Sprintf("%s: %d pictures from %d frames, %s", w.Out, w.Images, w.Frames, strings.Join(things, ", "))
}

// pasted is a line of the file of things.
type pasted struct {
	Image  string  `json:"image"`
	Frame  int     `json:"frame"` // of the footage
	Things []Thing `json:"things"`
}

// Write makes a data set of count pictures in the folder out, which must not exist or be empty: images/N.png, labels_masks/N.png,
// things.jsonl with what was pasted where, and README.md with what the set was made of. The footage is read twice, once to
// count its frames; the pictures then are spread evenly over them. The folder appears when the set is complete. The same
// generator, count and footage give the same bytes.
func (g *Generator) Write(ctx context.Context, out string, count int, footage Footage) (_ *Written, err error) {
	if count < 1 {
		return nil, fmt.Errorf("synth.count: got %d, want 1 or more", count)
	}
	if entries, err := os.ReadDir(out); err != nil && !errors.Is(err, fs.ErrNotExist) || len(entries) > 0 {
		return nil, errors.Join(err, fmt.Errorf("%w: %q: choose another", ErrNotEmpty, out))
	}
	w := &writer{g: g, count: count, result: Written{Out: out, Things: map[Kind]int{}}}
	if err := each(ctx, footage, func(*ingest.Frame) error {
		w.result.Frames++
		return nil
	}); err != nil {
		return nil, err
	}
	if w.result.Frames == 0 {
		return nil, ErrNoFrames
	}
	out = filepath.Clean(out)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return nil, fmt.Errorf("synth: make folder: %w", err)
	}
	if w.dir, err = os.MkdirTemp(filepath.Dir(out), "."+filepath.Base(out)+".part-"); err != nil {
		return nil, fmt.Errorf("synth: make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(w.dir)) }()
	if err := w.write(ctx, footage); err != nil {
		return nil, err
	}
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty folder
		return nil, fmt.Errorf("synth: %w", err)
	}
	if err := os.Rename(w.dir, out); err != nil {
		return nil, fmt.Errorf("synth: %w", err)
	}
	return &w.result, nil
}

// each visits the frames of the footage.
func each(ctx context.Context, footage Footage, visit func(f *ingest.Frame) error) error {
	sources, err := footage.Open()
	if err != nil {
		return err
	}
	for i, s := range sources {
		err := s.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
			defer f.Release()
			return visit(f)
		})
		if err = errors.Join(err, ctx.Err()); err != nil { // a source ends without an error when its context does
			return fmt.Errorf("synth: read %s: %w", footage.Names[i], err)
		}
	}
	return nil
}

// writer writes one set.
type writer struct {
	g      *Generator
	count  int
	dir    string
	list   bytes.Buffer
	result Written
}

func (w *writer) write(ctx context.Context, footage Footage) error {
	for _, folder := range []string{"images", "labels_masks"} {
		if err := os.Mkdir(filepath.Join(w.dir, folder), 0o755); err != nil {
			return fmt.Errorf("synth: make folder: %w", err)
		}
	}
	if err := os.Chmod(w.dir, 0o755); err != nil { //nolint:gosec // a data set is for everyone
		return fmt.Errorf("synth: %w", err)
	}
	number, next := 0, 0
	err := each(ctx, footage, func(f *ingest.Frame) error {
		defer func() { number++ }()
		for ; next < w.count && w.frameOf(next) == number; next++ {
			if err := w.picture(f, number, next); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if next < w.count {
		return fmt.Errorf("synth: the footage had %d frames and then %d", w.result.Frames, number)
	}
	w.result.Images = next
	return errors.Join(w.file("things.jsonl", w.list.Bytes()), w.file("README.md", w.readme(footage)))
}

// frameOf returns the frame of picture i: the middle of its part of the footage.
func (w *writer) frameOf(i int) int { return (2*i + 1) * w.result.Frames / (2 * w.count) }

// picture pastes into a copy of the frame and writes it.
func (w *writer) picture(f *ingest.Frame, number, i int) error {
	if min(f.Width, f.Height) < LeastSide {
		return fmt.Errorf("synth: frames of %dx%d pixels, want at least %dx%d", f.Width, f.Height, LeastSide, LeastSide)
	}
	rgb := bytes.Clone(f.Pix)
	labels, things := w.g.Paste(rgb, f.Width, f.Height, i)
	name := fmt.Sprintf("%06d.png", i)
	line, err := json.Marshal(pasted{Image: name, Frame: number, Things: things})
	if err != nil {
		return err
	}
	w.list.Write(append(line, '\n'))
	for _, t := range things {
		w.result.Things[t.Kind]++
	}
	pic := image.NewRGBA(image.Rect(0, 0, f.Width, f.Height))
	for i := range f.Width * f.Height {
		copy(pic.Pix[4*i:4*i+3], rgb[3*i:])
		pic.Pix[4*i+3] = 255
	}
	mask := &image.Gray{Pix: labels, Stride: f.Width, Rect: pic.Rect}
	return errors.Join(w.png(filepath.Join("images", name), pic), w.png(filepath.Join("labels_masks", name), mask))
}

func (w *writer) png(name string, m image.Image) (err error) {
	f, err := os.Create(filepath.Join(w.dir, name))
	if err != nil {
		return fmt.Errorf("synth: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := bufio.NewWriter(f)
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := errors.Join(encoder.Encode(b, m), b.Flush()); err != nil {
		return fmt.Errorf("synth: write %s: %w", name, err)
	}
	return nil
}

func (w *writer) file(name string, raw []byte) error {
	if err := renameio.WriteFile(filepath.Join(w.dir, name), raw, 0o644); err != nil {
		return fmt.Errorf("synth: write %s: %w", name, err)
	}
	return nil
}
