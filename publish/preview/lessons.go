package preview

import (
	"fmt"
	"net/http"

	"github.com/oodcast/oodcast/publish/schema"
)

// teacher returns the camera if it can be told what is normal; otherwise it answers that it cannot.
func teacher(w http.ResponseWriter, st *stream) (schema.Teacher, bool) {
	t, ok := st.cam.(schema.Teacher)
	if !ok {
		fault(w, http.StatusNotImplemented, fmt.Errorf("camera %s cannot be told what is normal", st.cam.Name()))
	}
	return t, ok
}

// teach says that an event or a region is normal, and answers what that changes.
func (s *Server) teach(w http.ResponseWriter, r *http.Request, st *stream) {
	t, ok := teacher(w, st)
	if !ok {
		return
	}
	body, ok := readBody(w, r, maxJSON)
	if !ok {
		return
	}
	what, err := schema.ParseTeaching(body)
	if err != nil {
		fault(w, http.StatusBadRequest, err)
		return
	}
	taught, err := t.Teach(s.requester(r), what)
	if err != nil {
		fault(w, http.StatusConflict, err)
		return
	}
	answer(w, http.StatusOK, taught)
}

func (s *Server) listLessons(w http.ResponseWriter, _ *http.Request, st *stream) {
	if t, ok := teacher(w, st); ok {
		answer(w, http.StatusOK, schema.Lessons{Lessons: t.Lessons()})
	}
}

// forget takes a lesson back and answers with those that are left.
func (s *Server) forget(w http.ResponseWriter, r *http.Request, st *stream) {
	t, ok := teacher(w, st)
	if !ok {
		return
	}
	if err := t.Forget(s.requester(r), r.PathValue("lesson")); err != nil {
		fault(w, http.StatusNotFound, err)
		return
	}
	answer(w, http.StatusOK, schema.Lessons{Lessons: t.Lessons()})
}
