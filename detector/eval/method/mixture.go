package method

import (
	"math"
	"slices"
)

// The mixtures of GMMSeg: five Gaussians per class, and a fixed number of steps of expectation maximisation.
const (
	mixtureSize    = 5
	mixtureSteps   = 20
	mixtureTokens  = 32   // fewest tokens per Gaussian: a class with fewer gets fewer Gaussians
	mixtureRegular = 1e-3 // added to every variance; the variance of the data is 1
	mixtureBalance = 3    // iterations of Sinkhorn's algorithm in a step, as in the GMMSeg code
)

// mixture is a mixture of Gaussians with diagonal covariance.
type mixture struct {
	c         int
	weights   []float64
	means     []float64 // size × c
	variances []float64 // size × c
	logNorms  []float64 // log weight − ½ Σ log 2πv of each Gaussian
}

// mixtures holds the class-conditional densities.
type mixtures []*mixture

// fitClasses fits a mixture to the rows of each class, vectors of c values. A class of fewer than 32 rows gets none. The
// Gaussians of balanced mixtures have equal weights.
func fitClasses(rows []float32, c int, classes []int, balanced bool) mixtures {
	by := map[int][]int{}
	most := -1
	for i, k := range classes {
		by[k] = append(by[k], i)
		most = max(most, k)
	}
	list := make(mixtures, most+1)
	perCore(len(list), func(k int) {
		if size := min(mixtureSize, len(by[k])/mixtureTokens); size > 0 {
			list[k] = fitMixture(rows, c, by[k], size, balanced)
		}
	})
	if most >= 0 && len(list.kept()) == 0 { // no class has enough rows: fit one Gaussian to all
		all := make([]int, len(classes))
		for i := range all {
			all[i] = i
		}
		return mixtures{fitMixture(rows, c, all, 1, balanced)}
	}
	return list.kept()
}

func (ms mixtures) kept() mixtures {
	var list mixtures
	for _, m := range ms {
		if m != nil {
			list = append(list, m)
		}
	}
	return list
}

// logDensity returns the highest log p(x | class).
func (ms mixtures) logDensity(x []float32) float64 {
	top := math.Inf(-1)
	scratch := make([]float64, mixtureSize)
	for _, m := range ms {
		top = max(top, m.logTerms(scratch[:len(m.weights)], x))
	}
	return top
}

// fitMixture fits size Gaussians to the rows with the indices in at, by expectation maximisation (Dempster et al., 1977). It
// starts from rows evenly spaced over at, the variance of all of them, and equal weights, so nothing is random.
//
// If it is balanced, the weights stay equal: each step gives all Gaussians the same share of the rows (Mena et al., "Sinkhorn EM",
// 2020). No Gaussian of a class can then die out.
func fitMixture(rows []float32, c int, at []int, size int, balanced bool) *mixture {
	m := &mixture{c: c, weights: make([]float64, size), means: make([]float64, size*c), variances: make([]float64, size*c)}
	row := func(i int) []float32 { return rows[at[i]*c:][:c] }
	mean, variance := make([]float64, c), make([]float64, c)
	for i := range at {
		for j, v := range row(i) {
			mean[j] += float64(v) / float64(len(at))
		}
	}
	for i := range at {
		for j, v := range row(i) {
			d := float64(v) - mean[j]
			variance[j] += d * d / float64(len(at))
		}
	}
	for k := range size {
		m.weights[k] = 1 / float64(size)
		for j, v := range row((2*k + 1) * len(at) / (2 * size)) {
			m.means[k*c+j], m.variances[k*c+j] = float64(v), variance[j]+mixtureRegular
		}
	}
	shares := make([]float64, len(at)*size)
	for range mixtureSteps {
		m.normalise()
		for i := range at {
			p := shares[i*size:][:size]
			lse := m.logTerms(p, row(i))
			for k := range p {
				p[k] = math.Exp(p[k] - lse)
			}
		}
		if balanced {
			balance(shares, size)
		}
		m.maximise(row, shares, len(at))
		if balanced {
			copy(m.weights, slices.Repeat([]float64{1 / float64(size)}, size))
		}
	}
	m.normalise()
	return m
}

// balance scales the shares of size Gaussians in each row, and those of all rows in each Gaussian, in turn, until both are nearly
// equal. The shares of a row add up to 1.
func balance(shares []float64, size int) {
	n := len(shares) / size
	for range mixtureBalance {
		totals := make([]float64, size)
		for i, p := range shares {
			totals[i%size] += p
		}
		for i := range n {
			row, sum := shares[i*size:][:size], 0.0
			for k := range row {
				row[k] *= float64(n) / float64(size) / max(totals[k], 1e-300)
				sum += row[k]
			}
			for k := range row {
				row[k] /= max(sum, 1e-300)
			}
		}
	}
}

// maximise sets the mixture to the weighted moments of n rows.
func (m *mixture) maximise(row func(int) []float32, shares []float64, n int) {
	size, c := len(m.weights), m.c
	clear(m.means)
	clear(m.variances)
	for k := range size {
		total := 1e-15
		for i := range n {
			total += shares[i*size+k]
		}
		m.weights[k] = total / float64(n)
		mean, variance := m.means[k*c:][:c], m.variances[k*c:][:c]
		for i := range n {
			p := shares[i*size+k] / total
			if p < 1e-12 {
				continue
			}
			for j, v := range row(i) {
				mean[j] += p * float64(v)
				variance[j] += p * float64(v) * float64(v)
			}
		}
		for j := range mean {
			variance[j] = max(0, variance[j]-mean[j]*mean[j]) + mixtureRegular
		}
	}
}

func (m *mixture) normalise() {
	m.logNorms = make([]float64, len(m.weights))
	for k, w := range m.weights {
		m.logNorms[k] = math.Log(w)
		for _, v := range m.variances[k*m.c:][:m.c] {
			m.logNorms[k] -= 0.5 * math.Log(2*math.Pi*v)
		}
	}
}

// logTerms stores the log of each Gaussian's contribution to the density of x in dst and returns the log of their sum.
func (m *mixture) logTerms(dst []float64, x []float32) float64 {
	top := math.Inf(-1)
	for k := range dst {
		mean, variance := m.means[k*m.c:][:m.c], m.variances[k*m.c:][:m.c]
		sum := 0.0
		for j, v := range x {
			d := float64(v) - mean[j]
			sum += d * d / variance[j]
		}
		dst[k] = m.logNorms[k] - sum/2
		top = max(top, dst[k])
	}
	sum := 0.0
	for _, v := range dst {
		sum += math.Exp(v - top)
	}
	return top + math.Log(sum)
}
