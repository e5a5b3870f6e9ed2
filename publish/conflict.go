package publish

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// findConflicts asks all control services on the bus for their names, and warns about another process that publishes a camera
// of the same site and name: subscribers would see the maps of both in turn, and a request would reach only one of them.
// Answers arrive on one subscription per connection; like the connection, it outlives restarts of the server.
func (s *statusSender) findConflicts() {
	var err error
	if s.inbox == "" {
		inbox := s.nc.NewInbox()
		if _, err = s.nc.Subscribe(inbox, s.p.checkConflict); err == nil {
			s.inbox = inbox
		}
	}
	if err == nil {
		err = s.nc.PublishRequest("$SRV.PING.oodcast", s.inbox, nil)
	}
	if err != nil {
		s.p.faults.Warn(s.p.log, "nats", err)
	}
}

// checkConflict examines the answer of one control service.
func (p *Publisher) checkConflict(m *nats.Msg) {
	var found micro.Ping
	if json.Unmarshal(m.Data, &found) != nil || found.Metadata["prefix"] != p.cfg.Prefix ||
		found.Metadata["site"] != p.cfg.Site || p.cameras.ownsService(found.ID) {
		return
	}
	for _, cam := range p.cameras.all() {
		if cam.Name() == found.Metadata["camera"] {
			p.faults.Warn(p.log, "another oodcast publishes the same camera",
				fmt.Errorf("%s: change publish.site or the camera's name in one of them", p.subjects.Of(cam.Name(), "*")))
		}
	}
}
