package detector

import (
	"errors"
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models"
)

const (
	// lookScale is the scale of the second look, in working sizes.
	lookScale = 2
	// lookLeast is the least scale for which a second look is worth its time: at 1.33, AP on RoadAnomaly and
	// RoadAnomaly21 stays where it is.
	lookLeast = 1.5
	// lookShare is the part of the frame's height that is looked at: at a scale of 2, it has as many pixels as the first look.
	lookShare = 0.25
)

// LookCalibration describes the second look at normal footage.
type LookCalibration struct {
	Frames int `json:"frames"` // normal frames that had enough pixels
	// Top and Bottom bound the band that is looked at, as fractions of the height: see LookBand.
	Top    float64 `json:"top"`
	Bottom float64 `json:"bottom"`
	// Voices scale the parts of the rule sized at the scale of the second look, over whole frames, as those of the first do.
	Voices Voices `json:"voices"`
}

// Validate returns an error unless the band lies in the frame and the voices are valid.
func (l *LookCalibration) Validate() error {
	var errs []error
	if !(l.Top >= 0 && l.Bottom <= 1 && l.Top < l.Bottom) {
		errs = append(errs, fmt.Errorf("top and bottom: got %v and %v, want 0 ≤ top < bottom ≤ 1", l.Top, l.Bottom))
	}
	return errors.Join(append(errs, l.Voices.Validate())...)
}

// LookSize returns the size at which the second look would see a whole frame, and false for a frame that does not have
// enough pixels for it.
func LookSize(width, height int, e models.EncoderSpec) (w, h int, ok bool) {
	w, h = FitSize(width, height, e)
	scale, ok := lookAt(width, height, w, h)
	step := e.SizeMultiple()
	return aligned(float64(w)*scale, step), aligned(float64(h)*scale, step), ok
}

// lookAt returns the scale of the second look at a frame whose working size is w × h.
func lookAt(width, height, w, h int) (scale float64, ok bool) {
	most := min(float64(width)/float64(w), float64(height)/float64(h))
	return min(lookScale, most), most >= lookLeast
}

// aligned returns the multiple of step next to v, at least two of them.
func aligned(v float64, step int) int { return step * max(2, int(math.Round(v/float64(step)))) }

// structureRows are the rows in which LookBand sums up the structure of frames of any size.
const structureRows = 64

// LookBand returns a quarter of the height, as fractions of it, around the row in which neighbouring features differ most, in
// the mean of all frames. There the same number of tokens shows the most things, so each of them is small: on roads, the row
// is the horizon.
func LookBand(encs []Encoding) (top, bottom float64) {
	sums := make([]float64, structureRows)
	for i := range encs {
		rows := structure(&encs[i])
		total := 0.0
		for _, v := range rows {
			total += v
		}
		if !(total > 0) || math.IsInf(total, 0) {
			continue
		}
		for y := range sums {
			// The rows of tokens are read between their centres.
			at := min(max((float64(y)+0.5)*float64(len(rows))/structureRows-0.5, 0), float64(len(rows)-1))
			below := int(at)
			f := at - float64(below)
			sums[y] += ((1-f)*rows[below] + f*rows[min(below+1, len(rows)-1)]) / total * float64(len(rows))
		}
	}
	row := 0
	for y, v := range sums {
		if v > sums[row] {
			row = y
		}
	}
	top = (float64(row)+0.5)/structureRows - lookShare/2
	top = min(max(top, 0), 1-lookShare)
	return top, top + lookShare
}

// structure returns the sums of the squared differences of neighbouring features in each row of tokens.
func structure(enc *Encoding) []float64 {
	rows := make([]float64, enc.Height)
	c := enc.Channels
	for y := range enc.Height {
		row := enc.Features[y*enc.Width*c:][:enc.Width*c]
		for i, v := range row[:len(row)-c] {
			d := float64(row[i+c] - v)
			rows[y] += d * d
		}
	}
	return rows
}
