package preview

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"time"
)

// eventFile serves a picture or the clip of an event. It honours Range, so that players can seek.
func (s *Server) eventFile(w http.ResponseWriter, r *http.Request) {
	id, file := r.PathValue("id"), r.PathValue("file")
	var data []byte
	err := fs.ErrNotExist
	if s.evidence != nil {
		data, err = s.evidence(r.Context(), id, file)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fault(w, http.StatusNotFound, fmt.Errorf("no %.40q is kept for event %.80q (archive.dir)", file, id))
		return
	case err != nil:
		fault(w, http.StatusInternalServerError, errors.New("the evidence cannot be read"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(file)))
	if path.Ext(file) == ".webm" {
		h.Set("Content-Type", "video/webm") // not every system knows the type
	}
	h.Set("Cache-Control", "no-cache") // pictures of the peak may be replaced
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}
