package dataset

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Region is the box of an anomalous object in a frame, in pixels.
type Region struct {
	Frame, Track        int // from 0
	X, Y, Width, Height float64
}

// maxClipFrames bounds the frame numbers of a text: a day at 30 frames per second.
const maxClipFrames = 1 << 22

// frameLists matches the entry of a clip in the .m file of the UCSD sets.
var frameLists = regexp.MustCompile(`gt_frame\s*=\s*\[([0-9:,;\s]*)\]`)

// readSpans reads the anomalous frames of each clip from the .m file of a UCSD set.
func readSpans(path string) ([][]Span, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLabels, err)
	}
	defer f.Close()
	clips, err := ParseFrameLists(f)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrLabels, path, err)
	}
	return clips, nil
}

// ParseFrameLists reads MATLAB lines such as "TestVideoFile{end+1}.gt_frame = [60:152, 170:180];", one for each clip. MATLAB
// counts frames from 1.
func ParseFrameLists(r io.Reader) ([][]Span, error) {
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return nil, err
	}
	var clips [][]Span
	for _, m := range frameLists.FindAllSubmatch(text, -1) {
		spans := []Span{}
		fields := strings.FieldsFunc(string(m[1]), func(r rune) bool { return strings.ContainsRune(",; \t\r\n", r) })
		for _, field := range fields {
			first, last, ok := strings.Cut(field, ":")
			if !ok {
				last = first
			}
			from, err1 := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err1 != nil || err2 != nil || from < 1 || to < from || to > maxClipFrames {
				return nil, fmt.Errorf("got frames %q, want FROM:TO", field)
			}
			spans = append(spans, Span{from - 1, to - 1})
		}
		clips = append(clips, spans)
	}
	if len(clips) == 0 {
		return nil, fmt.Errorf("no line gt_frame = [FROM:TO]")
	}
	return clips, nil
}

// ReadTracks reads the boxes of anomalous objects, one a line, in either of the two forms in use:
//
//	00012.jpg 3 640.5 360 80 120   frame (from 1), track, centre x and y, width, height (Street Scene and its authors' boxes for UCSD)
//	3,11,600,300,680,420           track, frame (from 0), left, top, right, bottom (Georgescu et al.)
func ReadTracks(path string) ([]Region, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLabels, err)
	}
	defer f.Close()
	list, err := ParseTracks(f)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrLabels, path, err)
	}
	return list, nil
}

// ParseTracks reads the lines of [ReadTracks].
func ParseTracks(r io.Reader) ([]Region, error) {
	var list []Region
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		one, ok := parseRegion(text)
		if !ok {
			return nil, fmt.Errorf("line %d: got %.80q, want frame, track and the centre and size of a box, or track,frame,left,top,right,bottom", n, text)
		}
		list = append(list, one)
	}
	return list, lines.Err()
}

func parseRegion(text string) (r Region, ok bool) {
	const columns = 6
	commas := strings.Contains(text, ",")
	fields := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	if len(fields) != columns {
		return r, false
	}
	if !commas { // the name of the frame's file
		name := fields[0][strings.LastIndexByte(fields[0], '/')+1:]
		fields[0], _, _ = strings.Cut(name, ".")
	}
	var v [columns]float64
	for i, s := range fields {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(x) || math.Abs(x) > maxClipFrames {
			return r, false
		}
		v[i] = x
	}
	if commas {
		r = Region{Frame: int(v[1]), Track: int(v[0]), X: v[2], Y: v[3], Width: v[4] - v[2], Height: v[5] - v[3]}
	} else {
		r = Region{Frame: int(v[0]) - 1, Track: int(v[1]), X: v[2] - v[4]/2, Y: v[3] - v[5]/2, Width: v[4], Height: v[5]}
	}
	return r, r.Frame >= 0 && r.Track >= 0 && r.Width > 0 && r.Height > 0
}
