package archive

import (
	"context"
	"encoding/json"
	"path"
	"slices"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// write does the jobs until ctx is done, and then those that wait, until rest is done.
func (a *Archive) write(ctx, rest context.Context) error {
	for {
		select {
		case j := <-a.jobs:
			a.do(rest, j)
			continue
		default:
		}
		select {
		case j := <-a.jobs:
			a.do(rest, j)
		case <-ctx.Done():
			if len(a.jobs) == 0 || rest.Err() != nil {
				return nil
			}
		}
	}
}

// do writes what a job says. The document comes first: it marks the folder as ours.
func (a *Archive) do(ctx context.Context, j job) {
	r := j.r
	var files map[string][]byte
	if j.shot != nil {
		a.pending.Add(-int64(len(j.shot.frame.Pix)))
		var err error
		var scale MapScale
		if files, scale, err = a.pictures(j); err != nil {
			a.outcome("picture", err)
			return
		}
		r.doc.Maps = slices.DeleteFunc(r.doc.Maps, func(m MapScale) bool { return m.File == scale.File })
		r.doc.Maps = append(r.doc.Maps, scale)
	}
	if j.event.Revision >= r.doc.Event.Revision {
		r.doc.Event = j.event
	}
	raw, err := json.MarshalIndent(r.doc, "", " ")
	if err != nil {
		a.outcome("document", err)
		return
	}
	ok := a.put(ctx, path.Join(r.folder, FileEvent), append(raw, '\n'))
	for name, data := range files {
		ok = ok && a.put(ctx, path.Join(r.folder, name), data)
	}
	r.lost.Store(!ok)
}

// pictures makes the files of a shot.
func (a *Archive) pictures(j job) (map[string][]byte, MapScale, error) {
	frame, overlay, grey := FileFrame, FileOverlay, FileMap
	if j.high {
		frame, overlay, grey = FilePeakFrame, FilePeakOverlay, FilePeakMap
	}
	plain := ingest.FrameImage(j.shot.frame)
	files := map[string][]byte{}
	var err error
	if files[frame], err = toJPEG(plain, pictureQuality); err != nil {
		return nil, MapScale{}, err
	}
	painted := a.overlay(j.shot.frame, j.shot.m)
	if files[overlay], err = toJPEG(painted, pictureQuality); err != nil {
		return nil, MapScale{}, err
	}
	b := j.event.Box
	box := detector.Box{X: b.X, Y: b.Y, Width: b.Width, Height: b.Height}
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
