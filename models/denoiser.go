package models

import (
	"errors"
	"fmt"
)

// Timesteps is the length T of the diffusion process that every denoiser is trained for; timesteps run from 0 to
// Timesteps-1.
const Timesteps = 1000

// The values of DenoiserConfig.Time.
const (
	// TimeSinusoidal embeds t as cosines and sines, followed by two linear layers and one more in every block.
	TimeSinusoidal = "sinusoidal"
	// TimeScalar repeats the number t over all channels, applies one linear layer and adds the result in every block.
	TimeScalar = "scalar"
)

// DenoiserConfig describes the network that predicts the noise in a feature vector: a U-Net of residual blocks with skip
// connections, but without spatial dimensions (DOoD, ECCV 2024, appendix B, and the released weights). Package nets
// builds its graphs.
type DenoiserConfig struct {
	// Channels is the length of a feature vector.
	Channels int `yaml:"channels" json:"channels"`
	// Width is the number of hidden channels, even and a multiple of Groups; 0 stands for Channels.
	Width int `yaml:"width" json:"width"`
	// Groups is the number of groups of every GroupNorm; 0 stands for 32.
	Groups int `yaml:"groups" json:"groups"`
	// Blocks counts the input, middle and output blocks; there are as many output blocks as input blocks.
	Blocks [3]int `yaml:"blocks" json:"blocks"`
	// Time is the time embedding: TimeSinusoidal or TimeScalar; empty stands for TimeSinusoidal.
	Time string `yaml:"time_embedding" json:"time_embedding"`
	// InputProjection puts a linear layer in front of the first block, so that Width may differ from Channels.
	InputProjection bool `yaml:"input_projection" json:"input_projection"`
	// Window turns the network into a spatial U-Net, the paper's ablation: it sees squares of Window × Window features at
	// once, the layers of its blocks are 3×3 convolutions, and every input block but the first works at half the
	// resolution of the previous one. A multiple of 2^(Blocks[0]-1). Default 0: each feature on its own.
	Window int `yaml:"window,omitempty" json:"window,omitempty"`
}

// Tokens returns the number of features that the network sees at once.
func (d DenoiserConfig) Tokens() int { return max(1, d.Window*d.Window) }

// Defaults returns d with its zero fields filled in.
func (d DenoiserConfig) Defaults() DenoiserConfig {
	if d.Width == 0 {
		d.Width = d.Channels
	}
	if d.Groups == 0 {
		d.Groups = 32
	}
	if d.Time == "" {
		d.Time = TimeSinusoidal
	}
	return d
}

// Validate reports all faults of d, after [DenoiserConfig.Defaults], at once.
func (d DenoiserConfig) Validate() error {
	d = d.Defaults()
	var errs []error
	bad := func(field string, got any, want string) {
		errs = append(errs, fmt.Errorf("denoiser.%s: got %v, want %s", field, got, want))
	}
	if d.Channels < 1 || d.Channels > 16384 {
		bad("channels", d.Channels, "1 to 16384")
	}
	if d.Width < 2 || d.Width > 16384 || d.Width%2 != 0 {
		bad("width", d.Width, "an even number from 2 to 16384")
	}
	if d.Groups < 1 || d.Width%max(1, d.Groups) != 0 {
		bad("groups", d.Groups, fmt.Sprintf("a divisor of the width %d", d.Width))
	}
	if d.Blocks[0] < 1 || d.Blocks[0] > 64 || d.Blocks[1] < 0 || d.Blocks[1] > 64 || d.Blocks[0] != d.Blocks[2] {
		bad("blocks", d.Blocks, "[n m n] with n from 1 to 64 and m from 0 to 64")
	}
	if d.Time != TimeSinusoidal && d.Time != TimeScalar {
		bad("time_embedding", fmt.Sprintf("%q", d.Time), "sinusoidal or scalar")
	}
	if unit := 1 << max(0, min(d.Blocks[0]-1, 5)); d.Window < 0 || d.Window > 64 || d.Window%unit != 0 ||
		d.Window > 0 && d.Window < 2*unit {
		bad("window", d.Window, fmt.Sprintf("0, or a multiple of %d from %d to 64", unit, 2*unit))
	}
	if d.Width != d.Channels && !d.InputProjection {
		bad("input_projection", false, fmt.Sprintf("true, as the width %d is not the %d channels", d.Width, d.Channels))
	}
	return errors.Join(errs...)
}
