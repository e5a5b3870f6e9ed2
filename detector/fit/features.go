package fit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// Every fifth block of frames is held back for calibration. Whole blocks are held back because neighbouring frames of a
// video are nearly the same: a held-back frame between two training frames would measure memory.
const (
	blockFrames  = 4
	blocksPerFit = 5
)

// collector turns frames into the token sample and the calibration frames.
type collector struct {
	cfg           Config
	spec          models.EncoderSpec
	encoder       detector.Encoder
	calibrateOnly bool          // hold back all frames for calibration
	looks         bool          // the bundle can take second looks
	sized         bool          // the working size was chosen from the footage
	limit         time.Duration // how long each source is read at most; 0 reads to the end
	report        func(Progress)
	save          func() error // writes the state so far
	paste         *synth.Generator
	motion        *detector.Motion

	begun, saved, reported time.Time
	from, at               time.Duration // times in all footage: start of the current source, current frame
	skip                   int           // frames already in the state
	finished               bool          // all sources have been read
	collected
}

// collected holds what a collector has gathered: the part of the state that comes from the frames.
type collected struct {
	Index      int // frames read
	Encoded    int // frames encoded for training
	Stride     int // every Stride-th training frame is encoded
	Training   int // training frames read
	HeldBack   int // calibration frames read
	Sample     sample
	Held       []detector.Encoding
	Times      []time.Duration     // times of Held in the footage; one source after the other
	Probes     []detector.Encoding // held-back frames with pasted things
	Pasted     []pastedFrame       // of Probes
	Looks      []detector.Encoding // held-back frames at the scale of the second look
	Looked     int                 // held-back frames with enough pixels for it
	Trained    []detector.Encoding // training frames at that scale, used if too few are held back
	Candidates int                 // training frames with enough pixels for it
	Spare      []detector.Encoding // plain encodings of the first training frames, used if the footage is too short to hold back any
}

// spareFrames is how many plain encodings of training frames are kept in case no frame is held back.
const spareFrames = 4

// run reads all sources.
func (c *collector) run(ctx context.Context, sources []ingest.Source) error {
	if c.spec.Fixed && slices.ContainsFunc(c.cfg.Scales, func(s float64) bool { return s != 1 }) {
		return fmt.Errorf("%w: %dx%d: leave --scales out", errFixed, c.spec.Size.Width, c.spec.Size.Height)
	}
	c.begun, c.saved = time.Now(), time.Now()
	c.skip, c.Index = c.Index, 0
	for i, s := range sources {
		c.from = c.at + time.Minute // a gap, so that frames of two sources are not taken for neighbours
		if err := c.read(ctx, s); err != nil {
			return fmt.Errorf("fit: read source %d: %w", i+1, err)
		}
	}
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), c.save())
	}
	if len(c.Held) == 0 {
		c.Held = c.Spare
		c.Times = make([]time.Duration, len(c.Held))
	}
	c.Looks = append(c.Looks, c.Trained[:min(len(c.Trained), max(0, fewLooks-len(c.Looks)))]...)
	c.Spare, c.Trained, c.finished = nil, nil, true
	if !c.calibrateOnly && c.Sample.tokens() < 64 || len(c.Held) == 0 {
		return fmt.Errorf("%w: %d frames with %d tokens", ErrNoFrames, c.Index, c.Sample.tokens())
	}
	return c.save()
}

// read reads one source to its end, or for c.limit.
func (c *collector) read(ctx context.Context, s ingest.Source) error {
	if c.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	return s.Run(ctx, c.frame)
}

// frame is the sink of the sources.
func (c *collector) frame(ctx context.Context, f *ingest.Frame) error {
	defer f.Release()
	moves := c.motion.See(f)
	index := c.Index
	c.Index++
	c.at = c.from + f.PTS
	if index < c.skip {
		return nil
	}
	if index == 0 {
		c.adviseSize(f.Width, f.Height)
	}
	r := rand.New(rand.NewPCG(c.cfg.Seed, uint64(index)+1))
	var err error
	if c.calibrateOnly || index/blockFrames%blocksPerFit == blocksPerFit-1 {
		if err = c.probe(ctx, f, index); err == nil {
			err = c.hold(ctx, f, moves)
		}
		if err == nil {
			err = c.look(ctx, f, &c.Looks, &c.Looked, mostLooks)
		}
	} else {
		err = c.train(ctx, f, r)
	}
	if err != nil {
		return err
	}
	if time.Since(c.reported) > time.Second/5 {
		c.reported = time.Now()
		c.report(Progress{
			Phase: Features, Frames: c.Index, Tokens: c.Sample.tokens(), Elapsed: time.Since(c.begun),
		})
	}
	if time.Since(c.saved) > c.cfg.Checkpoint {
		c.saved = time.Now()
		return c.save()
	}
	return nil
}

