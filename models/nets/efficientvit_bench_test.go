package nets_test

import (
	"fmt"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/nets"
)

// BenchmarkEfficientViT measures one frame of the published network at 1024×512.
func BenchmarkEfficientViT(b *testing.B) {
	weights := b0(b)
	cfg, err := nets.InferEfficientViT(weights)
	if err != nil {
		b.Fatal(err)
	}
	g, err := nets.EfficientViT(cfg, weights)
	if err != nil {
		b.Fatal(err)
	}
	model, err := g.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	for _, frame := range [][2]int{{1024, 512}, {1920, 1080}} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("frame=%dx%d/threads=%d", frame[0], frame[1], threads), func(b *testing.B) {
				s, err := ort.NewSession(model, ort.Options{Threads: threads})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				in := []*ort.Tensor{
					tensor(b, noise(3*frame[0]*frame[1]), int64(frame[1]), int64(frame[0]), 3), tensor(b, []int64{512, 1024}, 2),
				}
				out := make([]*ort.Tensor, len(s.Outputs())) // the first run allocates them
				if err := s.Run(in, out); err != nil {
					b.Fatal(err)
				}
				defer func() {
					for _, t := range out {
						_ = t.Close()
					}
				}()
				b.ReportAllocs()
				for b.Loop() {
					if err := s.Run(in, out); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
