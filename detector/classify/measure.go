package classify

import (
	"context"
	"errors"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
)

// measure measures the finished encoder on the held-back frames, and computes its golden outputs on the CPU.
func (r *run) measure(ctx context.Context, held []dataset.Item) error {
	enc, err := ort.NewEncoder(r.model, r.opt.ORT)
	if err != nil {
		return err
	}
	m := newConfusion(len(r.opt.Classes))
	for _, it := range held {
		e, p, err := r.encode(ctx, enc, it)
		if err != nil {
			return errors.Join(err, enc.Close())
		}
		m.add(e, p)
	}
	if err := enc.Close(); err != nil {
		return err
	}
	r.result.Checked = len(held)
	r.result.IoU, r.result.MeanIoU, r.result.Accuracy = m.scores()

	s, err := ort.NewSession(r.model, ort.Options{})
	if err != nil {
		return err
	}
	g, err := models.NewGolden(s.EncodePicture, r.manifest.Encoder.SizeMultiple())
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	r.golden, err = g.Marshal()
	return err
}

// confusion counts pixels by their class and the predicted one.
type confusion struct {
	classes int
	counts  []int // class × prediction
}

func newConfusion(classes int) *confusion {
	return &confusion{classes: classes, counts: make([]int, classes*classes)}
}

// add counts the pixels of a frame. The logits are enlarged bilinearly to the size of its labels.
func (m *confusion) add(e *detector.Encoding, p picture) {
	w, h := e.LogitsWidth, e.LogitsHeight
	xs := make([]between, p.width)
	for x := range xs {
		xs[x] = place(x, p.width, w)
	}
	row := make([]float32, m.classes*w)
	for y := range p.height {
		at := place(y, p.height, h)
		for i := range row {
			k, x := i/w, i%w
			plane := e.Logits[k*w*h+x:]
			row[i] = at.mix(plane[at.from*w], plane[at.to*w])
		}
		for x, l := range p.labels[y*p.width:][:p.width] {
			if int(l) >= m.classes {
				continue
			}
			best, top := 0, float32(0)
			for k := range m.classes {
				if v := xs[x].mix(row[k*w+xs[x].from], row[k*w+xs[x].to]); k == 0 || v > top {
					best, top = k, v
				}
			}
			m.counts[int(l)*m.classes+best]++
		}
	}
}

// between is a place between two cells.
type between struct {
	from, to int
	share    float32 // of to
}

// place returns where the centre of pixel i of n is among cells.
func place(i, n, cells int) between {
	at := max(0, (float64(i)+0.5)*float64(cells)/float64(n)-0.5)
	from := min(int(at), cells-1)
	return between{from, min(from+1, cells-1), float32(at - float64(from))}
}

func (b between) mix(from, to float32) float32 { return from + b.share*(to-from) }

// scores returns the IoU of each class, -1 for one without a pixel, their mean over the others, and the share of right pixels.
func (m *confusion) scores() (iou []float64, mean, accuracy float64) {
	present, right, all := 0, 0, 0
	for k := range m.classes {
		truth, found := 0, 0
		for j := range m.classes {
			truth += m.counts[k*m.classes+j]
			found += m.counts[j*m.classes+k]
		}
		hit := m.counts[k*m.classes+k]
		all, right = all+truth, right+hit
		if truth == 0 {
			iou = append(iou, -1)
			continue
		}
		iou = append(iou, float64(hit)/float64(truth+found-hit))
		mean, present = mean+iou[k], present+1
	}
	return iou, mean / max(1, float64(present)), float64(right) / max(1, float64(all))
}
