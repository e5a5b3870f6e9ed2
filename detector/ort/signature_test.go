package ort

import (
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/ort/orttest"
)

func TestSignature(t *testing.T) {
	model, err := orttest.MeanEncoder()
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := signature(model)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(in); !slices.Equal(got, encoderInputs) { // constants are no inputs
		t.Errorf("inputs %v, want %v", got, encoderInputs)
	}
	if got := names(out); !slices.Equal(got, encoderOutputs) {
		t.Errorf("outputs %v, want %v", got, encoderOutputs)
	}
	const uint8Type = 2
	if in[0].Type != uint8Type || !slices.Equal(in[0].Shape, []int64{-1, -1, 3}) {
		t.Errorf("image is %+v", in[0])
	}
}

func FuzzSignature(f *testing.F) {
	model, err := orttest.MeanEncoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(model)
	f.Add(model[:len(model)/2])
	f.Add([]byte("not a model"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, out, err := signature(raw)
		if err == nil && len(out) == 0 {
			t.Error("a model without outputs is accepted")
		}
	})
}
