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

// Options are the options of a recording.
type Options struct {
	Image   string           // encoding of maps: Float, Mono16 or Mono8; default Float
	Grid    bool             // record maps also as planes, for the 3D panel
	Library string           // name of the program that records
	Plain   bool             // do not compress
	Now     func() time.Time // clock for the time of reception; default time.Now
}

const (
	maxActive  = 256              // events of a camera that are drawn at once
	activeTime = 30 * time.Second // an event is drawn no longer than this after its last message, in case its end was lost
)

// Recorder records the messages of cameras in an MCAP file, on topics that begin with the camera's name. It is safe for
// concurrent use.
type Recorder struct {
	opts Options
	mu   struct {
		sync.Mutex
		out      *mcap.Writer
		schemas  map[string]uint16
		channels map[string]*channel
		active   map[string]map[string]schema.Event // events that have not ended, by camera and id
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
	r.mu.active = map[string]map[string]schema.Event{}
	return r, nil
}

// Map records a map on /{camera}/anomaly/map and, with Options.Grid, on /{camera}/anomaly/grid. It also records the active
// events, in cells of the map on /{camera}/anomaly/boxes and in pixels of the image on /{camera}/image/boxes.
func (r *Recorder) Map(m client.Map) error {
	img, err := Image(m, r.opts.Image)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	camera, at := m.GetCamera(), m.Captured
	events := r.activeEvents(camera, at)
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

// Score records a score as JSON on /{camera}/anomaly/score, for plots.
func (r *Recorder) Score(s schema.Score) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.json(s.Camera+"/anomaly/score", s.Captured, "oodcast.v1.Score", s, sampleScore())
}

// Event records an event as JSON on /{camera}/anomaly/event, and its start and end also on /{camera}/log. Until it ends, the
// event is drawn over the following maps.
func (r *Recorder) Event(e schema.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.active[e.Camera] == nil {
		r.mu.active[e.Camera] = map[string]schema.Event{}
	}
	if active := r.mu.active[e.Camera]; e.Type == "end" {
		delete(active, e.ID)
	} else if _, known := active[e.ID]; known || len(active) < maxActive {
		active[e.ID] = e
	}
	if err := r.json(e.Camera+"/anomaly/event", e.Time, "oodcast.v1.Event", e, sampleEvent()); err != nil {
		return err
	}
	if e.Type == "update" {
		return nil
	}
	return r.message(e.Camera+"/log", e.Time, EventLog(e))
}

// Status records a camera's state on /{camera}/log, and its state and settings as JSON on /{camera}/status.
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

// Flush writes everything recorded so far, so that it survives the end of the process.
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

// activeEvents returns the events of a camera to draw at a time, by id. The caller holds the lock.
func (r *Recorder) activeEvents(camera string, at time.Time) []schema.Event {
	active := r.mu.active[camera]
	maps.DeleteFunc(active, func(_ string, e schema.Event) bool { return at.Sub(e.Time) > activeTime })
	var list []schema.Event
	for _, id := range slices.Sorted(maps.Keys(active)) {
		list = append(list, active[id])
	}
	return list
}

// message writes a protobuf message. The caller holds the lock.
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

// json writes v as JSON; sample is a value of the same type without empty fields. The caller holds the lock.
func (r *Recorder) json(topic string, at time.Time, name string, v, sample any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("foxglove: %s: %w", topic, err)
	}
	return r.write(topic, at, "json", data, func() (uint16, error) {
		return r.schema(name, "jsonschema", func() ([]byte, error) { return jsonSchema(sample) })
	})
}

// write writes a message, and first adds the channel of its topic if it is new.
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

// schema returns the number of a schema, which it adds if it is new.
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
