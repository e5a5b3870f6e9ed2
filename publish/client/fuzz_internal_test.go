package client

import (
	"bytes"
	"math"
	"testing"

	"github.com/oodcast/oodcast/publish/schema"
)

// FuzzMap decodes arbitrary bytes: the result is an error, or a map with a value for every pixel and cell.
func FuzzMap(f *testing.F) {
	for _, compress := range []bool{false, true} {
		enc, err := schema.NewEncoder(compress)
		if err != nil {
			f.Fatal(err)
		}
		for _, roi := range [][]byte{nil, {0xf0, 0x0f, 0xff, 0}, {1}} {
			b, _, err := enc.Encode(&schema.AnomalyMap{
				Camera: "front", Width: 8, Height: 4, ImageWidth: 80, ImageHeight: 40, Encoding: 2, Roi: roi,
			}, make([]float32, 32))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(bytes.Clone(b))
		}
	}
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	dec, err := schema.NewDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = dec.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(dec, b)
		if err != nil {
			return
		}
		w, h := int(m.GetWidth()), int(m.GetHeight())
		for _, at := range [][2]int{{0, 0}, {-1, -1}, {1 << 30, 1 << 30}, {int(m.GetImageWidth()), int(m.GetImageHeight())}} {
			if v := float64(m.At(at[0], at[1])); math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("At%v = %v", at, v)
			}
		}
		for _, at := range [][2]int{{0, 0}, {w - 1, h - 1}} {
			m.Judged(at[0], at[1])
		}
	})
}
