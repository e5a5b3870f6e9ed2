package detector

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// Config holds an operator's settings of a detector.
type Config struct {
	// Timesteps is |T|, the number of diffusion timesteps scored per frame: 1 … 25, or auto (0) to let latency_budget
	// choose. Default 5.
	Timesteps Timesteps `yaml:"timesteps"`
	// List names the timesteps explicitly instead of by number. Default none.
	List []int `yaml:"timestep_list,flow"`
	// LatencyBudget is the time that encoding and scoring may take when timesteps is auto. Default 0: none.
	LatencyBudget time.Duration `yaml:"latency_budget"`
	// Min and Max bound |T| when timesteps is auto: 1 … 25; 0 is no bound. Default 0.
	Min int `yaml:"timesteps_min"`
	Max int `yaml:"timesteps_max"`
	// TargetFPS is the number of frames to score per second when timesteps is auto, as far as the camera delivers them; 0 is
	// all frames. It does not apply to a source that waits for the detector. Default 0.
	TargetFPS float64 `yaml:"target_fps"`
	// Threshold is the value above which a pixel counts as anomalous, in standard deviations of normal footage; 0
	// selects the bundle's threshold. Default 0.
	Threshold float32 `yaml:"threshold"`
	// FalseAlarms selects the threshold that normal footage exceeds this many times per hour, for one frame or several, as
	// far as the bundle's calibration can tell: more than 0, less than 3600; 0 selects Threshold. Default 0.
	FalseAlarms float64 `yaml:"false_alarms_per_hour"`
	// Width and Height are the working size in pixels, multiples of 32 and of the bundle's encoder.multiple. 0 keeps the frame's aspect ratio, with at most as
	// many pixels as the bundle was made for. Default 0.
	Width  int `yaml:"width"`
	Height int `yaml:"height"`
	// Paper selects the paper's choices: timesteps 0 … |T|-1, nearest upsampling, weight 1 for the uncertainty. Default
	// false.
	Paper bool `yaml:"paper"`
	// Part selects the score that the map shows: compound, diffusion, lse or unclaimed. Default compound.
	Part string `yaml:"part"`
	// ROI is the region of interest. The rest of the image does not contribute to peak, mean, area, events and drift, and
	// its tokens are not scored. Default: the whole image.
	ROI ROI `yaml:"roi,omitempty"`
	// Accumulate is the number of frames whose scores are combined, each scored at different timesteps: on a fixed camera
	// |T|=5 over 5 frames comes close to |T|=25 at the cost of |T|=5. Moving objects are scored on the newest frame alone.
	// 0 or 1: off, up to 25. Default 0.
	Accumulate int `yaml:"accumulate"`
	// Carry is how long maps are carried along the motion of the scene: the value of a place rises at once and falls by 1/e in
	// this time, wherever the camera has moved meanwhile. At most 10s. Default 0: not at all.
	Carry time.Duration `yaml:"carry"`
	// SecondLook is whether a band of the frame is looked at once more, at up to twice the scale, if the source has 1.5 times
	// the pixels of the working size in each direction: off, auto (where the camera's rate and the latency budget leave time
	// for it) or on. It finds small things. Default auto.
	SecondLook string `yaml:"second_look"`
	// SecondLookRegion is where: left, top, right and bottom as fractions of the width and height. Default none: the band that
	// the bundle was calibrated for.
	SecondLookRegion []float64 `yaml:"second_look_region,flow"`
	// DriftWindow is the time over which scores are averaged to notice that the camera was moved or that the light has
	// changed; the reference picture is learnt during twice this time after the start. 0 turns the watch off. Default 1m.
	DriftWindow time.Duration `yaml:"drift_window"`
}

// Timesteps is |T| as an operator writes it: a number, or auto, which is 0.
type Timesteps int

// UnmarshalText reads a number or auto.
func (t *Timesteps) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*t = 0
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return errors.New("want a whole number or auto") // does not quote the text, which may be a misplaced secret
	}
	*t = Timesteps(n)
	return nil
}

// MarshalYAML writes a number or auto.
func (t Timesteps) MarshalYAML() (any, error) {
	if t == 0 {
		return "auto", nil
	}
	return int(t), nil
}

