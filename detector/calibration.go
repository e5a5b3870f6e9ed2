package detector

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// CalibrationFormat is the version of calibration.json.
const CalibrationFormat = 1

// Calibration describes normal footage; its file is calibration.json. It allows any subset of the timesteps to be
// standardised exactly, so that |T| changes the noise of a map but not its scale.
type Calibration struct {
	Format    int   `json:"format"`
	Frames    int   `json:"frames"`            // calibration frames
	Seconds   int   `json:"seconds,omitempty"` // distinct seconds of footage with calibration frames: see Footage; 0: unknown
	Tokens    int   `json:"tokens"`            // tokens that Mean and Covariance were computed from
	Timesteps []int `json:"timesteps"`
	// Mean and Covariance of the per-token scores e_t, in the order of Timesteps.
	Mean       []float64   `json:"mean"`
	Covariance [][]float64 `json:"covariance"`
	// Min and Max of e_t, for the min_max rule.
	Min []float64 `json:"min"`
	Max []float64 `json:"max"`
	// LSE is the segmenter's logsumexp over logit cells; zero for an encoder without classes.
	LSE Moments `json:"lse"`
	// Voices scale the parts of the rule sized; nil in calibrations of older programs.
	Voices *Voices `json:"voices,omitempty"`
	// Look describes the second look; nil if the normal footage has not enough pixels for one.
	Look *LookCalibration `json:"second_look,omitempty"`
	// Levels are the compounded scores for every |T|, in ascending order. They scale the maps, so that a value means the
	// same at every |T|.
	Levels []Level `json:"levels"`
}

