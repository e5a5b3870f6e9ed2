package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/detector/npy"
)

// FrameTruth is the truth of one frame of a clip.
type FrameTruth struct {
	Anomalous bool
	Labels    []uint8  // Height × Width of the frame, 1 where it is anomalous, 0 elsewhere; nil: no mask
	Regions   []Region // boxes of the objects with their tracks; nil if the clip has no tracks
}

// Truth reads the truth of a clip, frame after frame. The caller closes it.
type Truth struct {
	clip    *Clip
	next    int
	masks   []Item
	levels  []uint8
	regions map[int][]Region
	volume  volume // nil: none
	file    *os.File
}

// volume reads one mask after another.
type volume interface {
	// Next returns the next mask, 0 or not 0, or io.EOF after the last one.
	Next() (labels []uint8, width, height int, err error)
}

// OpenTruth prepares to read the truth of the clip.
func (c *Clip) OpenTruth() (_ *Truth, err error) {
	t := &Truth{clip: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if c.Masks != "" {
		if t.masks, err = maskList(c.Masks); err != nil {
			return nil, err
		}
	}
	if c.Levels != "" {
		if t.levels, err = readLevels(c.Levels); err != nil {
			return nil, err
		}
	}
	if c.Tracks != "" {
		list, err := ReadTracks(c.Tracks)
		if err != nil {
			return nil, err
		}
		t.regions = map[int][]Region{}
		for _, r := range list {
			t.regions[r.Frame] = append(t.regions[r.Frame], r)
		}
	}
	if c.Volume != "" {
		if t.file, err = os.Open(c.Volume); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrLabels, err)
		}
		in := bufio.NewReaderSize(t.file, 1<<16)
		if strings.EqualFold(filepath.Ext(c.Volume), ".mat") {
			t.volume, err = newMatVolume(in)
		} else {
			t.volume, err = newNpyVolume(in)
		}
		if err != nil {
			return nil, fmt.Errorf("%w %q: %w", ErrLabels, c.Volume, err)
		}
	}
	return t, nil
}

// Next returns the truth of the next frame, which has the given size. A truth with fewer or other frames than the clip is
// [ErrLabels].
func (t *Truth) Next(width, height int) (FrameTruth, error) {
	i := t.next
	t.next++
	var f FrameTruth
	labels, w, h, err := t.mask(i)
	switch {
	case err != nil:
		return f, err
	case labels != nil && (w != width || h != height):
		return f, fmt.Errorf("%w of clip %s: %d×%d, but frame %d is %d×%d", ErrLabels, t.clip.Name, w, h, i, width, height)
	}
	for k, v := range labels {
		if v != 0 {
			labels[k], f.Anomalous = 1, true
		}
	}
	f.Labels, f.Regions = labels, t.regions[i]
	f.Anomalous = f.Anomalous || len(f.Regions) > 0
	switch { // what is said of whole frames goes before masks
	case t.levels != nil && i >= len(t.levels):
		return f, fmt.Errorf("%w %q: %d frames, but the clip has more", ErrLabels, t.clip.Levels, len(t.levels))
	case t.levels != nil:
		f.Anomalous = t.levels[i] != 0
	case t.clip.spans:
		f.Anomalous = slices.ContainsFunc(t.clip.Spans, func(s Span) bool { return s.From <= i && i <= s.To })
	}
	return f, nil
}

// mask returns the mask of frame i, nil if there are none.
func (t *Truth) mask(i int) (labels []uint8, w, h int, err error) {
	switch {
	case t.volume != nil:
		labels, w, h, err = t.volume.Next()
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%d frames, but the clip has more", i)
		}
		if err != nil {
			err = fmt.Errorf("%w %q: %w", ErrLabels, t.clip.Volume, err)
		}
		return labels, w, h, err
	case t.masks == nil:
		return nil, 0, 0, nil
	case i >= len(t.masks):
		return nil, 0, 0, fmt.Errorf("%w %q: %d masks, but the clip has more frames", ErrLabels, t.clip.Masks, len(t.masks))
	}
	return t.masks[i].Labels()
}

// Close frees the file of a volume.
func (t *Truth) Close() error {
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	return err
}

// maskList lists the masks of a folder in the order of their names.
func maskList(dir string) ([]Item, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLabels, err)
	}
	var list []Item
	for _, e := range entries {
		if IsMask(e.Name()) {
			list = append(list, Item{Label: filepath.Join(dir, e.Name())})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: no mask in %q", ErrLabels, dir)
	}
	return list, nil
}

// readLevels reads a list with a number for each frame.
func readLevels(path string) ([]uint8, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLabels, err)
	}
	defer f.Close()
	v, err := npy.OpenStack(bufio.NewReader(f), numberSizes())
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrLabels, path, err)
	}
	if v.Width*v.Height != 1 || v.Frames > maxClipFrames {
		return nil, fmt.Errorf("%w %q: shape (%d, %d, %d), want a number for each frame", ErrLabels, path, v.Frames, v.Height, v.Width)
	}
	var levels []uint8
	for range v.Frames {
		b, err := v.Next()
		if err != nil {
			return nil, fmt.Errorf("%w %q: %w", ErrLabels, path, err)
		}
		levels = append(levels, nonZero(nil, v.Type, b)...)
	}
	return levels, nil
}

// npyVolume is a stack of masks in a NumPy file.
type npyVolume struct {
	*npy.Stack
	labels []uint8
}

func newNpyVolume(r io.Reader) (*npyVolume, error) {
	s, err := npy.OpenStack(r, numberSizes())
	if err != nil {
		return nil, err
	}
	return &npyVolume{Stack: s}, nil
}

func (v *npyVolume) Next() (labels []uint8, w, h int, err error) {
	b, err := v.Stack.Next()
	if err != nil {
		return nil, 0, 0, err
	}
	v.labels = nonZero(v.labels, v.Type, b)
	return v.labels, v.Width, v.Height, nil
}

// numberSizes are the types of lists and stacks: whole numbers of eight bytes too, which NumPy makes unless told otherwise.
func numberSizes() map[string]int {
	sizes := maps.Clone(npy.Numbers)
	sizes["<i8"], sizes["<u8"] = 8, 8
	return sizes
}

// nonZero stores 1 for every number that is not 0 and returns dst.
func nonZero(dst []uint8, typ string, b []byte) []uint8 {
	dst = dst[:0]
	for one := range slices.Chunk(b, numberSizes()[typ]) {
		bit := uint8(0)
		if slices.ContainsFunc(one, func(x byte) bool { return x != 0 }) {
			bit = 1
		}
		dst = append(dst, bit)
	}
	return dst
}