// The values of Config.Part.
const (
	PartCompound  = "compound"
	PartDiffusion = "diffusion"
	PartLSE       = "lse"
	PartUnclaimed = "unclaimed"
)

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Timesteps: 5, Part: PartCompound, SecondLook: LookAuto, DriftWindow: time.Minute}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, got any, want string) {
		errs = append(errs, fmt.Errorf("detector.%s: got %v, want %s", key, got, want))
	}
	if c.Timesteps < 0 || c.Timesteps > models.Timesteps {
		bad("timesteps", int(c.Timesteps), "1 to 1000, or auto")
	}
	if len(c.List) > 0 {
		if err := diffusion.ValidateTimesteps(c.List); err != nil {
			errs = append(errs, fmt.Errorf("detector.timestep_list: %w", err))
		}
	}
	if c.Timesteps == 0 && len(c.List) == 0 && c.LatencyBudget <= 0 {
		bad("latency_budget", c.LatencyBudget, "a positive time, such as 120ms, with timesteps: auto")
	}
	if c.Min < 0 || c.Max < 0 || c.Max > 0 && c.Min > c.Max {
		bad("timesteps_min", fmt.Sprintf("%d with timesteps_max %d", c.Min, c.Max), "0 or more, at most timesteps_max")
	}
	if !(c.TargetFPS >= 0 && c.TargetFPS <= 1000) {
		bad("target_fps", c.TargetFPS, "0 to 1000")
	}
	for _, side := range []struct {
		key string
		v   int
	}{{"width", c.Width}, {"height", c.Height}} {
		if side.v < 0 || side.v%32 != 0 || side.v > 8192 {
			bad(side.key, side.v, "0 or a multiple of 32 up to 8192")
		}
	}
	if (c.Width == 0) != (c.Height == 0) {
		bad("width", c.Width, "both width and height, or neither")
	}
	if !slices.Contains([]string{PartCompound, PartDiffusion, PartLSE, PartUnclaimed}, c.Part) {
		bad("part", fmt.Sprintf("%q", c.Part), "compound, diffusion, lse or unclaimed")
	}
	if math.IsNaN(float64(c.Threshold)) {
		bad("threshold", c.Threshold, "a number")
	}
	if c.Accumulate < 0 || c.Accumulate > 25 {
		bad("accumulate", c.Accumulate, "0 to 25")
	}
	if c.Carry < 0 || c.Carry > 10*time.Second {
		bad("carry", c.Carry, "0 to 10s")
	}
	if !slices.Contains([]string{LookOff, LookAuto, LookOn}, c.SecondLook) {
		bad("second_look", fmt.Sprintf("%q", c.SecondLook), "off, auto or on")
	}
	if !validRegion(c.SecondLookRegion) {
		bad("second_look_region", c.SecondLookRegion, "left, top, right and bottom as fractions, a twentieth apart or more, or none")
	}
	if c.DriftWindow < 0 || c.DriftWindow > 24*time.Hour {
		bad("drift_window", c.DriftWindow, "0 to 24h")
	}
	if c.FalseAlarms != 0 && (!(c.FalseAlarms > 0 && c.FalseAlarms < secondsPerHour) || c.Threshold != 0) {
		bad("false_alarms_per_hour", c.FalseAlarms, "more than 0, less than 3600, and no threshold with it")
	}
	errs = append(errs, c.ROI.Validate())
	return errors.Join(errs...)
}

// Detector scores the frames of one camera.
type Detector struct {
	enc         Encoder
	scorer      Scorer
	manifest    models.Manifest
	compound    *Compound
	cfg         Config
	control     *Control
	provider    string
	note        string
	budget      *budget
	next        uint64
	interval    atomic.Int64 // ns between two frames of the camera
	engine      *EngineLoad
	batchDelay  *window // ratio of latency to engine time, of the latest frames
	drift       *driftWatch
	accumulator *accumulator
	carrier     *Carrier // nil: maps are not carried
	lessons     atomic.Pointer[lessons]
	newest      newest
	motion      *Motion // nil: motion does not count

	roi    regionOfInterest
	scores tokenScores
	second *secondLook // nil: none
}

