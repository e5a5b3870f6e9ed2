package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/publish/schema"
)

// pendingMaps is the number of maps that wait for a slow handler before the oldest is dropped.
const pendingMaps = 8

// Map is one anomaly map.
type Map struct {
	*schema.AnomalyMap
	Captured time.Time
	Values   []float32 // Height × Width, row-major, standardised; higher is more anomalous
}

// At returns the value at pixel (x, y) of the scored image: the value of the cell that covers the pixel.
func (m Map) At(x, y int) float32 {
	cx := min(max(x*int(m.GetWidth())/max(int(m.GetImageWidth()), 1), 0), int(m.GetWidth())-1)
	cy := min(max(y*int(m.GetHeight())/max(int(m.GetImageHeight()), 1), 0), int(m.GetHeight())-1)
	return m.Values[cy*int(m.GetWidth())+cx]
}

// Judged reports whether cell (x, y) lies in the camera's region of interest. Cells outside it have the smallest value of the
// cells inside.
func (m Map) Judged(x, y int) bool {
	i := y*int(m.GetWidth()) + x
	return len(m.GetRoi()) == 0 || i/8 < len(m.GetRoi()) && m.GetRoi()[i/8]>>(i%8)&1 == 1
}

// Client subscribes to cameras and controls them. It is safe for concurrent use.
type Client struct {
	nc       *nats.Conn
	subjects schema.Subjects
	camera   string
	fault    func(error)
	dropped  atomic.Uint64
}

// Option sets what a Client subscribes to.
type Option func(*Client)

// Camera subscribes to one camera; the default is all of them.
func Camera(name string) Option { return func(c *Client) { c.camera = name } }

// Site subscribes to one site, or to all with "*"; the default is "default".
func Site(name string) Option { return func(c *Client) { c.subjects.Site = name } }

// Prefix sets the first token of the subjects; the default is "oodcast".
func Prefix(name string) Option { return func(c *Client) { c.subjects.Prefix = name } }

// OnFault sets a function that is called with the error of every invalid message; by default, such messages are ignored.
func OnFault(f func(error)) Option { return func(c *Client) { c.fault = f } }

// New returns a client that uses nc. The caller closes nc.
func New(nc *nats.Conn, opts ...Option) *Client {
	c := &Client{
		nc: nc, subjects: schema.Subjects{Prefix: "oodcast", Site: "default"}, camera: "*", fault: func(error) {},
	}
	for _, o := range opts {
		o(c)
	}
	return c
}

// Dropped returns the number of maps that were dropped because a handler was too slow. Messages that the connection itself
// dropped are counted by Subscription.Dropped of nats.go, and maps lost on the network show as gaps in their sequence numbers.
func (c *Client) Dropped() uint64 { return c.dropped.Load() }

// Maps calls handle for every map until stop is called.
func (c *Client) Maps(handle func(Map)) (stop func(), err error) {
	dec, err := schema.NewDecoder()
	if err != nil {
		return nil, err
	}
	pending := make(chan *nats.Msg, pendingMaps)
	sub, err := c.nc.Subscribe(c.subjects.Of(c.camera, schema.KindMap), func(m *nats.Msg) {
		for {
			select {
			case pending <- m:
				return
			default:
			}
			select {
			case <-pending: // the handler is too slow: make room
				c.dropped.Add(1)
			default:
			}
		}
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to maps: %w", err), dec.Close())
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case m := <-pending:
				c.decode(dec, m, handle)
			case <-quit:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		_ = sub.Unsubscribe() // fails only on a closed connection
		close(quit)
		<-done
		_ = dec.Close()
	}), nil
}

func (c *Client) decode(dec *schema.Decoder, m *nats.Msg, handle func(Map)) {
	v, err := decode(dec, m.Data)
	if err != nil {
		c.fault(fmt.Errorf("%s: %w", m.Subject, err))
		return
	}
	handle(v)
}

func decode(dec *schema.Decoder, payload []byte) (Map, error) {
	msg, values, err := dec.Decode(payload)
	if err != nil {
		return Map{}, err
	}
	return Map{AnomalyMap: msg, Captured: msg.GetStamp().AsTime(), Values: values}, nil
}

// Scores calls handle for the score of every map.
func (c *Client) Scores(handle func(schema.Score)) (stop func(), err error) {
	return subscribe(c, schema.KindScore, parseJSON, handle)
}

