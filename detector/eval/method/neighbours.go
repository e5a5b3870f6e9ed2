package method

import (
	"cmp"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// nearest is the number of neighbours that count, as in cDNP.
const nearest = 3

// The size of the tiles of the search, whose products fit into the cache of a core.
const (
	queryTile     = 256
	referenceTile = 1024
)

// Neighbours finds the nearest of a set of vectors exactly. It computes all distances in tiles, as |r|² − 2·q·r, and then
// computes the distances of the nearest again, without the rounding of that form.
type Neighbours struct {
	rows    []float32 // n × channels
	norms   []float32 // |r|²
	c       int
	product Multiplier
}

// NewNeighbours returns a search of rows, vectors of c values, which it keeps.
func NewNeighbours(rows []float32, c int, product Multiplier) *Neighbours {
	nb := &Neighbours{rows: rows, c: c, product: product, norms: make([]float32, len(rows)/c)}
	for i := range nb.norms {
		sum := 0.0
		for _, v := range rows[i*c:][:c] {
			sum += float64(v) * float64(v)
		}
		nb.norms[i] = float32(sum)
	}
	return nb
}

// candidate is a vector of the set with its squared distance minus |q|² of the query.
type candidate struct {
	d  float32
	at int
}

// DistancesTo stores in dst the mean Euclidean distance of each query to its three nearest neighbours. With own, the queries
// are the set itself, and no vector is its own neighbour.
func (nb *Neighbours) DistancesTo(dst, queries []float32, own bool) error {
	var next atomic.Int64
	tiles := (len(dst) + queryTile - 1) / queryTile
	var g errgroup.Group
	for range min(tiles, runtime.GOMAXPROCS(0)) {
		g.Go(func() error {
			scratch := make([]float32, queryTile*referenceTile)
			for {
				first := (int(next.Add(1)) - 1) * queryTile
				if first >= len(dst) {
					return nil
				}
				n := min(queryTile, len(dst)-first)
				self := -1
				if own {
					self = first
				}
				if err := nb.tile(dst[first:][:n], queries[first*nb.c:][:n*nb.c], scratch, self); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// tile searches for len(dst) queries. self is the index of the first query in the set, or -1.
func (nb *Neighbours) tile(dst, queries, scratch []float32, self int) error {
	n, k := len(dst), min(nearest, len(nb.norms))
	if self >= 0 {
		k = min(k, len(nb.norms)-1)
	}
	best := make([][]candidate, n)
	for i := range best {
		best[i] = slices.Repeat([]candidate{{float32(math.Inf(1)), -1}}, k)
	}
	for from := 0; from < len(nb.norms); from += referenceTile {
		size := min(referenceTile, len(nb.norms)-from)
		if err := nb.product.MultiplyTo(scratch[:n*size], queries, nb.rows[from*nb.c:][:size*nb.c], n, size, nb.c); err != nil {
			return err
		}
		for i := range n {
			skip := -1
			if self >= 0 {
				skip = self + i - from
			}
			scan(best[i], scratch[i*size:][:size], nb.norms[from:][:size], from, skip)
		}
	}
	for i := range dst {
		sum := 0.0
		for _, b := range best[i] {
			sum += distance(queries[i*nb.c:][:nb.c], nb.rows[b.at*nb.c:][:nb.c])
		}
		dst[i] = float32(sum / float64(k))
	}
	return nil
}

// scan updates best, the nearest in ascending order, with the products of one query and a tile of vectors.
func scan(best []candidate, products, norms []float32, from, skip int) {
	last := len(best) - 1
	worst := best[last].d
	for j, p := range products {
		d := norms[j] - 2*p
		if d >= worst || j == skip {
			continue
		}
		best[last] = candidate{d, from + j}
		slices.SortStableFunc(best, func(a, b candidate) int { return cmp.Compare(a.d, b.d) })
		worst = best[last].d
	}
}

// distance returns the Euclidean distance.
func distance(a, b []float32) float64 {
	sum := 0.0
	for i, v := range a {
		d := float64(v) - float64(b[i])
		sum += d * d
	}
	return math.Sqrt(sum)
}

// spreadTokens is the number of reference tokens that spread compares, as in cDNP.
const spreadTokens = 30_000

// spread returns the largest mean distance of a normal token to its three nearest others, among 30,000 random ones.
func (r *Reference) spread(product Multiplier, seed uint64) (float64, error) {
	rows := r.Tokens
	if r.Count() > spreadTokens {
		rows = nil
		for _, i := range rand.New(rand.NewPCG(seed, 1)).Perm(r.Count())[:spreadTokens] {
			rows = append(rows, r.Tokens[i*r.Channels:][:r.Channels]...)
		}
	}
	d := make([]float32, len(rows)/r.Channels)
	err := NewNeighbours(rows, r.Channels, product).DistancesTo(d, rows, true)
	return float64(slices.Max(d)), err
}
