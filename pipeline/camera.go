package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/pipeline/queue"
	"github.com/oodcast/oodcast/publish/schema"
)

// camera is one stream on its way from the source to the outlets, and what the outside may ask of it. It runs once.
//
// The fields up to the first blank line are fixed when it is made; the parts below say what guards them.
type camera struct {
	cfg     CameraConfig // as started; see settings for what is in force
	site    string
	engine  *engine
	display Display
	auditor func(schema.Audit)
	fault   func() string // why the newest configuration is not in force
	live    bool          // frames that come too fast are dropped, and the source does not wait
	started time.Time
	pool    *ingest.Pool
	frames  *queue.Queue[*ingest.Frame]

	source   *ingest.Supervisor // replaced by tests before the camera starts
	settings settings           // guards itself
	progress progress           // guards itself
	lessons  lessons            // guards itself
	scoring  scoring            // only the scoring goroutine touches it

	stop func()        // ends the stream; set before the camera's goroutines start, nil until then
	done chan struct{} // closed when the stream has ended and all of it has been scored
}

// scoring is what the scoring goroutine keeps from frame to frame.
type scoring struct {
	tracker *events.Tracker
	seq     uint64              // of the next map
	drift   detector.DriftState // of the newest map
}

var (
	_ schema.Camera      = (*camera)(nil)
	_ schema.Snapshotter = (*camera)(nil)
	_ schema.Teacher     = (*camera)(nil)
)

// framesInside are the frames of a camera that the pipeline itself may hold besides those in the queue: one that the source
// is reading, one that is captured and being handed out, and one that is being scored.
const framesInside = 3

// newCamera prepares a camera.
func (p *Pipeline) newCamera(site string, cfg CameraConfig) (_ *camera, err error) {
	engine, err := p.engines.acquire(cfg.Bundle, cfg.Detector)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.engines.release(engine))
		}
	}()
	policy := cfg.overflow()
	memory := cfg.Queue.MemoryMB << 20
	c := &camera{
		cfg: cfg, site: site, engine: engine, display: p.outlets, auditor: p.audit, fault: p.Fault, live: policy != queue.Wait,
		started: time.Now(), done: make(chan struct{}),
		pool: ingest.NewBoundedPool(cfg.Queue.QueueFrames+framesInside+p.outlets.FramesHeld(), memory),
	}
	c.scoring.tracker = events.NewTracker(cfg.Events)
	// Queued frames get no more than half of the memory: there must be room to read and to score.
	c.frames = queue.New(cfg.Queue.QueueFrames, policy, (*ingest.Frame).Release,
		queue.Bytes(memory/2, func(f *ingest.Frame) int { return len(f.Pix) }))
	source, err := p.openSource(cfg.Source, c.pool, policy == queue.Wait)
	if err != nil {
		return nil, err
	}
	c.source = ingest.NewSupervisor(source, cfg.Source.Reconnect, func(st ingest.Status) { p.sourceChanged(c, st) },
		uint64(time.Now().UnixNano()))
	det, err := p.newDetector(engine, cfg.Detector)
	if err != nil {
		return nil, fmt.Errorf("camera %s: %w", c.Name(), err)
	}
	if note := det.Note(); note != "" {
		p.log.Warn("threshold", "camera", c.Name(), "note", note)
	}
	c.settings.init(cfg.Detector, cfg.Events, det)
	p.recall(c, det)
	return c, nil
}

// newDetector returns a detector that shares the machine with those of the other cameras.
func (p *Pipeline) newDetector(e *engine, cfg detector.Config) (*detector.Detector, error) {
	det, err := e.newDetector(cfg)
	if err == nil {
		det.ShareEngine(&p.share)
	}
	return det, err
}

// sourceChanged reacts to a stream that came, broke off or ended.
func (p *Pipeline) sourceChanged(c *camera, st ingest.Status) {
	if det := c.settings.detector.Load(); det != nil && st.State == ingest.Connecting {
		det.Forget() // the next frames belong to another stream
	}
	attrs := []any{"camera", c.Name(), "state", st.State}
	if st.Err != nil {
		attrs = append(attrs, "error", st.Err)
	}
	if st.Retry > 0 {
		attrs = append(attrs, "retry_in", st.Retry.Round(time.Millisecond))
	}
	p.log.Info("camera", attrs...)
	p.outlets.StatusChanged()
}

// start runs a camera until its stream ends or srcCtx is done. ctx ends the scoring at once.
func (p *Pipeline) start(ctx, srcCtx context.Context, c *camera) {
	srcCtx, c.stop = context.WithCancel(srcCtx)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer c.frames.Close()
		if err := c.source.Run(srcCtx, p.capture(c)); err != nil {
			c.progress.fail(err)
		}
	}()
	go func() {
		if err := p.scoreAll(ctx, c); err != nil {
			p.log.Error("scoring", "camera", c.Name(), "error", err)
			c.progress.fail(err)
		}
		c.stop()
		c.frames.Drain()
		<-read
		close(c.done)
		select {
		case p.ended <- struct{}{}:
		default:
		}
	}()
}

// capture returns the sink that hands captured frames to the outlets and to the scoring.
func (p *Pipeline) capture(c *camera) ingest.Sink {
	return func(ctx context.Context, f *ingest.Frame) error {
		c.progress.captured(f)
		p.outlets.Frame(f.Retain())
		if err := c.frames.Put(ctx, f); !errors.Is(err, queue.ErrClosed) {
			return err
		}
		return nil // the scoring has all it wanted and is about to stop the source
	}
}

// take returns the frame to score now, which the caller owns, or nil when there is none or the camera is paused.
func (c *camera) take(ctx context.Context) *ingest.Frame {
	if ctx.Err() != nil {
		return nil
	}
	f, ok := c.frames.TryGet()
	if !ok {
		return nil
	}
	if c.settings.paused.Load() {
		f.Release()
		c.progress.skipped.Add(1)
		return nil
	}
	return f
}

// detector returns the detector for the next frame.
func (c *camera) detector() *detector.Detector {
	det := c.settings.detector.Load()
	if c.live {
		det.SetInterval(c.progress.interval(time.Now()))
	}
	return det
}

// Name is the camera's token in subjects and addresses.
func (c *camera) Name() string { return c.cfg.Source.Name }

// Snapshot returns the newest frame with its overlay as JPEG, and when it was captured.
func (c *camera) Snapshot() ([]byte, time.Time, error) { return c.display.Snapshot(c.Name()) }
