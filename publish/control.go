package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/oodcast/oodcast/publish/schema"
)

// Snapshot is the answer to a snapshot request: the subject on which the JPEG was published, its size and its capture time.
type Snapshot struct {
	Subject  string    `json:"subject"`
	Bytes    int       `json:"bytes"`
	Captured time.Time `json:"captured"`
}

// newService starts the control service of one camera, on ….ctl.{get|set|pause|resume|snapshot}. An answer is the Status in
// force, or a schema.Fault that says what would be valid. Each camera is an instance of the service "oodcast", so that one can
// be added or removed while the others answer requests.
func (p *Publisher) newService(nc *nats.Conn, cam schema.Camera) (micro.Service, error) {
	svc, err := micro.AddService(nc, micro.Config{
		Name: "oodcast", Version: semver(p.version),
		Description: "settings of one camera of an oodcast process",
		Metadata:    map[string]string{"prefix": p.cfg.Prefix, "site": p.cfg.Site, "camera": cam.Name()},
	})
	if err != nil {
		return nil, fmt.Errorf("nats control service: %w", err)
	}
	for verb, handle := range map[string]func(schema.Camera, micro.Request){
		"get":      func(c schema.Camera, r micro.Request) { p.answer(r, c.Status()) },
		"set":      p.set,
		"pause":    func(c schema.Camera, r micro.Request) { p.pause(c, r, true) },
		"resume":   func(c schema.Camera, r micro.Request) { p.pause(c, r, false) },
		"snapshot": func(c schema.Camera, r micro.Request) { p.snapshot(nc, c, r) },
	} {
		err := svc.AddEndpoint(cam.Name()+"_"+verb, micro.HandlerFunc(func(r micro.Request) { handle(cam, r) }),
			micro.WithEndpointSubject(p.subjects.Control(cam.Name(), verb)),
			micro.WithEndpointMetadata(map[string]string{"camera": cam.Name(), "verb": verb}))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("nats control service: %w", err), svc.Stop())
		}
	}
	return svc, nil
}

// semver returns v if micro accepts it as a version, otherwise 0.0.0 followed by v.
func semver(v string) string {
	v = strings.TrimPrefix(v, "v")
	if regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`).MatchString(v) {
		return v
	}
	if regexp.MustCompile(`^[0-9A-Za-z-]+$`).MatchString(v) {
		return "0.0.0-" + v
	}
	return "0.0.0"
}

func (p *Publisher) set(cam schema.Camera, r micro.Request) {
	u, err := schema.ParseUpdate(r.Data())
	if err != nil {
		p.refuse(r, "400", err)
		return
	}
	p.apply(cam, r, u)
}

func (p *Publisher) pause(cam schema.Camera, r micro.Request, paused bool) {
	p.apply(cam, r, schema.Update{Paused: &paused})
}

func (p *Publisher) apply(cam schema.Camera, r micro.Request, u schema.Update) {
	st, err := cam.Apply(u)
	if err != nil {
		p.refuse(r, "400", err)
		return
	}
	p.StatusChanged()
	p.answer(r, st)
}

func (p *Publisher) snapshot(nc *nats.Conn, cam schema.Camera, r micro.Request) {
	shot, ok := cam.(schema.Snapshotter)
	if !ok {
		p.refuse(r, "501", fmt.Errorf("camera %s cannot take snapshots", cam.Name()))
		return
	}
	jpeg, captured, err := shot.Snapshot()
	if err != nil {
		p.refuse(r, "503", err)
		return
	}
	subject := p.subjects.Of(cam.Name(), schema.KindSnapshot)
	err = nc.PublishMsg(&nats.Msg{Subject: subject, Data: jpeg, Header: nats.Header{
		schema.HeaderType: {"image/jpeg"}, schema.HeaderCaptureTime: {captured.UTC().Format(time.RFC3339Nano)},
		schema.HeaderTrace: {schema.TraceParent(p.cfg.Site, cam.Name(), captured)},
	}})
	p.count(schema.KindSnapshot, p.result(err))
	if err != nil {
		p.refuse(r, "503", fmt.Errorf("publish snapshot: %w", err))
		return
	}
	p.answer(r, Snapshot{Subject: subject, Bytes: len(jpeg), Captured: captured.UTC()})
}

// answer replies with v as JSON.
func (p *Publisher) answer(r micro.Request, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		p.refuse(r, "500", err)
		return
	}
	if err := r.Respond(b, micro.WithHeaders(jsonHeader())); err != nil {
		p.faults.Warn(p.log, "cannot send control reply", err, "subject", r.Subject())
	}
}

func jsonHeader() micro.Headers { return micro.Headers{schema.HeaderType: {schema.JSONType}} }

// refuse replies with a Fault and with the error headers that micro clients read.
func (p *Publisher) refuse(r micro.Request, code string, cause error) {
	b, err := json.Marshal(schema.Fault{Error: cause.Error()})
	if err == nil {
		err = r.Error(code, cause.Error(), b, micro.WithHeaders(jsonHeader()))
	}
	if err != nil {
		p.faults.Warn(p.log, "cannot send control reply", err, "subject", r.Subject())
	}
}
