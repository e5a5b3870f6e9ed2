package foxglove

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/mcap"
	"github.com/oodcast/oodcast/publish/schema"
)

// Options choose what a recording holds.
type Options struct {
	Image   string           // encoding of maps: Float, Mono16 or Mono8; default Float
	Grid    bool             // maps also as planes for the 3D panel
	Library string           // who writes
	Plain   bool             // do not compress
	Now     func() time.Time // when a message is received; default time.Now
}

// Events that are drawn: of each camera at most so many, and none that nobody spoke of for so long, in case its end was
// lost.
const (
	maxDrawn  = 256
	drawnTime = 30 * time.Second
)

// Recorder writes what cameras say into an MCAP file, on topics that begin with the camera's name. It is safe for
// concurrent use.
type Recorder struct {
	opts Options
	mu   struct {
		sync.Mutex
		out      *mcap.Writer
		schemas  map[string]uint16
		channels map[string]*channel
		drawn    map[string]map[string]schema.Event // by camera and id: events in force
	}
}

type channel struct {
	id  uint16
	seq uint32
}

// NewRecorder begins a recording.
func NewRecorder(w io.Writer, o Options) (*Recorder, error) {
	if o.Image == "" {
		o.Image = Float
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if _, err := Image(client.Map{}, o.Image); err != nil {
		return nil, err
	}
	out, err := mcap.NewWriter(w, mcap.Options{Library: o.Library, Plain: o.Plain})
	if err != nil {
		return nil, err
	}
	r := &Recorder{opts: o}
	r.mu.out, r.mu.schemas, r.mu.channels = out, map[string]uint16{}, map[string]*channel{}
	r.mu.drawn = map[string]map[string]schema.Event{}
	return r, nil
}

// Map records a map: /{camera}/anomaly/map, with Options.Grid /{camera}/anomaly/grid, and the events in force over the
// map's cells on /{camera}/anomaly/boxes, and over the image's pixels on /{camera}/image/boxes.
func (r *Recorder) Map(m client.Map) error {
	img, err := Image(m, r.opts.Image)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	camera, at := m.GetCamera(), m.Captured
	events := r.inForce(camera, at)
	write := []func() error{
		func() error { return r.message(camera+"/anomaly/map", at, img) },
		func() error {
			return r.message(camera+"/anomaly/boxes", at,
				Annotations(events, int(m.GetWidth()), int(m.GetHeight()), m.GetStamp()))
		},
		func() error {
			return r.message(camera+"/image/boxes", at,
				Annotations(events, int(m.GetImageWidth()), int(m.GetImageHeight()), m.GetStamp()))
		},
	}
	if r.opts.Grid {
		write = append(write, func() error { return r.message(camera+"/anomaly/grid", at, MapGrid(m)) })
	}
	for _, f := range write {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// Score records a score as JSON on /{camera}/anomaly/score, to plot.
func (r *Recorder) Score(s schema.Score) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.json(s.Camera+"/anomaly/score", s.Captured, "oodcast.v1.Score", s, sampleScore())
}

// Event records an event as JSON on /{camera}/anomaly/event, its start and end also on /{camera}/log, and draws it over
// the maps that follow until it ends.
func (r *Recorder) Event(e schema.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.drawn[e.Camera] == nil {
		r.mu.drawn[e.Camera] = map[string]schema.Event{}
	}
	if drawn := r.mu.drawn[e.Camera]; e.Type == "end" {
		delete(drawn, e.ID)
	} else if _, there := drawn[e.ID]; there || len(drawn) < maxDrawn {
		drawn[e.ID] = e
	}
	if err := r.json(e.Camera+"/anomaly/event", e.Time, "oodcast.v1.Event", e, sampleEvent()); err != nil {
		return err
	}
	if e.Type == "update" {
		return nil
	}
	return r.message(e.Camera+"/log", e.Time, EventLog(e))
}

// Status records a camera's state on /{camera}/log, and with the settings in force as JSON on /{camera}/status.
func (r *Recorder) Status(s schema.Status) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.json(s.Camera+"/status", s.Time, "oodcast.v1.Status", s, sampleStatus()); err != nil {
		return err
	}
	return r.message(s.Camera+"/log", s.Time, StatusLog(s))
}

// Snapshot records a picture on /{camera}/image.
func (r *Recorder) Snapshot(s client.Snapshot) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.message(s.Camera+"/image", s.Captured, Picture(s))
}

// Flush makes what was recorded so far safe from the end of the process.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.out.Flush()
}

// Close ends the recording. Closing twice is harmless.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.out.Close()
}

// inForce returns the events of a camera that are to be drawn at a time, by id. The lock is held.
func (r *Recorder) inForce(camera string, at time.Time) []schema.Event {
	drawn := r.mu.drawn[camera]
	maps.DeleteFunc(drawn, func(_ string, e schema.Event) bool { return at.Sub(e.Time) > drawnTime })
	var list []schema.Event
	for _, id := range slices.Sorted(maps.Keys(drawn)) {
		list = append(list, drawn[id])
	}
	return list
}

// message writes a protobuf message. The lock is held.
func (r *Recorder) message(topic string, at time.Time, m proto.Message) error {
	name := string(m.ProtoReflect().Descriptor().FullName())
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("foxglove: %s: %w", topic, err)
	}
	return r.write(topic, at, "protobuf", data, func() (uint16, error) {
		return r.schema(name, "protobuf", func() ([]byte, error) { return descriptors(m.ProtoReflect().Descriptor()) })
	})
}

// json writes v as JSON; sample is one of its kind with everything in it. The lock is held.
func (r *Recorder) json(topic string, at time.Time, name string, v, sample any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("foxglove: %s: %w", topic, err)
	}
	return r.write(topic, at, "json", data, func() (uint16, error) {
		return r.schema(name, "jsonschema", func() ([]byte, error) { return jsonSchema(sample) })
	})
}

// write writes a message, on a channel that is made when it is the first.
func (r *Recorder) write(topic string, at time.Time, encoding string, data []byte, schema func() (uint16, error)) error {
	c := r.mu.channels[topic]
	if c == nil {
		s, err := schema()
		if err != nil {
			return err
		}
		id, err := r.mu.out.AddChannel(s, "/"+topic, encoding, nil)
		if err != nil {
			return err
		}
		c = &channel{id: id}
		r.mu.channels[topic] = c
	}
	err := r.mu.out.Write(c.id, c.seq, r.opts.Now(), at, data)
	c.seq++
	return err
}

// schema returns the number of a schema, which is added when it is new.
func (r *Recorder) schema(name, encoding string, data func() ([]byte, error)) (uint16, error) {
	if id, ok := r.mu.schemas[name]; ok {
		return id, nil
	}
	b, err := data()
	if err != nil {
		return 0, fmt.Errorf("foxglove: schema %s: %w", name, err)
	}
	id, err := r.mu.out.AddSchema(name, encoding, b)
	if err == nil {
		r.mu.schemas[name] = id
	}
	return id, err
}
