package fit

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

const (
	// mostLooks bounds the frames that are kept at the scale of the second look: each is four times as large as the others.
	mostLooks = 24
	// fewLooks is the number of frames that training frames make up for. The scales of the voices are medians over thousands of
	// cells, which hardly depend on whether the denoiser was trained on some of the frames.
	fewLooks = 16
)

// look keeps a frame at the scale of the second look, if it has enough pixels. seen counts such frames; of more than most
// frames, kept is a random sample.
func (c *collector) look(ctx context.Context, f *ingest.Frame, kept *[]detector.Encoding, seen *int, most int) error {
	w, h, ok := detector.LookSize(f.Width, f.Height, c.spec)
	if !ok || !c.looks {
		return nil
	}
	at := *seen
	*seen++
	if at >= most {
		if at = rand.New(rand.NewPCG(c.cfg.Seed, 0x6c6f6f6b^uint64(at))).IntN(at + 1); at >= most {
			return nil
		}
	}
	enc, err := c.encode(ctx, f, w, h)
	if err != nil {
		return err
	}
	if at == len(*kept) {
		*kept = append(*kept, enc)
	} else {
		(*kept)[at] = enc
	}
	return nil
}

// calibrateLook measures the voices at the scale of the second look, and where to look: nil without frames that have enough
// pixels. held are the frames at the working size; done is told how many looks are scored.
func calibrateLook(
	ctx context.Context, scorer detector.Scorer, m models.Manifest, cal detector.Calibration, held, looks []detector.Encoding,
	done func(n int),
) (*detector.LookCalibration, error) {
	if len(looks) == 0 {
		return nil, nil
	}
	scores, err := scoreFrames(ctx, scorer, m.Diffusion.Timesteps, looks, done)
	if err != nil {
		return nil, err
	}
	voices, err := detector.MeasureVoices(m, cal, looks, scores)
	if err != nil {
		return nil, fmt.Errorf("second look: %w", err)
	}
	look := &detector.LookCalibration{Frames: len(looks), Voices: voices}
	look.Top, look.Bottom = detector.LookBand(held)
	return look, nil
}

// scoreFrames returns the scores of all tokens of frames at the given timesteps. done is told how many are scored.
func scoreFrames(
	ctx context.Context, scorer detector.Scorer, order []int, frames []detector.Encoding, done func(n int),
) ([][]float32, error) {
	scores := make([][]float32, len(frames))
	for i := range frames {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		enc := &frames[i]
		scores[i] = make([]float32, enc.Width*enc.Height*len(order))
		if err := detector.ScoreEncoding(scorer, scores[i], enc, order); err != nil {
			return nil, err
		}
		done(i + 1)
	}
	return scores, nil
}
