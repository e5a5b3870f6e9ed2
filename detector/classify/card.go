package classify

import (
	"fmt"
	"strings"
)

// The beginnings of the sections of a model card, of the one about the classes, and of the one that a calibration writes last.
const (
	anySection         = "\n## "
	section            = anySection + "Classes\n"
	calibrationSection = anySection + "Calibration\n"
)

// card returns the model card of the new bundle: that of the given one, with a section about the classes in front of those that
// fits write, and without a calibration.
func (r *run) card(old []byte) []byte {
	text, _, _ := strings.Cut(string(old), calibrationSection)
	if before, after, again := strings.Cut(text, section); again {
		_, rest, more := strings.Cut(after, anySection)
		if text = before; more {
			text += anySection + rest
		}
	}
	head, fits, fitted := strings.Cut(text, anySection)
	res := &r.result
	text = fmt.Sprintf("%s\n%s\nA linear classifier of the features, by `oodcast fit --head` on %d labelled frames of %s: %d classes, "+
		"%d steps, seed %d.\nMean IoU %.1f and accuracy %.1f on %d frames that took no part.\n", strings.TrimRight(head, "\n"), section, res.Frames,
		r.opt.Source, len(r.opt.Classes), res.Steps, r.opt.Seed, 100*res.MeanIoU, 100*res.Accuracy, res.Checked)
	if fitted {
		text += anySection + fits
	}
	return []byte(text)
}
