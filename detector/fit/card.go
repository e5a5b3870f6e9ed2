package fit

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/oodcast/oodcast/detector"
)

// CalibrationSection is the heading of what a fit writes about the calibration at the end of a model card.
const CalibrationSection = "\n## Calibration\n"

// fitSection is the heading of what a fit writes about the training. Both replace sections of the same name in the given bundle's
// card.
const fitSection = "\n## Denoiser\n"

// card returns the model card of the new bundle: that of the given bundle, with new sections about this fit.
func (r *run) card(old []byte, cal *detector.Calibration) []byte {
	old, _, _ = bytes.Cut(old, []byte(CalibrationSection))
	if !r.opt.CalibrateOnly {
		old, _, _ = bytes.Cut(old, []byte(fitSection))
	}
	b := bytes.NewBuffer(bytes.Clone(bytes.TrimRight(old, "\n")))
	b.WriteByte('\n')
	sources := strings.Join(r.opt.SourceNames, ", ")
	if r.opt.Whiten {
		fmt.Fprintf(b, "\n## Whitening\n\nBy `oodcast fit` on %s: the encoder projects the features on their principal components, each scaled to "+
			"deviation 1, and leaves the %d strongest out; %d remain.\n", sources, r.opt.DropComponents, r.manifest.Encoder.Channels)
	}
	if !r.opt.CalibrateOnly {
		d := r.manifest.Denoiser
		fmt.Fprintf(b, "%s\nTrained by `oodcast fit` on %d frames (%d tokens) of %s: %d steps of %d, seed %d, loss %.3f.\n"+
			"Width %d, blocks %d/%d/%d, %s time embedding, %s normalisation.\n", fitSection, r.result.Frames, r.result.Tokens,
			sources, r.result.Steps, r.opt.Batch, r.opt.Seed, r.result.Loss,
			d.Defaults().Width, d.Blocks[0], d.Blocks[1], d.Blocks[2], d.Time, r.manifest.Normalise)
	}
	if cal == nil {
		fmt.Fprintf(b, "%s\nNone: %s.\n", CalibrationSection, r.manifest.Uncalibrated)
		return b.Bytes()
	}
	held := "held back from "
	if r.opt.CalibrateOnly {
		held = "of "
	}
	fmt.Fprintf(b, "%s\nOn %d frames %s%s. Default threshold %.2f deviations: in 95 %% of these frames nothing as large as an event reaches it.\n",
		CalibrationSection, r.result.CalibrationFrames, held, sources, cal.DefaultThreshold())
	if c := r.result.Check; c != nil {
		fmt.Fprintf(b, "\nCheck with things pasted into frames that took no part in the training: on %d frames AP %.1f, FPR95 %.1f at |T|=%d (seed %d).\n"+
			"That compares fits on this footage; real anomalies are more varied.\n", c.Images, 100*c.AP, 100*c.FPR95, c.Timesteps, r.opt.Seed)
	}
	return b.Bytes()
}
