package method

import (
	"fmt"
	"math"
	"runtime"
	"sync"
)

// whitening is the map x ↦ L⁻¹·(x − mean), where L·Lᵀ is the covariance of normal footage. Whitened normal footage has mean
// 0 and covariance 1, and the squared length of a whitened x is the squared Mahalanobis distance of x.
type whitening struct {
	ref     *Reference
	inverse []float32 // L⁻¹, channels × channels
	product Multiplier
	rows    []float32
	white   []float32
}

// ridge times the mean variance is added to every variance, so that a channel that never varies does not divide by zero.
const ridge = 1e-6

func (k *Kit) whitening() (*whitening, error) {
	if k.white != nil {
		return k.white, nil
	}
	c := k.Reference.Channels
	cov, err := k.Reference.covariance(k.Product)
	if err != nil {
		return nil, err
	}
	if k.Shrink {
		shrink(cov, c, k.Reference.Count())
	}
	trace := 0.0
	for i := range c {
		trace += cov[i*c+i]
	}
	for i := range c {
		cov[i*c+i] += ridge * trace / float64(c)
	}
	if err := cholesky(cov, c); err != nil {
		return nil, err
	}
	w := &whitening{ref: k.Reference, product: k.Product, inverse: make([]float32, c*c)}
	for i, v := range lowerInverse(cov, c) {
		w.inverse[i] = float32(v)
	}
	k.white = w
	return w, nil
}

// shrink replaces the c × c covariance S of n samples by (1−ρ)·S + ρ·tr(S)/c·I with the ρ of the oracle approximating
// shrinkage estimator (Chen, Wiesel, Eldar and Hero, "Shrinkage Algorithms for MMSE Covariance Estimation", 2010, eq. 23).
func shrink(cov []float64, c, n int) {
	trace, squares := 0.0, 0.0
	for i := range c {
		trace += cov[i*c+i]
	}
	for _, v := range cov {
		squares += v * v
	}
	p := float64(c)
	above := (1-2/p)*squares + trace*trace
	below := (float64(n) + 1 - 2/p) * (squares - trace*trace/p)
	rho := 1.0
	if below > 0 {
		rho = min(1, above/below)
	}
	for i := range cov {
		cov[i] *= 1 - rho
	}
	for i := range c {
		cov[i*c+i] += rho * trace / p
	}
}

// apply whitens rows that are already centred, stores them in dst and returns it.
func (w *whitening) apply(dst, centred []float32) ([]float32, error) {
	c := w.ref.Channels
	dst = grow(dst, len(centred))
	return dst, w.product.MultiplyTo(dst, centred, w.inverse, len(centred)/c, c, c)
}

// features returns the whitened features of x. They are valid until the next call.
func (w *whitening) features(x *Encoded) (_ []float32, err error) {
	w.rows = w.ref.centred(w.rows, x.Features)
	w.white, err = w.apply(w.white, w.rows)
	return w.white, err
}

// covariance returns the covariance of the tokens (divided by their number), channels × channels.
func (r *Reference) covariance(product Multiplier) ([]float64, error) {
	return secondMoments(product, r.Tokens, r.Channels, r.Tokens, r.Channels)
}

// secondMoments returns aᵀ·b/n of n rows of ca and cb values, ca × cb. It multiplies blocks of rows in float32 and adds them
// up in float64.
func secondMoments(product Multiplier, a []float32, ca int, b []float32, cb int) ([]float64, error) {
	const block = 1024
	n := len(a) / ca
	sum := make([]float64, ca*cb)
	part := make([]float32, ca*cb)
	for from := 0; from < n; from += block {
		size := min(block, n-from)
		err := product.MultiplyTo(part, columns(a[from*ca:], ca, size), columns(b[from*cb:], cb, size), ca, cb, size)
		if err != nil {
			return nil, err
		}
		for i, v := range part {
			sum[i] += float64(v) / float64(n)
		}
	}
	return sum, nil
}

// columns returns the first n rows of c values, transposed.
func columns(rows []float32, c, n int) []float32 {
	t := make([]float32, c*n)
	for i := range n {
		for j, v := range rows[i*c:][:c] {
			t[j*n+i] = v
		}
	}
	return t
}

// cholesky replaces the lower triangle of the symmetric n × n matrix a by L, where a = L·Lᵀ.
func cholesky(a []float64, n int) error {
	for j := range n {
		for i := j; i < n; i++ {
			sum := a[i*n+j]
			for k := range j {
				sum -= a[i*n+k] * a[j*n+k]
			}
			switch {
			case i > j:
				a[i*n+j] = sum / a[j*n+j]
			case !(sum > 0) || math.IsInf(sum, 0):
				return fmt.Errorf("%w: the features do not vary (channel %d)", ErrReference, j)
			default:
				a[j*n+j] = math.Sqrt(sum)
			}
		}
	}
	return nil
}

// lowerInverse returns the inverse of the lower triangle of the n × n matrix l.
func lowerInverse(l []float64, n int) []float64 {
	inv := make([]float64, n*n)
	perCore(n, func(col int) {
		inv[col*n+col] = 1 / l[col*n+col]
		for i := col + 1; i < n; i++ {
			sum := 0.0
			for k := col; k < i; k++ {
				sum -= l[i*n+k] * inv[k*n+col]
			}
			inv[i*n+col] = sum / l[i*n+i]
		}
	})
	return inv
}

// perCore calls f for 0 … n-1 from one goroutine per core.
func perCore(n int, f func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}