// New returns a detector that combines an encoder and a scorer with a bundle's manifest and calibration. Provider is the
// name that the maps report as their execution provider. The detector does not take ownership of enc and scorer.
func New(enc Encoder, scorer Scorer, m models.Manifest, cal Calibration, provider string, cfg Config) (*Detector, error) {
	if err := errors.Join(cfg.Validate(), cal.Validate()); err != nil {
		return nil, err
	}
	if err := m.Encoder.CheckSize(cfg.Width, cfg.Height); err != nil {
		return nil, fmt.Errorf("detector: %w: working size: %w", ErrSetting, err)
	}
	if cfg.Paper {
		m.Compound = models.Compound{Rule: models.RuleStandardised, LSEWeight: 1, Upsample: models.UpsampleNearest}
		m.Diffusion.Timesteps = paperOrder(cal.Timesteps)
		if len(m.Diffusion.Timesteps) == 0 {
			return nil, fmt.Errorf("detector: %w: the paper's timesteps 0, 1, … are not calibrated in this bundle: "+
				"run oodcast fit --paper", ErrSetting)
		}
	}
	if err := usable(m.Encoder, cfg.Part, m.Compound.Rule, &cal); err != nil {
		return nil, err
	}
	d := &Detector{
		enc: enc, scorer: scorer, manifest: m, compound: NewCompound(m, cal, cfg.Part), cfg: cfg, provider: provider,
		budget: newBudget(), batchDelay: newWindow(budgetCostFrames), drift: newDriftWatch(cfg.DriftWindow, &cal),
		roi: regionOfInterest{roi: cfg.ROI}, scores: tokenScores{cal: &cal},
	}
	d.accumulator = &accumulator{frames: cfg.Accumulate, compound: d.compound}
	if d.compound.watchesMotion() {
		d.motion = NewMotion()
	}
	if cfg.Carry > 0 {
		d.carrier = NewCarrier(cfg.Carry)
	}
	var err error
	if d.second, err = newSecondLook(m, cal, cfg); err != nil {
		return nil, err
	}
	if _, err := d.compound.schedule.Weights(m.Diffusion.Aggregate, nil); err != nil {
		return nil, err
	}
	// The bundle's order may list timesteps that are not calibrated if the manifest was edited by hand.
	if _, err := cal.moments(m.Diffusion.Timesteps, make([]float64, len(m.Diffusion.Timesteps))); err != nil {
		return nil, err
	}
	knob := Knob{
		Timesteps: int(cfg.Timesteps), List: cfg.List, Budget: cfg.LatencyBudget, Min: cfg.Min, Max: cfg.Max,
		Threshold: cfg.Threshold,
	}
	threshold, note, err := cfg.threshold(&cal)
	if err != nil {
		return nil, fmt.Errorf("detector: %w", err)
	}
	d.note = note
	d.control, err = newControl(m.Diffusion.Timesteps, cal.Timesteps, threshold, knob)
	if err != nil {
		return nil, fmt.Errorf("detector: %w", err)
	}
	return d, nil
}

// usable returns an error if the part of the map needs classes that the encoder does not know, or if the calibration is
// one of an encoder without classes but the encoder has some.
func usable(e models.EncoderSpec, part, rule string, cal *Calibration) error {
	if e.FeaturesOnly() && part == PartLSE {
		return fmt.Errorf("detector: %w: part lse needs classes, which this bundle's encoder does not know: use diffusion", ErrSetting)
	}
	if part == PartUnclaimed && !e.Unclaimed {
		return fmt.Errorf("detector: %w: part unclaimed needs an encoder with heads, which this bundle does not have: use diffusion",
			ErrSetting)
	}
	if rule == models.RuleSized && cal.Voices == nil {
		return fmt.Errorf("detector: %w: the calibration has no scales for the rule sized: run oodcast fit --calibrate-only", ErrSetting)
	}
	if !e.FeaturesOnly() && cal.LSE == (Moments{}) {
		return fmt.Errorf("detector: %w: the calibration does not describe the segmenter's uncertainty: run oodcast fit --calibrate-only",
			ErrSetting)
	}
	return nil
}

