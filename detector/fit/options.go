package fit

import (
	"errors"
	"fmt"
	"time"

	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// Config holds the settings that an operator chooses.
type Config struct {
	// Steps is the number of optimiser steps. Default 1500.
	Steps int `yaml:"steps"`
	// Batch is the number of tokens per step, a multiple of 8. Default 1024.
	Batch int `yaml:"batch"`
	// LR is the highest learning rate, reached after 5 % of the steps; from there it falls as a cosine. Default 0.001.
	LR float64 `yaml:"lr"`
	// WeightDecay is AdamW's weight decay. Default 0.01.
	WeightDecay float64 `yaml:"weight_decay"`
	// Seed fixes initial weights, sampling, noise and augmentation. Default 1.
	Seed uint64 `yaml:"seed"`
	// Focus is the share of training timesteps that are drawn from the range that scoring uses; the others are drawn from
	// 0 … 999. Default 0.8.
	Focus float64 `yaml:"focus"`
	// Denoiser is mlp, which sees each feature on its own, or unet, the paper's ablation, which convolves squares of
	// features at nine times the cost. Default mlp.
	Denoiser string `yaml:"denoiser"`
	// Width is the hidden width; 0 stands for the number of channels. Default 0.
	Width int `yaml:"width"`
	// Blocks are the numbers of input, middle and output blocks. Default [2, 0, 2]: half the cost of [3, 1, 3], and no
	// worse.
	Blocks [3]int `yaml:"blocks,flow"`
	// Normalise is how features are scaled: per_channel, or global as in the paper. Default per_channel.
	Normalise string `yaml:"normalise"`
	// Groups is the number of groups of every GroupNorm. Default 1: a lower loss than with 8, and faster.
	Groups int `yaml:"groups"`
	// Whiten projects the features on their principal components in this footage, each scaled to deviation 1, before the
	// training. The projection becomes a part of the bundle's encoder. Default false.
	Whiten bool `yaml:"whiten"`
	// DropComponents is the number of principal components that Whiten leaves out, the strongest first: normal footage varies
	// along them. Default 0.
	DropComponents int `yaml:"drop_components"`
	// Scales are the working sizes at which training frames are encoded, as multiples of the bundle's. Default [1].
	Scales []float64 `yaml:"scales,flow"`
	// Jitter varies brightness, contrast, colour, noise and position of training frames. Default true.
	Jitter bool `yaml:"jitter"`
	// Flip also mirrors training frames, for moving cameras. Default false.
	Flip bool `yaml:"flip"`
	// MaxFrames bounds the number of frames that are encoded for training: from longer footage, only every second, fourth,
	// … frame is used. Default 400.
	MaxFrames int `yaml:"max_frames"`
	// MaxTokens bounds the sample of features in memory. Default 400000.
	MaxTokens int `yaml:"max_tokens"`
	// MaxCalibration bounds the number of whole frames that are kept for calibration. The threshold is a quantile of their
	// peaks. Default 120.
	MaxCalibration int `yaml:"max_calibration"`
	// Motion lets what moves faster than normal at its place count, unless the footage shows that the camera moves. Default
	// false: see docs/fixed-camera.md.
	Motion bool `yaml:"motion"`
	// Paper selects the paper's normalisation, noise and timesteps. Default false.
	Paper bool `yaml:"paper"`
	// Set changes keys in the sections diffusion and compound of the bundle, as KEY=VALUE. Default none.
	Set []string `yaml:"set"`
	// LSEWeight is the weight of the segmenter's uncertainty in the bundle; a negative value keeps that of the given
	// bundle. Default -1.
	LSEWeight float64 `yaml:"lse_weight"`
	// Check is the number of held-back frames into which things are pasted to check the fit; 0 is none. Default 20.
	Check int `yaml:"check"`
	// Checkpoint is the time between two writes of the state, at most 30 s. Default 20 s.
	Checkpoint time.Duration `yaml:"checkpoint"`
}

// The values of Config.Denoiser.
const (
	MLP  = "mlp"
	UNet = "unet"
)

// unetWindow is the side length of the squares that a U-Net sees, in tokens: 128 pixels at stride 16.
const unetWindow = 8

func (c Config) window() int {
	if c.Denoiser == UNet {
		return unetWindow
	}
	return 0
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Steps: 1500, Batch: 1024, LR: 1e-3, WeightDecay: 0.01, Seed: 1, Focus: 0.8, Denoiser: MLP,
		Blocks: [3]int{2, 0, 2}, Normalise: models.NormalisePerChannel, Groups: 1,
		Scales: []float64{1}, Jitter: true, MaxFrames: 400, MaxTokens: 400_000, MaxCalibration: 120, LSEWeight: -1,
		Check:      20,
		Checkpoint: 20 * time.Second,
	}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, got any, want string) {
		errs = append(errs, fmt.Errorf("fit.%s: got %v, want %s", key, got, want))
	}
	if c.Steps < 1 {
		bad("steps", c.Steps, "1 or more")
	}
	if c.Batch < 8 || c.Batch%8 != 0 || c.Batch > 1<<16 {
		bad("batch", c.Batch, "a multiple of 8 up to 65536")
	}
	if !(c.LR > 0 && c.LR < 1) {
		bad("lr", c.LR, "more than 0 and less than 1")
	}
	if !(c.WeightDecay >= 0 && c.WeightDecay < 1) {
		bad("weight_decay", c.WeightDecay, "0 to 1")
	}
	if !(c.Focus >= 0 && c.Focus <= 1) {
		bad("focus", c.Focus, "0 to 1")
	}
	if c.Denoiser != MLP && c.Denoiser != UNet {
		bad("denoiser", fmt.Sprintf("%q", c.Denoiser), "mlp or unet")
	}
	if unit := unetWindow * unetWindow; c.Denoiser == UNet && c.Batch%unit != 0 {
		bad("batch", c.Batch, fmt.Sprintf("a multiple of %d for a U-Net", unit))
	}
	if c.Width < 0 {
		bad("width", c.Width, "0 or more")
	}
	if c.Normalise != models.NormalisePerChannel && c.Normalise != models.NormaliseGlobal {
		bad("normalise", fmt.Sprintf("%q", c.Normalise), "per_channel or global")
	}
	if c.DropComponents < 0 || c.DropComponents > 0 && !c.Whiten {
		bad("drop_components", c.DropComponents, "0 or more, and 0 without whiten")
	}
	if c.Whiten && c.Paper {
		bad("whiten", true, "false in paper mode")
	}
	for _, s := range c.Scales {
		if !(s >= 0.1 && s <= 4) {
			bad("scales", s, "0.1 to 4")
		}
	}
	for _, n := range []struct {
		key string
		v   int
	}{{"max_frames", c.MaxFrames}, {"max_tokens", c.MaxTokens}, {"max_calibration", c.MaxCalibration}} {
		if n.v < 1 {
			bad(n.key, n.v, "1 or more")
		}
	}
	if c.Check < 0 || c.Check > 1000 {
		bad("check", c.Check, "0 to 1000")
	}
	if len(c.Scales) == 0 {
		bad("scales", "none", "at least one")
	}
	if c.Checkpoint <= 0 || c.Checkpoint > 30*time.Second {
		bad("checkpoint", c.Checkpoint, "more than 0 and up to 30s")
	}
	return errors.Join(errs...)
}

