package dataset

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// SetOOD makes v the label of an anomalous pixel. If v is [Ignore], the masks have two values: pixels of that value are
// anomalous, all others are not, and every pixel counts.
func (d *Dataset) SetOOD(v uint8) {
	if v != Ignore {
		d.OOD = v
		return
	}
	table := relabelTable([]uint8{Ignore})
	for i := range d.Items {
		d.Items[i].relabel = table
	}
	d.OOD = 1
}

// FindOOD finds the anomalous label of a data set of no known origin whose masks do not use d.OOD: if they have two
// values, such as 0 and 255, the larger one is anomalous. [Ignore] does not count as one of three values. FindOOD reports
// that label, or false if d stays as it is.
func (d *Dataset) FindOOD() (label uint8, found bool, err error) {
	if d.Name != generic {
		return 0, false, nil
	}
	values, err := d.values(int(d.OOD))
	if err != nil || slices.Contains(values, d.OOD) {
		return 0, false, err
	}
	if len(values) == 3 && values[2] == Ignore {
		values = values[:2]
	}
	if len(values) != 2 {
		return 0, false, nil
	}
	d.SetOOD(values[1])
	return values[1], true, nil
}

// DescribeLabels lists the labels in the masks for a message, such as "0 and 255".
func (d *Dataset) DescribeLabels() (string, error) {
	values, err := d.values(-1)
	if err != nil {
		return "", err
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = fmt.Sprint(v)
	}
	const most = 12
	switch n := len(texts); {
	case n > most:
		return fmt.Sprintf("%s and %d others", strings.Join(texts[:most], ", "), n-most), nil
	case n > 1:
		return strings.Join(texts[:n-1], ", ") + " and " + texts[n-1], nil
	}
	return strings.Join(texts, ""), nil
}

// values returns the labels that occur in the masks, sorted. It reads no further mask once it has seen the label until.
func (d *Dataset) values(until int) ([]uint8, error) {
	workers := max(1, min(runtime.GOMAXPROCS(0), len(d.Items)))
	seen := make([][256]bool, workers)
	var done atomic.Bool
	var g errgroup.Group
	for w := range workers {
		g.Go(func() error {
			for i := w; i < len(d.Items) && !done.Load(); i += workers {
				labels, _, _, err := d.Items[i].Labels()
				if err != nil {
					done.Store(true)
					return err
				}
				for _, l := range labels {
					seen[w][l] = true
				}
				if until >= 0 && seen[w][until] {
					done.Store(true)
				}
			}
			return nil
		})
	}
	err := g.Wait()
	var values []uint8
	for v := range 256 {
		if slices.ContainsFunc(seen, func(s [256]bool) bool { return s[v] }) {
			values = append(values, uint8(v))
		}
	}
	return values, err
}
