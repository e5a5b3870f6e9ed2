package precision

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/oodcast/oodcast/detector/fit"
)

// cardSection is the heading of the model card's section. It comes before that of the calibration, which later fits replace
// with all that follows it.
const cardSection = "\n## Precision\n"

// card returns a model card with a section about the conversion.
func (r *Report) card(old []byte) []byte {
	head, calibration, found := bytes.Cut(old, []byte(fit.CalibrationSection))
	head, _, _ = bytes.Cut(head, []byte(cardSection))
	b := bytes.NewBuffer(bytes.Clone(bytes.TrimRight(head, "\n")))
	fmt.Fprintf(b, "\n%s\nThe encoder of %s as %s, by `oodcast models convert` on %s:\n\n", cardSection, r.From, r.Precision, strings.Join(r.Sources, ", "))
	for line := range strings.Lines(r.String()) {
		b.WriteString("* " + line)
	}
	if found {
		b.WriteString(fit.CalibrationSection)
		b.Write(calibration)
	}
	return b.Bytes()
}
