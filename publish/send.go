package publish

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/publish/schema"
)

// publishJSON sends v as JSON, with a traceparent header unless trace is empty.
func (p *Publisher) publishJSON(nc *nats.Conn, subject string, v any, trace string) error {
	msg, err := jsonMessage(subject, v, trace)
	if err != nil {
		return err
	}
	return nc.PublishMsg(msg)
}

// jsonMessage returns a message with v as JSON, and with a traceparent header unless trace is empty.
func jsonMessage(subject string, v any, trace string) (*nats.Msg, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("marshal %s: %w", subject, err)
	}
	header := nats.Header{schema.HeaderType: {schema.JSONType}}
	setOrigin(header)
	if trace != "" {
		header[schema.HeaderTrace] = []string{trace}
	}
	return &nats.Msg{Subject: subject, Data: b, Header: header}, nil
}

// setOrigin adds the run and the process to the headers of a message.
func setOrigin(h nats.Header) {
	origin := schema.ThisProcess()
	h[schema.HeaderRun], h[schema.HeaderProcess] = []string{origin.Run}, []string{origin.Process}
}

// Results of oodcast_nats_publish_total.
const (
	resultSent      = "sent"       // the server has the message, or the stream has the event
	resultAway      = "away"       // dropped: no connection
	resultOverflow  = "overflow"   // dropped: the queue was full
	resultTooLarge  = "too_large"  // dropped: larger than the server accepts, even when reduced
	resultNotFinite = "not_finite" // dropped: NaN or infinity in a map
	resultRefused   = "refused"    // dropped: the server will never accept this event
	resultSpool     = "spool"      // dropped: the spool or its disk is full
	resultError     = "error"      // dropped: any other error; it is logged
)

// count counts one message by kind and result.
func (p *Publisher) count(kind, result string) {
	p.metrics.published.WithLabelValues(kind, result).Inc()
}

// result returns the result of a message for the metric, and logs faults that an operator should know about.
func (p *Publisher) result(err error) string {
	switch {
	case err == nil:
		return resultSent
	case errors.Is(err, nats.ErrMaxPayload):
		p.faults.Warn(p.log, "cannot publish", err)
		return resultTooLarge
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrDisconnected):
		return resultAway
	case errors.Is(err, schema.ErrNotFinite):
		p.faults.Warn(p.log, "cannot publish", err)
		return resultNotFinite
	default:
		p.faults.Warn(p.log, "cannot publish", err)
		return resultError
	}
}
