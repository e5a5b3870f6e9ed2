package publish

import (
	"slices"
	"testing"

	"github.com/oodcast/oodcast/publish/schema"
)

func TestHalve(t *testing.T) {
	for _, c := range []struct {
		name    string
		w, h    uint32
		in      []float32
		roi     []byte
		wantW   uint32
		wantH   uint32
		want    []float32
		wantRoi []byte
		cellW   float32
	}{
		{"even", 4, 2, []float32{1, 2, 3, 4, 5, 0, 0, 9}, nil, 2, 1, []float32{5, 9}, nil, 50},
		{"odd: the middle counts twice", 3, 1, []float32{1, 7, 2}, nil, 1, 1, []float32{7}, nil, 100},
		{"odd and longer", 5, 1, []float32{1, 2, 9, 3, 4}, nil, 2, 1, []float32{9, 9}, nil, 50},
		{"negative", 2, 1, []float32{-3, -2}, nil, 1, 1, []float32{-2}, nil, 100},
		{"region of interest", 4, 2, []float32{0, 0, 0, 1, 0, 0, 0, 0}, []byte{0b1000_0000}, 2, 1, []float32{0, 1}, []byte{0b10}, 50},
		{"one column", 1, 4, []float32{1, 2, 3, 4}, nil, 1, 2, []float32{2, 4}, nil, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &schema.AnomalyMap{Width: c.w, Height: c.h, ImageWidth: 100, ImageHeight: 100, Roi: c.roi}
			got := halve(m, c.in)
			if m.GetWidth() != c.wantW || m.GetHeight() != c.wantH || !slices.Equal(got, c.want) ||
				!slices.Equal(m.GetRoi(), c.wantRoi) || m.GetCellWidth() != c.cellW {
				t.Errorf("halve() = %v, %v, want %v", got, m, c.want)
			}
		})
	}
}
