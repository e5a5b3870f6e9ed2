package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// ErrTruth is the error of a truth that cannot be read, or that does not belong to the stream.
var ErrTruth = errors.New("stream: truth")

// Truth is the truth of a stream: masks of some of its frames, or only the times at which something anomalous is in the
// picture.
type Truth struct {
	Masks map[int]string // by frame, counted from 0: path of an 8-bit PNG of the frame's size
	Spans []Span
}

// Span is the time From ≤ t < To, counted from the first frame.
type Span struct {
	From, To time.Duration
}

// OpenTruth reads a folder of masks or a file of times. The last digits of a mask's name are the number of its frame
// (truth/000017.png belongs to frame 17, counted from 0); [ParseSpans] describes the file.
func OpenTruth(path string) (*Truth, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTruth, err)
	}
	if !st.IsDir() {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTruth, err)
		}
		defer f.Close()
		spans, err := ParseSpans(f)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrTruth, path, err)
		}
		return &Truth{Spans: spans}, nil
	}
	t := &Truth{Masks: map[int]string{}}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTruth, err)
	}
	number := regexp.MustCompile(`([0-9]{1,9})[^0-9]*$`)
	for _, e := range entries {
		if !dataset.IsMask(e.Name()) {
			continue
		}
		name := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name()))
		p := filepath.Join(path, e.Name())
		found := number.FindStringSubmatch(name)
		if found == nil {
			return nil, fmt.Errorf("%w: %q: want the frame's number in the name, such as 000017.png", ErrTruth, p)
		}
		i, err := strconv.Atoi(found[1])
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrTruth, p, err)
		}
		if other, ok := t.Masks[i]; ok {
			return nil, fmt.Errorf("%w: %q and %q both belong to frame %d", ErrTruth, other, p, i)
		}
		t.Masks[i] = p
	}
	if len(t.Masks) == 0 {
		return nil, fmt.Errorf("%w: no mask (.png, .npy, .bmp, .tif, .jpg) in %q", ErrTruth, path)
	}
	return t, nil
}

// ParseSpans reads lines of two times in seconds, such as "6.0 19.9": something anomalous is in the picture from the first
// until the second. Spans must be in order and must not overlap. Empty lines and comments after a # are ignored.
func ParseSpans(r io.Reader) ([]Span, error) {
	var spans []Span
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) == 0 {
			continue
		}
		var at [2]time.Duration
		ok := len(fields) == len(at)
		for i := 0; ok && i < len(at); i++ {
			seconds, err := strconv.ParseFloat(fields[i], 64)
			ok = err == nil && seconds >= 0 && seconds < 1e6
			at[i] = time.Duration(math.Round(seconds * float64(time.Second)))
		}
		if !ok || at[1] <= at[0] || len(spans) > 0 && at[0] < spans[len(spans)-1].To {
			return nil, fmt.Errorf("line %d: got %q, want two times in seconds, later than the line before", n, text)
		}
		spans = append(spans, Span{at[0], at[1]})
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(spans) == 0 {
		return nil, errors.New("contains no times")
	}
	return spans, nil
}

// within reports whether something anomalous is in the picture at a time.
func (t *Truth) within(at time.Duration) bool {
	for _, s := range t.Spans {
		if s.From <= at && at < s.To {
			return true
		}
	}
	return false
}

// FindOOD finds the anomalous label of masks that have two values other than 0 and 1, as [dataset.Dataset.FindOOD] does.
func (t *Truth) FindOOD() (label uint8, found bool, err error) {
	d, _ := t.dataset()
	return d.FindOOD()
}

// dataset returns the masks as a data set, and the frames of its items.
func (t *Truth) dataset() (d *dataset.Dataset, frames []int) {
	d = &dataset.Dataset{Name: "folder", OOD: 1}
	frames = slices.Sorted(maps.Keys(t.Masks))
	for _, i := range frames {
		d.Items = append(d.Items, dataset.Item{Label: t.Masks[i]})
	}
	return d, frames
}

// check returns an error that names the first mask of a frame that the stream does not have.
func (t *Truth) check(frames int) error {
	for _, i := range slices.Sorted(maps.Keys(t.Masks)) {
		if i >= frames {
			return fmt.Errorf("%w: %q belongs to frame %d, but the stream has %d frames", ErrTruth, t.Masks[i], i, frames)
		}
	}
	return nil
}

// judges reports whether the truth of a frame is known.
func (t *Truth) judges(frame int) bool {
	_, ok := t.Masks[frame]
	return ok || t.Spans != nil
}