// paperOrder returns the timesteps 0, 1, 2 … up to the last one that is calibrated.
func paperOrder(known []int) []int {
	var order []int
	for t := 0; slices.Contains(known, t); t++ {
		order = append(order, t)
	}
	return order
}

// Note returns a remark about the threshold for the operator; empty if there is none.
func (d *Detector) Note() string { return d.note }

// Control returns the detector's knob.
func (d *Detector) Control() *Control { return d.control }

// Score makes the map of a frame. It takes over a reference to the frame and releases it as soon as it is encoded.
func (d *Detector) Score(ctx context.Context, f *ingest.Frame) (m *Map, err error) {
	ScoreAll(ctx, []Job{{d, f}}, func(_ int, made *Map, fault error) { m, err = made, fault })
	return m, err
}

// ScoreEncoding makes the map of a picture that is already encoded, for an evaluation that shares one encoding between
// detectors. The map does not refer to a frame.
func (d *Detector) ScoreEncoding(enc *Encoding) (*Map, error) {
	p := &picture{det: d, enc: enc, m: &Map{Bundle: d.manifest.Name, Provider: d.provider}}
	if err := p.prepare(); err != nil {
		return nil, err
	}
	if err := scoreGroup([]*picture{p}); err != nil {
		return nil, err
	}
	if err := p.scoreLook(); err != nil {
		return nil, err
	}
	return p.m, p.compute()
}

// Encode encodes a frame as Score does, with the second look if there is one. It neither keeps nor releases the frame. The
// result is valid until the next call.
func (d *Detector) Encode(ctx context.Context, f *ingest.Frame) (*Encoding, error) {
	w, h := d.WorkingSize(f.Width, f.Height)
	look, _, err := d.secondLook(ctx, f, w, h)
	if err != nil {
		return nil, err
	}
	enc, err := d.enc.Encode(ctx, f, w, h)
	if err != nil {
		return nil, err
	}
	enc.Look = look
	return enc, nil
}

// secondLook takes the second look at a frame, if there is one. The note tells the operator of the first one, of the last one,
// and why there is none.
func (d *Detector) secondLook(ctx context.Context, f *ingest.Frame, w, h int) (look *Look, note string, err error) {
	if d.second == nil {
		return nil, "", nil
	}
	if note = d.second.prepare(f, w, h); d.second.plan.why != "" {
		return nil, note, nil
	}
	taken := d.takesLook(time.Now())
	if taken {
		look, err = d.second.take(ctx, d.enc, f)
	}
	return look, d.second.tell(taken, d.budget.measured()), err
}

// Forget drops the scores and the maps of earlier frames, for example when the stream is another one. It is safe for concurrent use.
func (d *Detector) Forget() {
	d.accumulator.forget.Store(true)
	if d.carrier != nil {
		d.carrier.Forget()
	}
	if d.motion != nil {
		d.motion.Forget()
	}
}

// WorkingSize returns the size at which a frame is encoded: the configured size or, by default, a size with the frame's
// aspect ratio, at most as many pixels as the bundle was made for, and larger than the frame only if the bundle enlarges. It
// is a multiple of the encoder's step.
func (d *Detector) WorkingSize(width, height int) (w, h int) {
	if d.cfg.Width > 0 {
		return d.cfg.Width, d.cfg.Height
	}
	return FitSize(width, height, d.manifest.Encoder)
}

// FitSize returns the working size for a frame of width × height: for an encoder of a fixed size, that one.
func FitSize(width, height int, e models.EncoderSpec) (w, h int) {
	if e.Fixed {
		return e.Size.Width, e.Size.Height
	}
	scale := math.Sqrt(float64(e.Size.Width) * float64(e.Size.Height) / (float64(width) * float64(height)))
	if !e.Enlarge {
		scale = min(scale, 1)
	}
	step := float64(e.SizeMultiple())
	round := func(v int) int { return int(max(2, math.Round(float64(v)*scale/step)) * step) }
	return round(width), round(height)
}
