// Package jsonl writes every event and every score as one line of JSON to a file or to standard output, for tools such as jq.
// It is the smallest outlet, and a template for further ones.
//
// A line is a message of package schema preceded by its kind: {"kind":"event",…} as on …event.{type}, or {"kind":"score",…}
// as on …score. Lines wait in a bounded queue, so a stalled reader never delays a camera. When the queue is full, the oldest
// line is dropped and counted.
package jsonl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/pipeline/queue"
	"github.com/oodcast/oodcast/publish/faultlog"
	"github.com/oodcast/oodcast/publish/message"
	"github.com/oodcast/oodcast/publish/schema"
)

// Stdout is the path that means standard output.
const Stdout = "-"

// Bounds of the queue.
const (
	maxLines = 4096
	maxBytes = 8 << 20
)

// Kinds of lines.
const (
	kindEvent = "event"
	kindScore = "score"
)

// Writer is the outlet. It is safe for concurrent use.
type Writer struct {
	site   string
	out    io.Writer
	file   *os.File // nil for standard output, which stays open
	log    *slog.Logger
	lines  *queue.Queue[line]
	faults faultlog.Log
	total  *prometheus.CounterVec
	loss   atomic.Pointer[error] // why the newest line was not written; nil if it was
}

type line struct {
	kind string
	text []byte
}

// Option sets what the program decides rather than the operator.
type Option func(*Writer)

// WithLogger sets the log for faults; the default is slog.Default.
func WithLogger(l *slog.Logger) Option { return func(w *Writer) { w.log = l } }

// New returns a writer for the cameras of a site. It appends to the file at path, which it creates if necessary; "-" means
// stdout. The caller must call Run, which closes the file.
func New(path, site string, stdout io.Writer, options ...Option) (*Writer, error) {
	w := &Writer{
		site: site, out: stdout, log: slog.Default(),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oodcast_jsonl_lines_total", Help: "JSON lines by kind and result: written, overflow or error.",
		}, []string{"kind", "result"}),
	}
	for _, option := range options {
		option(w)
	}
	w.lines = queue.New(maxLines, queue.DropOldest, func(l line) { w.count(l, "overflow") },
		queue.Bytes(maxBytes, func(l line) int { return len(l.text) }))
	if path != Stdout {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, fmt.Errorf("outputs.jsonl: %w", err)
		}
		w.file, w.out = f, f
	}
	return w, nil
}

// Register adds the writer's metrics to reg.
func (w *Writer) Register(reg prometheus.Registerer) error { return reg.Register(w.total) }

func (w *Writer) count(l line, result string) { w.total.WithLabelValues(l.kind, result).Inc() }

// Run writes lines until ctx is done, then the lines that are still queued, and closes the file.
func (w *Writer) Run(ctx context.Context) error {
	buffered := bufio.NewWriter(w.out)
	for {
		l, err := w.lines.Get(ctx)
		if err != nil {
			break
		}
		w.write(buffered, l)
	}
	w.lines.Close()
	for l, ok := w.lines.TryGet(); ok; l, ok = w.lines.TryGet() {
		w.write(buffered, l)
	}
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}

// write writes a line, and flushes if no other is queued: readers see lines at once, and bursts take few system calls.
func (w *Writer) write(out *bufio.Writer, l line) {
	_, err := out.Write(l.text)
	if w.lines.Len() == 0 {
		err = errors.Join(err, out.Flush())
	}
	if err != nil {
		out.Reset(w.out) // a bufio.Writer keeps its error, but the disk may have room again
		w.count(l, "error")
		w.faults.Warn(w.log, "cannot write JSON line", err)
		w.loss.Store(&err)
		return
	}
	w.loss.Store(nil)
	w.count(l, "written")
}

// Check returns why the newest line was not written.
func (w *Writer) Check() error {
	if err := w.loss.Load(); err != nil {
		return fmt.Errorf("outputs.jsonl: %w", *err)
	}
	return nil
}

// put queues v, a struct that embeds a message.
func (w *Writer) put(kind string, v any) {
	text, err := json.Marshal(v)
	if err != nil { // NaN or infinity
		w.count(line{kind: kind}, "error")
		w.faults.Warn(w.log, "cannot write JSON line", err)
		return
	}
	_ = w.lines.Put(context.Background(), line{kind, append(text, '\n')}) // after Run the queue drops it, as it should
}

// Map writes the score of a map.
func (w *Writer) Map(m *detector.Map) {
	w.put(kindScore, struct {
		Kind string `json:"kind"`
		schema.Score
	}{kindScore, message.Score(w.site, m)})
}

// Events writes events.
func (w *Writer) Events(seen events.Observation) []events.Event {
	for _, e := range seen.Events {
		w.putEvent(message.Event(w.site, e))
	}
	return seen.Events
}

// Interrupted writes the ends of the events that the previous process left open.
func (w *Writer) Interrupted(ends []schema.Event) {
	for _, e := range ends {
		w.putEvent(e)
	}
}

func (w *Writer) putEvent(e schema.Event) {
	w.put(kindEvent, struct {
		Kind string `json:"kind"`
		schema.Event
	}{kindEvent, e})
}

// Frame releases the frame.
func (w *Writer) Frame(f *ingest.Frame) { f.Release() }

// FramesHeld returns 0.
func (w *Writer) FramesHeld() int { return 0 }

// WaitReady returns at once.
func (w *Writer) WaitReady(context.Context) error { return nil }

// AddCamera does nothing: every line names its camera.
func (w *Writer) AddCamera(schema.Camera) error { return nil }

// RemoveCamera does nothing.
func (w *Writer) RemoveCamera(string) error { return nil }

// StatusChanged does nothing.
func (w *Writer) StatusChanged() {}
