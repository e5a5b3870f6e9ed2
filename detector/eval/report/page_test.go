package report_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/report"
	"github.com/oodcast/oodcast/ingest"
)

const width, height = 64, 32

// measured evaluates five synthetic images. The scores of a square are higher by shift deviations, and by less in later
// images; the last image has no anomaly.
func measured(t *testing.T, row eval.Result, shift float64) *eval.Measured {
	t.Helper()
	d := &dataset.Dataset{Name: "folder", OOD: 1, Items: make([]dataset.Item, 5)}
	for i := range d.Items {
		d.Items[i] = dataset.Item{Name: fmt.Sprintf("im <%d>", i), Image: fmt.Sprint(i)}
	}
	visits := func(_ context.Context, visit func(x *dataset.Labelled) error) error {
		for i, it := range d.Items {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			x := &dataset.Labelled{Index: i, Item: it, Width: width, Height: height}
			x.Labels, x.Scores = make([]uint8, width*height), make([]float32, width*height)
			for k := range x.Labels {
				if k%width > 40 && k/width > 20 && i < 4 {
					x.Labels[k] = 1
				}
				x.Scores[k] = float32(r.NormFloat64() + shift/float64(i+1)*float64(x.Labels[k]))
			}
			if err := visit(x); err != nil {
				return err
			}
		}
		return nil
	}
	row.Dataset = "folder"
	m, err := eval.Measure(t.Context(), d, row, visits, eval.Options{FPR: eval.FPRNearest, Bootstrap: 3, Components: true, Panels: true})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// page returns the report. It fails the test if the page refers to anything outside itself.
func page(t *testing.T, rows ...*eval.Measured) string {
	t.Helper()
	read := func(path string) (*ingest.Frame, error) { return ingest.NewFrame(width, height), nil }
	var b bytes.Buffer
	if err := report.Write(&b, rows, report.Options{FPR: eval.FPRNearest, Read: read}); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	for _, outside := range []string{"http:", "https:", "<script", "<link", "@import", "url(", "ZgotmplZ", "NaN", "%!"} {
		if strings.Contains(html, outside) {
			t.Errorf("the page has %q", outside)
		}
	}
	return html
}

func TestPage(t *testing.T) {
	rows := []*eval.Measured{
		measured(t, eval.Result{Method: "dood", Timesteps: 1, Bundle: "b", LatencyMS: &eval.Latency{P50: 30, P95: 40}}, 2),
		measured(t, eval.Result{Method: "dood", Timesteps: 5, Bundle: "b", LatencyMS: &eval.Latency{P50: 90, P95: 95}}, 4),
		measured(t, eval.Result{Method: "lse", Bundle: "b"}, 1),
	}
	html := page(t, rows...)
	for _, want := range []string{
		"<b>best</b>", "<b>median</b>", "<b>worst</b>", "dood, |T| = 5", "What |T| buys", "im &lt;0&gt;",
		fmt.Sprintf("<td class=\"best\">%.1f</td>", 100*rows[1].AP), "SegmentMeIfYouCan", "±",
		"By size of the object", "<td>small</td><td>0–32</td><td>4</td>",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	sources := regexp.MustCompile(`<img src="data:(image/\w+);base64,([^"]+)"`).FindAllStringSubmatch(html, -1)
	if len(sources) != 2*3*3 { // two methods, three images, three pictures
		t.Fatalf("%d pictures, want 18", len(sources))
	}
	for _, s := range sources {
		raw, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(s[2], "&#43;", "+"))
		if err != nil {
			t.Fatal(err)
		}
		if c, kind, err := image.DecodeConfig(bytes.NewReader(raw)); err != nil || c.Width != width || "image/"+kind != s[1] {
			t.Errorf("a picture of type %s: %v, %d wide, %v", s[1], kind, c.Width, err)
		}
	}
}

// Score files have neither a time nor a |T|, so the page leaves these out.
func TestPageOfScores(t *testing.T) {
	m := measured(t, eval.Result{Method: "scores"}, 1)
	m.Components, m.Bootstrap, m.Panels = nil, nil, nil
	html := page(t, m)
	for _, absent := range []string{"What |T| buys", "ms p50", "sIoU", "<img", "±", "bundle", "By size"} {
		if strings.Contains(html, absent) {
			t.Errorf("the page has %q", absent)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	if err := report.Write(&bytes.Buffer{}, nil, report.Options{}); err == nil {
		t.Error("no row: no error")
	}
	broken := errors.New("broken picture")
	read := func(string) (*ingest.Frame, error) { return nil, broken }
	err := report.Write(&bytes.Buffer{}, []*eval.Measured{measured(t, eval.Result{Method: "lse"}, 1)}, report.Options{Read: read})
	if !errors.Is(err, broken) {
		t.Errorf("Write() = %v, want the error of the picture", err)
	}
}
