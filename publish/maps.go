package publish

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish/message"
	"github.com/oodcast/oodcast/publish/schema"
)

// drainTime is how long the loops go on sending queued messages after ctx is done.
const drainTime = time.Second

// sendMaps sends maps and scores until ctx is done, and then the queued ones for up to drainTime.
func (p *Publisher) sendMaps(ctx context.Context, nc *nats.Conn) error {
	pack, err := newPacker(p.cfg.Encoding, p.cfg.Compress)
	if err != nil {
		return err
	}
	for m := range p.maps.All(ctx) {
		p.sendMap(nc, pack, m)
	}
	p.maps.Close()
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for m := range p.maps.All(rest) {
		p.sendMap(nc, pack, m)
	}
	return nil
}

// sendMap sends one map and its score, and counts the results.
func (p *Publisher) sendMap(nc *nats.Conn, pack *packer, m *detector.Map) {
	if !nc.IsConnected() {
		p.count(schema.KindMap, resultAway)
		p.count(schema.KindScore, resultAway)
		return
	}
	p.count(schema.KindMap, p.result(p.publishMap(nc, pack, m)))
	trace := schema.TraceParent(p.cfg.Site, m.Camera, m.Captured)
	err := p.publishJSON(nc, p.subjects.Of(m.Camera, schema.KindScore), message.Score(p.cfg.Site, m), trace)
	p.count(schema.KindScore, p.result(err))
	p.metrics.age.WithLabelValues(m.Camera, "nats").Observe(time.Since(m.Captured).Seconds())
}

func (p *Publisher) publishMap(nc *nats.Conn, pack *packer, m *detector.Map) error {
	limit := int(min(nc.MaxPayload(), maxMapPayload)) - headerRoom
	payload, how, err := pack.pack(p.cfg.Site, m, limit)
	if err != nil {
		return fmt.Errorf("map of %s: %w", m.Camera, err)
	}
	if how.reduced != "" {
		p.metrics.reduced.WithLabelValues(how.reduced).Inc()
		p.faults.Warn(p.log, "maps are reduced to fit",
			fmt.Errorf("%dx%d cells of %s exceed %d bytes: %s", m.Width, m.Height, m.Camera, limit, how.reduced))
	}
	out := &nats.Msg{
		Subject: p.subjects.Of(m.Camera, schema.KindMap), Data: payload,
		Header: nats.Header{
			schema.HeaderType:        {schema.MapType},
			schema.HeaderSchema:      {schema.MapSchema},
			schema.HeaderSeq:         {strconv.FormatUint(m.Seq, 10)},
			schema.HeaderCaptureTime: {m.Captured.UTC().Format(time.RFC3339Nano)},
			schema.HeaderTrace:       {schema.TraceParent(p.cfg.Site, m.Camera, m.Captured)},
		},
	}
	setOrigin(out.Header)
	if how.encoding != "" {
		out.Header.Set(schema.HeaderEncoding, how.encoding)
	}
	return nc.PublishMsg(out)
}
