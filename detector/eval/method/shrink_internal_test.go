package method

import (
	"math"
	"testing"
)

// S = [[2, ½], [½, 1]] of ten samples: tr S = 3, tr S² = 5½, so ρ = 9/10 by the formula.
func TestShrink(t *testing.T) {
	cov := []float64{2, 0.5, 0.5, 1}
	shrink(cov, 2, 10)
	for i, want := range []float64{1.55, 0.05, 0.05, 1.45} {
		if math.Abs(cov[i]-want) > 1e-12 {
			t.Errorf("element %d = %v, want %v", i, cov[i], want)
		}
	}
	unit := []float64{3, 0, 0, 3}
	if shrink(unit, 2, 10); unit[0] != 3 || unit[1] != 0 {
		t.Errorf("a multiple of the unit matrix has become %v", unit)
	}
}