// Events calls handle for every event. Past events are in the stream that Subjects.EventStream names.
func (c *Client) Events(handle func(schema.Event)) (stop func(), err error) {
	return subscribe(c, schema.KindEvent+".*", parseJSON, handle)
}

// Statuses calls handle whenever a camera's state or settings change.
func (c *Client) Statuses(handle func(schema.Status)) (stop func(), err error) {
	return subscribe(c, schema.KindStatus, parseJSON, handle)
}

// Audits calls handle for every change of settings that takes effect.
func (c *Client) Audits(handle func(schema.Audit)) (stop func(), err error) {
	return subscribe(c, schema.KindAudit, parseJSON, handle)
}

// subscribe calls handle for every message of a kind that parse accepts.
func subscribe[T any](c *Client, kind string, parse func(*nats.Msg) (T, error), handle func(T)) (stop func(), err error) {
	sub, err := c.nc.Subscribe(c.subjects.Of(c.camera, kind), func(m *nats.Msg) {
		v, err := parse(m)
		if err != nil {
			c.fault(fmt.Errorf("%s: %w", m.Subject, err))
			return
		}
		handle(v)
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", kind, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

func parseJSON[T any](m *nats.Msg) (v T, err error) {
	err = json.Unmarshal(m.Data, &v)
	return v, err
}

// Get returns the state of a camera and the settings in force.
func (c *Client) Get(ctx context.Context, camera string) (schema.Status, error) {
	return c.request(ctx, camera, "get", nil)
}

// Set changes settings from the next frame on, and returns the settings then in force.
func (c *Client) Set(ctx context.Context, camera string, u schema.Update) (schema.Status, error) {
	b, err := json.Marshal(u)
	if err != nil {
		return schema.Status{}, err
	}
	return c.request(ctx, camera, "set", b)
}

// Pause stops scoring until Resume is called.
func (c *Client) Pause(ctx context.Context, camera string) (schema.Status, error) {
	return c.request(ctx, camera, "pause", nil)
}

// Resume continues scoring.
func (c *Client) Resume(ctx context.Context, camera string) (schema.Status, error) {
	return c.request(ctx, camera, "resume", nil)
}

func (c *Client) request(ctx context.Context, camera, verb string, body []byte) (schema.Status, error) {
	return answered[schema.Status](ctx, c, camera, verb, json.RawMessage(body))
}

// answered sends a request with a body in JSON, and returns the answer.
func answered[T any](ctx context.Context, c *Client, camera, verb string, body any) (answer T, err error) {
	var raw []byte
	if b, ok := body.(json.RawMessage); ok {
		raw = b
	} else if body != nil {
		if raw, err = json.Marshal(body); err != nil {
			return answer, err
		}
	}
	r, err := c.ask(ctx, camera, verb, raw)
	if err != nil {
		return answer, err
	}
	if err := fault(r, verb, camera); err != nil {
		return answer, err
	}
	if err := json.Unmarshal(r, &answer); err != nil {
		return answer, fmt.Errorf("%s %s: %w", verb, camera, err)
	}
	return answer, nil
}

// answerTimeout limits the wait for an answer if the caller sets no deadline: an answer that was on its way when the
// connection broke never arrives.
const answerTimeout = 10 * time.Second

// ask sends a control request and returns the answer.
func (c *Client) ask(ctx context.Context, camera, verb string, body []byte) ([]byte, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTimeout)
		defer cancel()
	}
	r, err := c.nc.RequestMsgWithContext(ctx, &nats.Msg{
		Subject: c.subjects.Control(camera, verb), Data: body,
		Header: nats.Header{schema.HeaderRequester: {c.requester()}},
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", verb, camera, err)
	}
	return r.Data, nil
}

// requester returns the name of this client for the audit of settings: of the connection, its user and the host.
func (c *Client) requester() string {
	name := c.nc.Opts.Name
	if c.nc.Opts.User != "" {
		name += " " + c.nc.Opts.User
	}
	return schema.Clean(strings.TrimSpace(name + " " + schema.ThisProcess().Process))
}

// fault returns the error in an answer, or nil if the answer is not a fault.
func fault(answer []byte, verb, camera string) error {
	var f schema.Fault
	if json.Unmarshal(answer, &f) == nil && f.Error != "" {
		return fmt.Errorf("%s %s: %s", verb, camera, f.Error)
	}
	return nil
}
