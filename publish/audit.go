package publish

import (
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/publish/schema"
)

// maxAudits bounds the changes of settings that wait in memory for the server. The oldest are dropped; the log has them all.
const maxAudits = 256

// audits are the changes of settings that are still to be sent.
type audits struct {
	mu   sync.Mutex
	list []schema.Audit
}

// Audit hands over a change of settings: it is sent on ….audit, also after an outage, and kept for the next run. Audit
// implements schema.Auditor.
func (p *Publisher) Audit(a schema.Audit) {
	p.memory.note(a)
	if p.cfg.Off() {
		return
	}
	p.audits.mu.Lock()
	p.audits.list = append(p.audits.list, a)
	if n := len(p.audits.list) - maxAudits; n > 0 {
		p.audits.list = p.audits.list[n:]
		p.count(schema.KindAudit, resultOverflow)
	}
	p.audits.mu.Unlock()
	p.StatusChanged()
}

// sendAudits sends the changes of settings in order, as long as the server is connected.
func (p *Publisher) sendAudits(nc *nats.Conn) {
	for nc.IsConnected() {
		p.audits.mu.Lock()
		if len(p.audits.list) == 0 {
			p.audits.mu.Unlock()
			return
		}
		a := p.audits.list[0]
		p.audits.list = p.audits.list[1:]
		p.audits.mu.Unlock()
		p.count(schema.KindAudit, p.result(p.publishJSON(nc, p.subjects.Of(a.Camera, schema.KindAudit), a, "")))
	}
}
