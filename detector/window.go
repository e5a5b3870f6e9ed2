package detector

import "slices"

// window holds the latest values of a quantity, for their quantiles.
type window struct {
	values []float64 // ring buffer; at is the index of the oldest value once it is full
	at     int
	sorted []float64
}

func newWindow(size int) *window {
	return &window{values: make([]float64, 0, size), sorted: make([]float64, 0, size)}
}

func (w *window) len() int { return len(w.values) }

// add appends a value and drops the oldest one if the window is full.
func (w *window) add(v float64) {
	if len(w.values) < cap(w.values) {
		w.values = append(w.values, v)
	} else {
		old, _ := slices.BinarySearch(w.sorted, w.values[w.at])
		w.sorted = slices.Delete(w.sorted, old, old+1)
		w.values[w.at] = v
		w.at = (w.at + 1) % len(w.values)
	}
	place, _ := slices.BinarySearch(w.sorted, v)
	w.sorted = slices.Insert(w.sorted, place, v)
}

// keep drops all but the n newest values.
func (w *window) keep(n int) {
	ordered := append(slices.Clone(w.values[w.at:]), w.values[:w.at]...)
	w.values, w.sorted, w.at = w.values[:0], w.sorted[:0], 0
	for _, v := range ordered[max(0, len(ordered)-n):] {
		w.add(v)
	}
}

// quantile returns the p-quantile: a share p of the values is smaller. It returns 0 without values.
func (w *window) quantile(p float64) float64 {
	if len(w.sorted) == 0 {
		return 0
	}
	return w.sorted[min(int(p*float64(len(w.sorted))), len(w.sorted)-1)]
}

// mean returns the mean of the values; 0 without values.
func (w *window) mean() float64 {
	sum := 0.0
	for _, v := range w.values {
		sum += v
	}
	return sum / float64(max(1, len(w.values)))
}
