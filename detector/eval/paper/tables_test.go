package paper_test

import (
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/eval/paper"
)

func row(dataset, method string, timesteps int, ap, fpr float64) eval.Result {
	return eval.Result{
		Dataset: dataset, Bundle: "mine", Encoder: "net head@16", Denoiser: "mlp", Method: method, Timesteps: timesteps,
		Images: 7, AP: ap, FPR95: fpr,
	}
}

// tables returns the tables of rows with runs of spaces reduced to one.
func tables(t *testing.T, rows ...eval.Result) string {
	t.Helper()
	var b strings.Builder
	if err := paper.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}

func TestWrite(t *testing.T) {
	unet := row("roadanomaly", "dood-diffusion", 25, 0.30, 0.40)
	unet.Bundle, unet.Denoiser = "ablation", "unet"
	boot := row("fs_static", "dood", 25, 0.50, 0.10)
	boot.Bootstrap = &eval.Bootstrap{N: 10, APMean: 0.51, APStd: 0.02, FPR95Mean: 0.11, FPR95Std: 0.01}
	timed := row("roadanomaly", "dood", 5, 0.60, 0.20)
	timed.LatencyMS = &eval.Latency{P50: 1250, P95: 2000}
	got := tables(t, unet, boot, timed,
		row("fs_static", "eam", 0, 0.125, 0.5), row("roadanomaly21", "gmmseg", 0, 0.25, 0.5),
		row("roadanomaly", "lse", 0, 0.11, 0.92),
		row("roadanomaly", "dood-diffusion", 1, 0.41, 0.3), row("roadanomaly", "dood-diffusion", 5, 0.45, 0.3),
		row("roadanomaly", "dood-diffusion", 25, 0.44, 0.31))
	for _, want := range []string{
		"Ours: bundle mine, encoder net head@16.",
		"GMMSeg 57.7 / 44.3 – 50.0 / 12.6 – – – – 25.0 / 50.0 – –", // Table 1
		"EAM (outliers) 69.4 / 7.7 – 81.5 / 4.2 – – 12.5 / 50.0 93.8 / 4.1 – 92.9 / 0.5 –",
		"U-Net 67.3 / 19.8 30.0 / 40.0 25.9 / 43.0 –",               // Fig. 5, a separate bundle
		"MLP 84.7 / 15.3 44.0 / 31.0 31.5 / 41.1 –",                 // the largest |T|
		"angle (ours) 86.7 / 86.7 41.0 / 45.0 76.5 / 76.5 –",        // Fig. 6: the first and the best
		"DOoD |T| = 5 0.125 / 86.1 1.250 / 60.0",                    // Sec. 6.5
		"DOoD |T| = 10 0.126 / 87.9 –",                              // no row
		"74.8±2.7 / 6.1±0.6 51.0±2.0 / 11.0±1.0",                    // Table 2
		"segmentation uncertainty 63.5 / 33.3 11.0 / 92.0 24.1 / 2", // Table 3
		"compound 89.1 / 8.8 60.0 / 20.0 79.3 / 6.5 50.0 / 10.0 63.0 / 36.5 –",
		"Encoder: the paper's is", "Data: RoadAnomaly, 7 images.", "– marks methods without a row: cdnp, rba",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the tables lack %q", want)
		}
	}
	if n := strings.Count(got, "Fig. 5:"); n != 1 {
		t.Errorf("Fig. 5 appears %d times, want once: the bundle of the ablation has no tables", n)
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestStandIn(t *testing.T) {
	got := tables(t, row("roadanomaly21", "lse", 0, 0.25, 0.75))
	for _, want := range []string{
		"RoadAnomaly RoadAnomaly21 val *", "segmentation uncertainty 63.5 / 33.3 25.0 / 75.0",
		"* Data: RoadAnomaly21 val stands in for RoadAnomaly: other pictures, 7 images.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the tables lack %q:\n%s", want, got)
		}
	}
	// A row of the paper's own set needs no stand-in.
	got = tables(t, row("roadanomaly21", "lse", 0, 0.25, 0.75), row("roadanomaly", "lse", 0, 0.35, 0.75))
	if strings.Contains(got, "stands in for") {
		t.Errorf("a stand-in in spite of rows of the set itself:\n%s", got)
	}
}

// Every method that the tables name exists.
func TestMethodsExist(t *testing.T) {
	known := map[string]bool{}
	for _, name := range method.Names() {
		known[name] = true
	}
	for _, name := range paper.Methods() {
		if !known[name] {
			t.Errorf("the tables need %q, which is not a method", name)
		}
		if len(paper.Timesteps(name)) == 0 {
			t.Errorf("%s: no |T|", name)
		}
	}
}

// All rows that parse can be printed.
func FuzzReadResults(f *testing.F) {
	f.Add(`[{"dataset":"fs_static","method":"dood","timesteps":5,"images":3,"ap":0.5,"auroc":0.5,"fpr95":0.25,"ood_share":0.1}]`)
	f.Add(`[{"dataset":"roadanomaly21","bundle":"b","method":"lse","images":1,"bootstrap":{"n":2,"ap_mean":1},"latency_ms":{"p50":-1}}]`)
	f.Add(`[{"dataset":"ade_ood","denoiser":"unet","method":"dood-diffusion","components":{"truth":1},"binned":true}]`)
	f.Add(`{}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, raw string) {
		rows, err := eval.ReadResults(strings.NewReader(raw))
		if err != nil {
			return
		}
		var b strings.Builder
		if err := paper.Write(&b, rows); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "Table 3") {
			t.Error("no table of rows that parse")
		}
	})
}

func TestReadResultsRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"no JSON":      "AP 0.5",
		"an object":    `{"dataset":"fs_static"}`,
		"no row":       `[]`,
		"no method":    `[{"dataset":"fs_static","ap":0.5}]`,
		"percent":      `[{"dataset":"fs_static","method":"lse","ap":50}]`,
		"a negative":   `[{"dataset":"fs_static","method":"lse","fpr95":-0.1}]`,
		"its subsets":  `[{"dataset":"fs_static","method":"lse","bootstrap":{"n":3,"ap_std":9}}]`,
		"cut in a row": `[{"dataset":"fs_static","me`,
	} {
		if _, err := eval.ReadResults(strings.NewReader(raw)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
