package precision

import (
	"fmt"
	"strings"
)

// Report compares a converted bundle with the one that it was made of, on the same frames and in the same run. It is kept in the
// provenance of the new bundle.
type Report struct {
	Precision Precision `yaml:"precision" json:"precision"`
	From      string    `yaml:"from" json:"from"` // name and version of the given bundle
	Sources   []string  `yaml:"sources" json:"sources"`
	Frames    int       `yaml:"frames" json:"frames"` // held-back frames that the maps are compared on
	// Moved is the root mean square of the maps' difference, in deviations of normal footage; Noise is what is normal.
	Moved float64 `yaml:"moved" json:"moved"`
	Noise Noise   `yaml:"noise" json:"noise"`
	// Operators is the number of operators with 8-bit integers, of those that could have them.
	Operators  int      `yaml:"operators,omitempty" json:"operators,omitempty"`
	Candidates int      `yaml:"candidates,omitempty" json:"candidates,omitempty"`
	Before     Measured `yaml:"before" json:"before"`
	After      Measured `yaml:"after" json:"after"`
	Provider   string   `yaml:"provider" json:"provider"`
	// Labelled is the set that AP was also measured on; "" for none.
	Labelled string `yaml:"labelled,omitempty" json:"labelled,omitempty"`
}

// Measured is one of the two bundles.
type Measured struct {
	EncoderBytes int64   `yaml:"encoder_bytes" json:"encoder_bytes"`
	EncodeMS     float64 `yaml:"encode_ms" json:"encode_ms"` // of the quickest frame
	ScoreMS      float64 `yaml:"score_ms" json:"score_ms"`
	Threshold    float64 `yaml:"threshold" json:"threshold"`
	Pasted       Found   `yaml:"pasted" json:"pasted"` // things pasted into normal frames
	Labelled     Found   `yaml:"labelled,omitempty" json:"labelled,omitzero"`
}

// Found is how well things are found, 0..1.
type Found struct {
	AP    float64 `yaml:"ap" json:"ap"`
	FPR95 float64 `yaml:"fpr95" json:"fpr95"`
}

// String returns the report in a few lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "map: moves by %.3f on %d held-back frames; its own noise is %.3f (another seed %.3f, other timesteps %.3f)\n",
		r.Moved, r.Frames, r.Noise.Most(), r.Noise.Seeds, r.Noise.Timesteps)
	if r.Precision == INT8 {
		fmt.Fprintf(&b, "8-bit integers: %d of %d operators\n", r.Operators, r.Candidates)
	}
	row := func(what, format string, before, after any) {
		fmt.Fprintf(&b, "%s: "+format+" before, "+format+" after\n", what, before, after)
	}
	row("encoder", "%.1f MB", float64(r.Before.EncoderBytes)/1e6, float64(r.After.EncoderBytes)/1e6)
	row("quickest frame on "+r.Provider+", encoder", "%.1f ms", r.Before.EncodeMS, r.After.EncodeMS)
	row("quickest frame, score", "%.1f ms", r.Before.ScoreMS, r.After.ScoreMS)
	row("default threshold", "%.2f", r.Before.Threshold, r.After.Threshold)
	row("AP of pasted objects", "%.1f %%", 100*r.Before.Pasted.AP, 100*r.After.Pasted.AP)
	if r.Labelled != "" {
		row("AP on "+r.Labelled, "%.1f %%", 100*r.Before.Labelled.AP, 100*r.After.Labelled.AP)
		row("FPR95 on "+r.Labelled, "%.1f %%", 100*r.Before.Labelled.FPR95, 100*r.After.Labelled.FPR95)
	}
	return b.String()
}
