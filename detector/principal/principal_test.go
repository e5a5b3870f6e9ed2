package principal_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/principal"
)

// The values descend, the vectors are orthonormal, and the matrix stretches each by its value.
func TestComponents(t *testing.T) {
	const n = 4
	a := []float64{4, 1, 0, 2, 1, 3, -1, 0, 0, -1, 2, 1, 2, 0, 1, 5}
	values, vectors := principal.Components(append([]float64{}, a...), n)
	if !slices.IsSortedFunc(values, func(a, b float64) int { return cmp.Compare(b, a) }) {
		t.Errorf("values %v do not descend", values)
	}
	for k := range n {
		for i := range n {
			sum, dot := 0.0, 0.0
			for j := range n {
				sum += a[i*n+j] * vectors[k*n+j]
				dot += vectors[i*n+j] * vectors[k*n+j]
			}
			if math.Abs(sum-values[k]*vectors[k*n+i]) > 1e-10 {
				t.Errorf("vector %d: component %d is %v, want %v", k, i, sum, values[k]*vectors[k*n+i])
			}
			want := 0.0
			if i == k {
				want = 1
			}
			if math.Abs(dot-want) > 1e-10 {
				t.Errorf("vectors %d and %d: product %v, want %v", i, k, dot, want)
			}
		}
	}
}
