package principal

import (
	"cmp"
	"math"
	"slices"
)

// Components returns the eigenvalues of the symmetric n × n matrix a in descending order, and the eigenvectors as rows in
// the same order. It overwrites a.
func Components(a []float64, n int) (values, vectors []float64) {
	unsorted, rows := eigen(a, n)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(unsorted[j], unsorted[i]) })
	for _, k := range order {
		values = append(values, unsorted[k])
		vectors = append(vectors, rows[k*n:][:n]...)
	}
	return values, vectors
}

// eigen returns the eigenvalues of the symmetric n × n matrix a, which it overwrites, and the eigenvectors as rows, by
// cyclic Jacobi rotations (Golub and Van Loan, Matrix Computations, 8.5).
func eigen(a []float64, n int) (values, vectors []float64) {
	const sweeps, small = 30, 1e-24 // squares off the diagonal relative to those on it
	vectors = make([]float64, n*n)
	for i := range n {
		vectors[i*n+i] = 1
	}
	for range sweeps {
		off, on := 0.0, 0.0
		for i := range n {
			on += a[i*n+i] * a[i*n+i]
			for j := range i {
				off += a[i*n+j] * a[i*n+j]
			}
		}
		if off <= small*on {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				rotate(a, vectors, n, p, q)
			}
		}
	}
	values = make([]float64, n)
	for i := range values {
		values[i] = a[i*n+i]
	}
	return values, vectors
}

// rotate turns rows and columns p and q of a so that a[p,q] becomes 0, and rows p and q of vectors with them.
func rotate(a, vectors []float64, n, p, q int) {
	if a[p*n+q] == 0 {
		return
	}
	tau := (a[q*n+q] - a[p*n+p]) / (2 * a[p*n+q])
	t := 1 / (math.Abs(tau) + math.Sqrt(1+tau*tau))
	if tau < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(1+t*t)
	s := t * c
	turn := func(m []float64, i, j int) { m[i], m[j] = c*m[i]-s*m[j], s*m[i]+c*m[j] }
	for k := range n {
		turn(a, k*n+p, k*n+q)
	}
	for k := range n {
		turn(a, p*n+k, q*n+k)
		turn(vectors, p*n+k, q*n+k)
	}
	a[p*n+q], a[q*n+p] = 0, 0
}