// Options describe one fit.
type Options struct {
	Config
	Bundle        *models.Bundle  // encoder only or complete
	Sources       []ingest.Source // streams of normal footage, read one after the other
	Duration      time.Duration   // how long each source is read at most; 0 reads to the end
	SourceNames   []string        // for the bundle's provenance, without passwords; see SourceName
	Size          models.Size     // working size of the new bundle, to which smaller frames are enlarged; 0: the given bundle's
	Out           string          // folder of the new bundle
	Name          string          // name of the new bundle; "" keeps that of the given bundle
	CalibrateOnly bool            // keep the denoiser of a complete bundle
	ORT           ort.Options
	Progress      func(Progress) // called by Run at least once a second while it makes progress; may be nil
}

// Phase is a phase of a fit.
type Phase string

// The phases, in order.
const (
	Features  Phase = "features"
	Train     Phase = "train"
	Calibrate Phase = "calibrate"
	Done      Phase = "done"
)

// Progress is the progress of a fit.
type Progress struct {
	Phase         Phase
	Frames        int // frames encoded so far
	Tokens        int // tokens in the sample
	Step, Steps   int // training steps, or calibration frames
	Loss          float64
	RowsPerSecond float64
	Elapsed, Left time.Duration // in the phase
	Note          string        // a message for the user; the other fields do not count then
}

// Result is the result of a fit.
type Result struct {
	Out               string  `json:"out"`
	Frames            int     `json:"frames"`
	CalibrationFrames int     `json:"calibration_frames"`
	Tokens            int     `json:"tokens"`
	Steps             int     `json:"steps"`
	Interrupted       bool    `json:"interrupted"`
	Resumed           bool    `json:"resumed"`
	Loss              float64 `json:"loss"`
	Seconds           float64 `json:"seconds"`
	Provider          string  `json:"provider"`
	Threshold         float32 `json:"threshold"`
	Timesteps         []int   `json:"timesteps"`
	Check             *Check  `json:"check,omitempty"`
}

// ErrNoFrames means that the sources had no frames, or too few to train on.
var ErrNoFrames = errors.New("fit: not enough footage")

// order returns the timesteps of the bundle for features of standard deviation std.
func (c Config) order(std float64) []int {
	if c.Paper {
		return diffusion.Paper(25)
	}
	lo, hi := diffusion.NewSchedule().UsefulRange(std)
	return diffusion.Spread(lo, max(hi, lo+24), 25)
}
