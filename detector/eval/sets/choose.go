package sets

import (
	"errors"
	"fmt"
	"math"

	"github.com/oodcast/oodcast/detector/eval"
)

// ErrTooFew means that there are too few sets to leave one out.
var ErrTooFew = errors.New("leave one set out: want two sets or more")

// Rates are the metrics that a choice is about, as fractions in 0..1.
type Rates struct {
	AP    float64 `json:"ap"`
	FPR95 float64 `json:"fpr95"`
}

// Choice says which settings are chosen for each set on the others.
type Choice struct {
	Variants []string `json:"variants"` // names, in the order that was given
	Sets     []Left   `json:"sets"`
	// ByMean and ByGeometric are the settings that the mean and the geometric mean of AP choose on all sets together: those
	// to use on footage that is in none of them. Their rates on the sets flatter them.
	ByMean      Chosen `json:"all_by_mean"`
	ByGeometric Chosen `json:"all_by_geometric_mean"`
	// Mean, and MeanGeometric for ByGeometric, are the means over the sets of what was chosen without them.
	Mean          Means `json:"mean"`
	MeanGeometric Means `json:"mean_by_geometric_mean"`
}

// Left is one set that took no part in the choice.
type Left struct {
	Set         string `json:"set"`
	ByMean      Chosen `json:"by_mean"`           // by the mean AP over the other sets
	ByGeometric Chosen `json:"by_geometric_mean"` // by the geometric mean
	Best        Chosen `json:"best"`              // on the set itself: a bound, not a result
}

// Chosen is a variant with its rates on a set, or its mean rates over all sets.
type Chosen struct {
	Variant string `json:"variant"`
	Rates
}

// Means are means over sets.
type Means struct {
	AP          float64 `json:"ap"`
	APGeometric float64 `json:"ap_geometric_mean"`
	FPR95       float64 `json:"fpr95"`
}

// Choose chooses among variants for each set on the others: rates[v][s] are the rates of variant v on set s. Of variants
// that are equally good, the first is chosen.
func Choose(variants, sets []string, rates [][]Rates) (*Choice, error) {
	if len(sets) < 2 {
		return nil, fmt.Errorf("%w, got %d", ErrTooFew, len(sets))
	}
	c := &Choice{Variants: variants}
	var mean, geometric []Rates
	for s, name := range sets {
		byMean, byGeometric := best(rates, s, arithmetic), best(rates, s, logarithmic)
		itself := 0
		for v := range rates {
			if rates[v][s].AP > rates[itself][s].AP {
				itself = v
			}
		}
		chosen := func(v int) Chosen { return Chosen{variants[v], rates[v][s]} }
		c.Sets = append(c.Sets, Left{name, chosen(byMean), chosen(byGeometric), chosen(itself)})
		mean, geometric = append(mean, rates[byMean][s]), append(geometric, rates[byGeometric][s])
	}
	c.Mean, c.MeanGeometric = means(mean), means(geometric)
	all := func(v int) Chosen {
		m := means(rates[v])
		return Chosen{variants[v], Rates{m.AP, m.FPR95}}
	}
	c.ByMean, c.ByGeometric = all(best(rates, -1, arithmetic)), all(best(rates, -1, logarithmic))
	return c, nil
}

// best returns the variant with the largest sum of value over all sets but one.
func best(rates [][]Rates, without int, value func(ap float64) float64) int {
	chosen, top := 0, math.Inf(-1)
	for v, of := range rates {
		sum := 0.0
		for s, r := range of {
			if s != without {
				sum += value(r.AP)
			}
		}
		if sum > top {
			chosen, top = v, sum
		}
	}
	return chosen
}

func arithmetic(ap float64) float64 { return ap }

// logarithmic is the summand of a geometric mean. An AP below one in a million counts as that, so that one set on which
// everything fails does not decide alone.
func logarithmic(ap float64) float64 { return math.Log(max(ap, 1e-6)) }

func means(list []Rates) (m Means) {
	n := float64(len(list))
	for _, r := range list {
		m.AP += r.AP / n
		m.FPR95 += r.FPR95 / n
		m.APGeometric += logarithmic(r.AP) / n
	}
	m.APGeometric = math.Exp(m.APGeometric)
	return m
}

// ratesOf returns the rates of a row.
func ratesOf(r eval.Result) Rates { return Rates{r.AP, r.FPR95} }
