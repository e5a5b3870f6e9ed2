package archive

import (
	"context"
	"encoding/json"
	"path"
	"slices"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/overlay"
)

// write does the jobs and writes the films until there are no more films, and then the queued jobs. Jobs that are left
// when rest is done are lost.
func (a *Archive) write(rest context.Context) error {
	for filmed := a.filmed; filmed != nil || len(a.jobs) > 0; {
		select {
		case ends := <-a.ends:
			a.endAll(rest, ends)
		case j := <-a.jobs:
			a.do(rest, j)
		case j, ok := <-filmed:
			if !ok {
				filmed = nil
				continue
			}
			for len(a.jobs) > 0 { // an earlier job may write event.json, which marks the folder as ours
				a.do(rest, <-a.jobs)
			}
			a.do(rest, j)
		}
	}
	select {
	case ends := <-a.ends:
		a.endAll(rest, ends)
	default:
	}
	return nil
}

// do does one job.
func (a *Archive) do(rest context.Context, j job) {
	if j.shot != nil {
		a.pending.Add(-int64(len(j.shot.frame.Pix)))
	}
	a.store.mark(j.r.id) // before and after, because the process may end, or an upload run, in between
	defer a.finish(j)
	what := "event"
	switch {
	case j.film != nil:
		what = "film"
	case j.shot != nil:
		what = "picture"
	case j.event.ID == "":
		return // the film could not be made
	}
	if rest.Err() != nil || j.film != nil && j.r.doc.Event.ID == "" { // too late, or there is nothing of the event but the film
		a.metrics.dropped.WithLabelValues(what).Inc()
		return
	}
	ok, err := a.save(j)
	if err != nil {
		a.report(what, err)
		return
	}
	j.r.lost.Store(!ok)
	if !ok && j.film != nil {
		a.metrics.dropped.WithLabelValues("film").Inc()
	}
}

// finish ends a job. For the uploader this is one step: when it finds the event closed, the event is complete.
func (a *Archive) finish(j job) {
	if a.store != nil {
		a.store.marking.Lock()
		defer a.store.marking.Unlock()
	}
	if j.last {
		a.release(j.r)
	}
	a.store.mark(j.r.id)
}

// save makes and writes the files of a job and reports whether all of them are written. The document comes first, because
// it marks the folder as ours.
func (a *Archive) save(j job) (bool, error) {
	r := j.r
	var files map[string][]byte
	switch {
	case j.film != nil:
		files = map[string][]byte{FileClip: j.film}
	case j.shot != nil:
		var err error
		var scale MapScale
		if files, scale, err = a.pictures(j); err != nil {
			return false, err
		}
		r.doc.Maps = slices.DeleteFunc(r.doc.Maps, func(m MapScale) bool { return m.File == scale.File })
		r.doc.Maps = append(r.doc.Maps, scale)
	}
	if j.event.Revision >= r.doc.Event.Revision && j.film == nil {
		r.doc.Event = j.event
	}
	raw, err := json.MarshalIndent(r.doc, "", " ")
	if err != nil {
		return false, err
	}
	ok := a.put(path.Join(r.folder, FileEvent), append(raw, '\n'))
	for name, data := range files {
		ok = ok && a.put(path.Join(r.folder, name), data)
	}
	return ok, nil
}

// put writes a file and reports whether it succeeded.
func (a *Archive) put(name string, data []byte) bool {
	err := a.dir.put(name, data)
	a.report(a.dir.name(), err)
	if err == nil {
		a.metrics.written.WithLabelValues(a.dir.name()).Inc()
		a.writes.Add(1)
	}
	return err == nil
}

// pictures returns the files of a shot.
func (a *Archive) pictures(j job) (map[string][]byte, MapScale, error) {
	frame, painted, grey := FileFrame, FileOverlay, FileMap
	if j.high {
		frame, painted, grey = FilePeakFrame, FilePeakOverlay, FilePeakMap
	}
	plain := ingest.FrameImage(j.shot.frame)
	files := map[string][]byte{}
	var err error
	if files[frame], err = toJPEG(plain, pictureQuality); err != nil {
		return nil, MapScale{}, err
	}
	if files[painted], err = toJPEG(overlay.Picture(j.shot.frame, j.shot.m), pictureQuality); err != nil {
		return nil, MapScale{}, err
	}
	b := j.event.Box
	box := events.Box{X: b.X, Y: b.Y, Width: b.Width, Height: b.Height}
	if files[FileThumb], err = toJPEG(thumb(plain, box), 80); err != nil {
		return nil, MapScale{}, err
	}
	data, scale, err := mapPNG(j.shot.m)
	if err != nil {
		return nil, MapScale{}, err
	}
	files[grey], scale.File = data, grey
	return files, scale, nil
}
