package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/oodcast/oodcast/detector/eval"
)

// colours is the number of line colours that page.html defines.
const colours = 10

// The size of the plot areas in SVG units. page.html draws axes and labels around them.
const (
	chartWidth, chartHeight = 400, 300
	histWidth, histHeight   = 400, 110
)

// chart is a figure with two linear axes.
type chart struct {
	Title, XLabel, YLabel string
	XTicks, YTicks        []tick
	Lines                 []line
	Marks                 []mark
}

// tick is a labelled position on an axis, in SVG units.
type tick struct {
	At    float64
	Label string
}

// line is the path of a curve.
type line struct {
	Path   string
	Colour int
	Title  string
}

// mark is a labelled dot.
type mark struct {
	X, Y   float64
	Label  string
	Colour int
	Title  string
}

// axis maps values between low and high to a length. A negative length runs up the page.
type axis struct{ low, high, length float64 }

func (a axis) at(v float64) float64 {
	if a.high == a.low {
		return math.Abs(a.length) / 2
	}
	s := (v - a.low) / (a.high - a.low)
	if a.length < 0 {
		return -a.length * (1 - s)
	}
	return a.length * s
}

// ticks returns about n round values at most between low and high. Labels show them multiplied by scale.
func (a axis) ticks(n int, scale float64) []tick {
	span := (a.high - a.low) * scale
	if span <= 0 {
		return []tick{{a.at(a.low), trim(a.low * scale)}}
	}
	step := math.Pow(10, math.Floor(math.Log10(span/float64(n))))
	for _, f := range []float64{1, 2, 5, 10} {
		if span/(step*f) <= float64(n) {
			step *= f
			break
		}
	}
	var out []tick
	for v := math.Ceil(a.low*scale/step-1e-9) * step; v <= a.high*scale+step*1e-6; v += step {
		out = append(out, tick{a.at(v / scale), trim(math.Round(v/step) * step)})
	}
	return out
}

// trim formats the value of a tick without needless digits.
func trim(v float64) string {
	if v == 0 {
		return "0"
	}
	return strings.Replace(fmt.Sprintf("%.6g", v), "-", "−", 1)
}

// round widens an interval to round ends.
func round(low, high float64) (float64, float64) {
	if high <= low {
		high = low + 0.01
	}
	step := math.Pow(10, math.Floor(math.Log10(high-low)))
	if (high-low)/step < 3 {
		step /= 4
	}
	return math.Floor(low/step) * step, math.Ceil(high/step) * step
}

func polyline(points []eval.Point, x, y axis, step bool) string {
	var b strings.Builder
	for i, p := range points {
		px, py := x.at(p.X), y.at(p.Y)
		switch {
		case i == 0:
			fmt.Fprintf(&b, "M%.1f %.1f", px, py)
		case step: // a precision holds for the whole step up to its recall
			fmt.Fprintf(&b, "V%.1fH%.1f", py, px)
		default:
			fmt.Fprintf(&b, "L%.1f %.1f", px, py)
		}
	}
	return b.String()
}

// curves draws the precision-recall curve and the ROC curve of each method.
func curves(methods []best) (pr, roc chart) {
	x, y := axis{0, 1, chartWidth}, axis{0, 1, -chartHeight}
	pr = chart{Title: "Precision and recall", XLabel: "recall %", YLabel: "precision %"}
	roc = chart{Title: "ROC", XLabel: "false positive rate %", YLabel: "true positive rate %"}
	for _, c := range []*chart{&pr, &roc} {
		c.XTicks, c.YTicks = x.ticks(5, 100), y.ticks(5, 100)
	}
	for i := range methods { // worst first, so that the best is drawn on top
		m := methods[len(methods)-1-i]
		points := m.Curves.PR
		if len(points) > 0 {
			points = append([]eval.Point{{X: 0, Y: points[0].Y}}, points...)
		}
		pr.Lines = append(pr.Lines, line{polyline(points, x, y, true), m.colour, m.Name()})
		roc.Lines = append(roc.Lines, line{polyline(m.Curves.ROC, x, y, false), m.colour, m.Name()})
	}
	return pr, roc
}

// timestepCharts draws AP over |T| and over milliseconds for the methods with several |T|. It returns nil if there are none.
func timestepCharts(rows []*eval.Measured, methods []best) (overT, overMS *chart) {
	type sample struct {
		t, ms, ap float64
	}
	lines := map[string][]sample{}
	for _, r := range rows {
		s := sample{t: float64(r.Timesteps), ap: r.AP, ms: -1}
		if r.LatencyMS != nil {
			s.ms = r.LatencyMS.P50
		}
		lines[r.Method] = append(lines[r.Method], s)
	}
	draw := func(title, xlabel string, value func(s sample) float64) *chart {
		c := &chart{Title: title, XLabel: xlabel, YLabel: "AP %"}
		high, low, top := 0.0, math.Inf(1), 0.0
		for _, samples := range lines {
			for _, s := range samples {
				if len(samples) > 1 && value(s) >= 0 {
					high, low, top = max(high, value(s)), min(low, s.ap), max(top, s.ap)
				}
			}
		}
		if high == 0 {
			return nil
		}
		low, top = round(max(0, low-0.01), min(1, top+0.01))
		_, high = round(0, high)
		x, y := axis{0, high, chartWidth}, axis{max(0, low), min(1, top), -chartHeight}
		c.XTicks, c.YTicks = x.ticks(6, 1), y.ticks(6, 100)
		for _, m := range methods {
			if len(lines[m.Method]) < 2 {
				continue
			}
			var points []eval.Point
			for _, s := range lines[m.Method] {
				points = append(points, eval.Point{X: value(s), Y: s.ap})
				c.Marks = append(c.Marks, mark{
					x.at(value(s)), y.at(s.ap), fmt.Sprint(s.t), m.colour,
					fmt.Sprintf("%s, |T| = %v: AP %s", m.Method, s.t, percent(s.ap)),
				})
			}
			c.Lines = append(c.Lines, line{polyline(points, x, y, false), m.colour, m.Method})
		}
		return c
	}
	return draw("AP and |T|", "|T|, timesteps", func(s sample) float64 { return s.t }),
		draw("AP and time", "milliseconds per image, p50; labels show |T|", func(s sample) float64 { return s.ms })
}

// histogram is the figure of the scores of a method.
type histogram struct {
	Name                string
	Ordinary, Anomalous string // areas
	Ticks               []tick
	Threshold           float64 // position of the threshold of the best pooled F1
	Colour              int
}

func newHistogram(m best) histogram {
	h := m.Histogram
	x := axis{float64(h.Low), float64(h.High), histWidth}
	top := 0.0
	for i := range h.Ordinary {
		top = max(top, h.Ordinary[i], h.Anomalous[i])
	}
	if top == 0 {
		top = 1
	}
	area := func(bins []float64) string {
		var b strings.Builder
		fmt.Fprintf(&b, "M0 %d", histHeight)
		for i, v := range bins {
			// Square roots keep a few anomalous pixels far out visible.
			fmt.Fprintf(&b, "V%.1fH%.1f", histHeight*(1-math.Sqrt(v/top)), histWidth*float64(i+1)/float64(len(bins)))
		}
		return b.String() + fmt.Sprintf("V%dZ", histHeight)
	}
	return histogram{
		Name: m.Name(), Ordinary: area(h.Ordinary), Anomalous: area(h.Anomalous), Ticks: x.ticks(6, 1),
		Threshold: min(max(x.at(float64(m.Threshold)), 0), histWidth), Colour: m.colour,
	}
}
