package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
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

// newService starts the control service of one camera, on ….ctl.{get|set|pause|resume|snapshot|normal|lessons|forget}. An answer is the Status in
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
		"normal":   p.teach,
		"lessons":  p.lessons,
		"forget":   p.forget,
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

// wantsAnswer reports whether a message that changes something is a request. On the embedded server, whatever asks for an
// answer is one; what does not may be the answer to another request that named this subject for it.
func (p *Publisher) wantsAnswer(r micro.Request) bool {
	if p.cfg.Embedded() && r.Reply() == "" {
		p.faults.Warn(p.log, "control requests without a reply subject are ignored", errNoReply)
		return false
	}
	return true
}

func (p *Publisher) apply(cam schema.Camera, r micro.Request, u schema.Update) {
	if !p.wantsAnswer(r) {
		return
	}
	st, err := cam.Apply(p.requester(r), u)
	if err != nil {
		p.refuse(r, "400", err)
		return
	}
	p.StatusChanged()
	st.SettingsVolatile = p.memory.volatile(cam.Name())
	p.answer(r, st)
}

// requester returns who sent a request: the user and the host that the embedded server names, otherwise the name that the
// client gives itself.
func (p *Publisher) requester(r micro.Request) schema.Requester {
	who := schema.Requester{Via: schema.ViaNATS, Name: schema.Clean(r.Headers().Get(schema.HeaderRequester))}
	var client server.ClientInfo
	if info := r.Headers().Get(server.ClientInfoHdr); p.cfg.Embedded() && json.Unmarshal([]byte(info), &client) == nil {
		if who.Name == "" {
			who.Name = schema.Clean(client.Name)
		}
		who.Name = strings.TrimSpace(schema.Clean(client.User) + " " + who.Name)
		who.Address = schema.Clean(client.Host)
	}
	return who
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
	msg := &nats.Msg{Subject: subject, Data: jpeg, Header: nats.Header{
		schema.HeaderType: {"image/jpeg"}, schema.HeaderCaptureTime: {captured.UTC().Format(time.RFC3339Nano)},
		schema.HeaderTrace: {schema.TraceParent(p.cfg.Site, cam.Name(), captured)},
	}}
	setOrigin(msg.Header)
	err = nc.PublishMsg(msg)
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
	p.warnReply(r, r.Respond(b, micro.WithHeaders(jsonHeader())))
}

// warnReply logs, at most once a minute, why a reply was not sent. A request may come without a reply subject: from MQTT, or
// from a publisher that does not care. It is done all the same.
func (p *Publisher) warnReply(r micro.Request, err error) {
	switch {
	case err == nil:
	case r.Reply() == "":
		p.faults.Warn(p.log, "control requests without a reply subject are done without an answer", errNoReply)
	default:
		p.faults.Warn(p.log, "cannot send control reply", err, "subject", r.Subject())
	}
}

// errNoReply is logged for requests that cannot be answered.
var errNoReply = errors.New("send a request to learn the result")

func jsonHeader() micro.Headers {
	h := nats.Header{schema.HeaderType: {schema.JSONType}}
	setOrigin(h)
	return micro.Headers(h)
}

// refuse replies with a Fault and with the error headers that micro clients read.
func (p *Publisher) refuse(r micro.Request, code string, cause error) {
	b, err := json.Marshal(schema.Fault{Error: cause.Error()})
	if err == nil {
		err = r.Error(code, cause.Error(), b, micro.WithHeaders(jsonHeader()))
	}
	p.warnReply(r, err)
}