// Moments summarise one quantity.
type Moments struct {
	Mean float64 `json:"mean"`
	Std  float64 `json:"std"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

// Validate returns an error unless the moments are those of finite values that vary.
func (m Moments) Validate() error {
	if !finite(m.Mean, m.Min, m.Max) || !(m.Std > 0) || math.IsInf(m.Std, 0) {
		return fmt.Errorf("got mean %v and std %v, want finite and positive", m.Mean, m.Std)
	}
	return nil
}

// Level holds quantiles of the compounded score of normal footage at one |T|.
type Level struct {
	Timesteps int        `json:"timesteps"`           // |T|
	Values    []Quantile `json:"values"`              // of the values of maps
	Peaks     []Quantile `json:"peaks"`               // of the EventPeak of frames
	Episode   float64    `json:"episode_s,omitempty"` // Episode of the peaks; 0: unknown
}

// Quantile states that a fraction P of normal footage lies at or below Value.
type Quantile struct {
	P     float64 `json:"p"`
	Value float64 `json:"value"`
}

// The scale of maps puts the median of normal footage at 0, and its tail, which one normal pixel in two thousand exceeds,
// where a standard normal distribution has it. The maps of all |T| have the same shape that far out: thresholds agree
// within a few percent, whereas a scale by standard deviations leaves a difference of a fifth.
const (
	middleP = 0.5
	tailP   = 0.9995
	tailZ   = 3.2905
)

// ValueProbabilities returns the probabilities of the quantiles of map values that a calibration stores.
func ValueProbabilities() []float64 {
	return []float64{0.01, 0.05, 0.1, 0.25, middleP, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, tailP, 0.9999}
}

// PeakProbabilities returns the probabilities of the quantiles of frame peaks that a calibration stores.
func PeakProbabilities() []float64 { return []float64{0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1} }

// NewLevel returns the quantiles of values and peaks. It sorts both.
func NewLevel(timesteps int, values, peaks []float32) Level {
	return Level{
		Timesteps: timesteps,
		Values:    quantiles(values, ValueProbabilities()),
		Peaks:     quantiles(peaks, PeakProbabilities()),
	}
}

// quantiles sorts x and interpolates between its order statistics.
func quantiles(x []float32, ps []float64) []Quantile {
	slices.Sort(x)
	out := make([]Quantile, len(ps))
	for i, p := range ps {
		at := p * float64(len(x)-1)
		lo := min(int(at), max(0, len(x)-2))
		hi := min(lo+1, len(x)-1)
		f := at - float64(lo)
		out[i] = Quantile{P: p, Value: float64(x[lo]) + f*(float64(x[hi])-float64(x[lo]))}
	}
	return out
}

// quantile interpolates between the entries of list. A p outside the list gets the value of the nearer end.
func quantile(list []Quantile, p float64) float64 {
	for i, q := range list {
		if p > q.P {
			continue
		}
		if i == 0 {
			return q.Value
		}
		prev := list[i-1]
		return prev.Value + (q.Value-prev.Value)*(p-prev.P)/(q.P-prev.P)
	}
	return list[len(list)-1].Value
}

// ParseCalibration reads calibration.json and checks it.
func ParseCalibration(raw []byte) (Calibration, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	var c Calibration
	if err := dec.Decode(&c); err != nil {
		return Calibration{}, fmt.Errorf("calibration: %w", err)
	}
	if err := c.Validate(); err != nil {
		return Calibration{}, err
	}
	return c, nil
}

// Marshal writes calibration.json.
func (c *Calibration) Marshal() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	raw, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return nil, fmt.Errorf("calibration: %w", err)
	}
	return append(raw, '\n'), nil
}

// Validate reports all faults at once, joined.
func (c *Calibration) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("calibration."+format, args...)) }
	if c.Format != CalibrationFormat {
		bad("format: got %d, want %d", c.Format, CalibrationFormat)
	}
	n := len(c.Timesteps)
	if n == 0 || len(c.Mean) != n || len(c.Covariance) != n || len(c.Min) != n || len(c.Max) != n {
		bad("mean: got %d timesteps, %d means, %d rows of covariance, %d minima, %d maxima, want the same number of each",
			n, len(c.Mean), len(c.Covariance), len(c.Min), len(c.Max))
		return errors.Join(errs...)
	}
	for i, row := range c.Covariance {
		if len(row) != n || !finite(row...) || row[i] <= 0 {
			bad("covariance: row %d is not %d finite numbers with a positive variance", i, n)
		}
	}
	if !finite(c.Mean...) || !finite(c.Min...) || !finite(c.Max...) {
		bad("mean: got %v, want finite numbers", c.Mean)
	}
	if err := c.LSE.Validate(); c.LSE != (Moments{}) && err != nil {
		bad("lse: %w", err)
	}
	if c.Voices != nil {
		if err := c.Voices.Validate(); err != nil {
			bad("voices: %w", err)
		}
	}
	if c.Look != nil {
		if err := c.Look.Validate(); err != nil {
			bad("second_look: %w", err)
		}
	}
	if c.Seconds < 0 {
		bad("seconds: got %d, want 0 or more", c.Seconds)
	}
	last := 0
	for _, l := range c.Levels {
		if !(l.Episode >= 0 && l.Episode <= episodeMost) {
			bad("levels: |T|=%d has an episode of %v s, want 0 to %d", l.Timesteps, l.Episode, episodeMost)
		}
		if l.Timesteps <= last || l.Timesteps > n || !ascending(l.Values) || !ascending(l.Peaks) {
			bad("levels: |T|=%d is out of order or has no ascending quantiles", l.Timesteps)
		}
		last = l.Timesteps
	}
	return errors.Join(errs...)
}

func finite(values ...float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

func ascending(list []Quantile) bool {
	for i, q := range list {
		if !finite(q.P, q.Value) || i > 0 && (q.P <= list[i-1].P || q.Value < list[i-1].Value) {
			return false
		}
	}
	return len(list) > 0
}

// moments returns the mean and the standard deviation of Σ w_k·e_k over the given timesteps, Σ w·m and √(wᵀΣw), and the
// bounds Σ w·min and Σ w·max. A timestep without calibration is an error.
func (c *Calibration) moments(timesteps []int, w []float64) (Moments, error) {
	at := make([]int, len(timesteps))
	for i, t := range timesteps {
		at[i] = slices.Index(c.Timesteps, t)
		if at[i] < 0 {
			return Moments{}, fmt.Errorf("calibration: timestep %d is not calibrated: use timesteps out of %v, or run oodcast fit "+
				"--calibrate-only", t, c.Timesteps)
		}
	}
	var m Moments
	variance := 0.0
	for i, a := range at {
		m.Mean += w[i] * c.Mean[a]
		m.Min += w[i] * c.Min[a]
		m.Max += w[i] * c.Max[a]
		for j, b := range at {
			variance += w[i] * w[j] * c.Covariance[a][b]
		}
	}
	// Rounding the covariance to text can make it slightly indefinite.
	m.Std = math.Sqrt(max(variance, 1e-12))
	return m, nil
}

// scale returns the straight line a·x + b that converts the compounded scores of n timesteps to the scale of maps. It is
// interpolated between the calibrated |T|, and the identity without levels.
func (c *Calibration) scale(n int) (a, b float64) {
	for i, l := range c.Levels {
		if n < l.Timesteps && i > 0 {
			prev := c.Levels[i-1]
			f := float64(n-prev.Timesteps) / float64(l.Timesteps-prev.Timesteps)
			a0, b0 := prev.line()
			a1, b1 := l.line()
			return a0 + f*(a1-a0), b0 + f*(b1-b0)
		}
		if n <= l.Timesteps || i == len(c.Levels)-1 {
			return l.line()
		}
	}
	return 1, 0
}

// line returns the conversion to the scale of maps at the level's |T|.
func (l Level) line() (a, b float64) {
	middle, tail := quantile(l.Values, middleP), quantile(l.Values, tailP)
	a = tailZ / max(tail-middle, 1e-6)
	return a, -a * middle
}
