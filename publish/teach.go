package publish

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/micro"

	"github.com/oodcast/oodcast/publish/schema"
)

// teacher returns the camera if it can be told what is normal; otherwise it refuses the request.
func (p *Publisher) teacher(cam schema.Camera, r micro.Request) (schema.Teacher, bool) {
	t, ok := cam.(schema.Teacher)
	if !ok {
		p.refuse(r, "501", fmt.Errorf("camera %s cannot be told what is normal", cam.Name()))
	}
	return t, ok
}

func (p *Publisher) teach(cam schema.Camera, r micro.Request) {
	t, ok := p.teacher(cam, r)
	if !ok || !p.wantsAnswer(r) {
		return
	}
	what, err := schema.ParseTeaching(r.Data())
	if err != nil {
		p.refuse(r, "400", err)
		return
	}
	taught, err := t.Teach(p.requester(r), what)
	if err != nil {
		p.refuse(r, "409", err)
		return
	}
	p.answer(r, taught)
}

func (p *Publisher) lessons(cam schema.Camera, r micro.Request) {
	if t, ok := p.teacher(cam, r); ok {
		p.answer(r, schema.Lessons{Lessons: t.Lessons()})
	}
}

// forget takes a lesson back and answers with those that are left.
func (p *Publisher) forget(cam schema.Camera, r micro.Request) {
	t, ok := p.teacher(cam, r)
	if !ok || !p.wantsAnswer(r) {
		return
	}
	var which struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(r.Data(), &which); err != nil || which.ID == "" {
		p.refuse(r, "400", errors.New(`want {"id": ID} of a lesson`))
		return
	}
	if err := t.Forget(p.requester(r), which.ID); err != nil {
		p.refuse(r, "404", err)
		return
	}
	p.answer(r, schema.Lessons{Lessons: t.Lessons()})
}
