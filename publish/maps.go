package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish/schema"
)

// drainTime is how long the loops go on sending what waits after they were told to stop.
const drainTime = time.Second

// sendMaps sends maps and scores until ctx is done and what waited is sent.
func (p *Publisher) sendMaps(ctx context.Context, nc *nats.Conn) error {
	enc, err := schema.NewEncoder(p.cfg.Compress)
	if err != nil {
		return err
	}
	for m := range p.maps.All(ctx) {
		p.sendMap(nc, enc, m)
	}
	p.maps.Close()
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for m := range p.maps.All(rest) {
		p.sendMap(nc, enc, m)
	}
	return nil
}

// sendMap sends one map and its score, and counts what became of them.
func (p *Publisher) sendMap(nc *nats.Conn, enc *schema.Encoder, m *detector.Map) {
	if !nc.IsConnected() {
		p.count(schema.KindMap, "dropped")
		p.count(schema.KindScore, "dropped")
		return
	}
	p.count(schema.KindMap, p.result(p.publishMap(nc, enc, m)))
	p.count(
		schema.KindScore,
		p.result(p.publishJSON(nc, p.subjects.Of(m.Camera, schema.KindScore), scoreMessage(p.cfg.Site, m))),
	)
	p.metrics.age.WithLabelValues(m.Camera, "nats").Observe(time.Since(m.Captured).Seconds())
}

// result names what became of a message, for the metric.
func (p *Publisher) result(err error) string {
	switch {
	case err == nil:
		return "sent"
	case errors.Is(err, nats.ErrMaxPayload):
		return "too_large"
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return "dropped"
	case errors.Is(err, schema.ErrNotFinite):
		return "not_finite"
	case errors.Is(err, context.Canceled): // stopping; an event waits in the spool
		return "stopped"
	default:
		p.log.Warn("publish", "err", err)
		return "error"
	}
}

func (p *Publisher) publishMap(nc *nats.Conn, enc *schema.Encoder, m *detector.Map) error {
	encoding := schema.AnomalyMap_ENCODING_U16
	if p.cfg.Encoding == "u8" {
		encoding = schema.AnomalyMap_ENCODING_U8
	}
	msg := mapMessage(p.cfg.Site, encoding, m)
	payload, how, err := enc.Encode(msg, m.Values)
	if err == nil && encoding == schema.AnomalyMap_ENCODING_U16 && int64(len(payload)) > nc.MaxPayload()-headerRoom {
		msg.Encoding = schema.AnomalyMap_ENCODING_U8 // coarser, but it arrives
		payload, how, err = enc.Encode(msg, m.Values)
	}
	if err != nil {
		return fmt.Errorf("map of %s: %w", m.Camera, err)
	}
	out := &nats.Msg{
		Subject: p.subjects.Of(m.Camera, schema.KindMap), Data: payload,
		Header: nats.Header{
			schema.HeaderType:        {schema.MapType},
			schema.HeaderSchema:      {schema.MapSchema},
			schema.HeaderSeq:         {strconv.FormatUint(m.Seq, 10)},
			schema.HeaderCaptureTime: {m.Captured.UTC().Format(time.RFC3339Nano)},
		},
	}
	if how != "" {
		out.Header.Set(schema.HeaderEncoding, how)
	}
	return nc.PublishMsg(out)
}

// headerRoom is more than the headers of a map take; they count towards the server's payload limit.
const headerRoom = 512

// publishJSON sends v as JSON.
func (p *Publisher) publishJSON(nc *nats.Conn, subject string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("marshal %s: %w", subject, err)
	}
	return nc.PublishMsg(&nats.Msg{Subject: subject, Data: b, Header: nats.Header{schema.HeaderType: {schema.JSONType}}})
}