// adviseSize tells the user when frames are so small that they have few tokens.
func (c *collector) adviseSize(width, height int) {
	size := c.spec.Size
	if c.spec.Enlarge || c.spec.Fixed || c.sized || 3*width*height > size.Width*size.Height {
		return
	}
	w, h := detector.FitSize(width, height, c.spec)
	c.report(Progress{Phase: Features, Note: fmt.Sprintf("frames of %dx%d give %dx%d tokens; --size %dx%d encodes them larger",
		width, height, w/c.spec.Stride, h/c.spec.Stride, size.Width, size.Height)})
}

// hold keeps a calibration frame. If there are too many, it keeps whole blocks, uniformly at random, because only
// neighbouring frames show how long scores stay high.
func (c *collector) hold(ctx context.Context, f *ingest.Frame, moves detector.Speeds) error {
	at := c.HeldBack
	c.HeldBack++
	if at >= c.cfg.MaxCalibration {
		block := at / blockFrames
		slot := rand.New(rand.NewPCG(c.cfg.Seed, ^uint64(block))).IntN(block + 1)
		if at = slot*blockFrames + at%blockFrames; at >= c.cfg.MaxCalibration {
			return nil
		}
	}
	enc, err := c.plain(ctx, f)
	if err != nil {
		return err
	}
	enc.Motion = moves
	if at == len(c.Held) {
		c.Held, c.Times = append(c.Held, enc), append(c.Times, c.at)
	} else {
		c.Held[at], c.Times[at] = enc, c.at
	}
	return nil
}

// plain encodes a frame as the detector does.
func (c *collector) plain(ctx context.Context, f *ingest.Frame) (detector.Encoding, error) {
	w, h := detector.FitSize(f.Width, f.Height, c.spec)
	return c.encode(ctx, f, w, h)
}

// encode encodes a frame and copies the parts that calibration needs.
func (c *collector) encode(ctx context.Context, f *ingest.Frame, w, h int) (detector.Encoding, error) {
	enc, err := c.encoder.Encode(ctx, f, w, h)
	if err != nil {
		return detector.Encoding{}, err
	}
	kept := *enc
	kept.Features, kept.LSE, kept.Logits = slices.Clone(enc.Features), slices.Clone(enc.LSE), nil
	kept.Unclaimed = slices.Clone(enc.Unclaimed)
	kept.Guide = slices.Clone(enc.Guide)
	return kept, c.check(enc)
}

// train adds the tokens of a training frame at every scale, unless the stride skips the frame.
func (c *collector) train(ctx context.Context, f *ingest.Frame, r *rand.Rand) error {
	number := c.Training
	c.Training++
	if c.Stride == 0 {
		c.Stride = 1
	}
	if number%c.Stride != 0 {
		return nil
	}
	c.Encoded++
	if c.Encoded%c.cfg.MaxFrames == 0 {
		c.Stride *= 2
	}
	if len(c.Spare) < spareFrames {
		enc, err := c.plain(ctx, f)
		if err != nil {
			return err
		}
		c.Spare = append(c.Spare, enc)
	}
	if err := c.look(ctx, f, &c.Trained, &c.Candidates, fewLooks); err != nil {
		return err
	}
	w, h := detector.FitSize(f.Width, f.Height, c.spec)
	step := float64(c.spec.SizeMultiple())
	for _, scale := range c.cfg.Scales {
		pic := f
		// One frame in three is not jittered, so that the sample represents the camera's own look well.
		if jitter := c.cfg.Jitter && r.IntN(3) > 0; jitter || c.cfg.Flip {
			pic = augment(f, r, jitter, c.cfg.Flip)
		}
		sw, sh := scaled(w, scale, step), scaled(h, scale, step)
		enc, err := c.encoder.Encode(ctx, pic, sw, sh)
		if err == nil {
			err = c.check(enc)
		}
		if err != nil {
			return err
		}
		c.Sample.add(r, enc)
	}
	return nil
}

func scaled(v int, scale, step float64) int {
	return int(step) * max(2, int(float64(v)*scale/step+0.5))
}

var errFixed = errors.New("fit: the encoder works at one size only")

var errChannels = errors.New("fit: the encoder's features do not have the channels that the bundle names")

func (c *collector) check(enc *detector.Encoding) error {
	if enc.Channels != c.Sample.channels {
		return fmt.Errorf("%w: got %d, want %d", errChannels, enc.Channels, c.Sample.channels)
	}
	return nil
}
