package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// BenchCmd measures what |T| costs on this machine.
type BenchCmd struct {
	Bundle        string `default:"roadscene" placeholder:"NAME|DIR" help:"Bundle to measure."`
	Size          string `default:"1024x512" placeholder:"WxH" help:"Size of the frames, and working size."`
	Timesteps     []int  `default:"1,5,10,25" help:"The |T| to measure."`
	Frames        int    `default:"20" help:"Frames for each |T|, after two that are not counted."`
	Batch         int    `default:"1" help:"Frames that are scored together, 1..32; times are then those of a batch."`
	JSON          string `name:"json" placeholder:"FILE" help:"Write the figures as JSON; - for stdout."`
	providerFlags `embed:""`
}

// benchReport is what bench measures. Times are milliseconds.
type benchReport struct {
	Bundle   string     `json:"bundle"`
	Provider string     `json:"provider"`
	Width    int        `json:"width"`
	Height   int        `json:"height"`
	Cores    int        `json:"cores"`
	Batch    int        `json:"batch"`
	Rows     []benchRow `json:"rows"`
	MaxRSS   int64      `json:"max_rss_bytes"`
}

type benchRow struct {
	Timesteps int     `json:"timesteps"`
	EncodeP50 float64 `json:"encode_p50"`
	EncodeP95 float64 `json:"encode_p95"`
	ScoreP50  float64 `json:"score_p50"`
	ScoreP95  float64 `json:"score_p95"`
	TotalP50  float64 `json:"total_p50"`
	TotalP95  float64 `json:"total_p95"`
	FPS       float64 `json:"fps"`
	Ratio     float64 `json:"score_to_encode"`
}

// Run measures and prints a table.
func (c *BenchCmd) Run(e *env) error {
	w, h, err := parseSize(c.Size)
	if err != nil {
		return err
	}
	if c.Frames < 1 {
		return usagef("--frames: got %d, want 1 or more", c.Frames)
	}
	if c.Batch < 1 || c.Batch > 32 {
		return usagef("--batch: got %d, want 1 to 32", c.Batch)
	}
	bundle, err := models.Open(c.Bundle)
	if err != nil {
		return err
	}
	cfg := detector.DefaultConfig()
	cfg.Width, cfg.Height = w, h
	engine, err := ort.OpenEngine(bundle, cfg, c.options())
	if err != nil {
		return err
	}
	defer engine.Close()
	if note := engine.Note(); note != "" {
		fmt.Fprintln(e.Stderr, note)
	}
	r := benchReport{
		Bundle: bundle.Name, Provider: string(engine.Provider()), Width: w, Height: h, Cores: runtime.NumCPU(),
		Batch: c.Batch,
	}
	for _, n := range c.Timesteps {
		row, err := c.measure(e, engine, cfg, n)
		if err != nil {
			return err
		}
		r.Rows = append(r.Rows, row)
	}
	r.MaxRSS = maxRSS()
	if c.JSON != "-" {
		if err := r.print(e); err != nil {
			return err
		}
	}
	return writeJSON(e, c.JSON, r)
}

func (c *BenchCmd) measure(e *env, engine *ort.Engine, cfg detector.Config, n int) (benchRow, error) {
	detectors := make([]*detector.Detector, c.Batch)
	for i := range detectors {
		d, err := engine.NewDetector(cfg)
		if err != nil {
			return benchRow{}, err
		}
		if err := d.Control().Set(detector.Knob{Timesteps: n}); err != nil {
			return benchRow{}, usageError{err}
		}
		detectors[i] = d
	}
	var encode, score, total []float64
	for i := range c.Frames + 2 {
		var jobs []detector.Job
		for _, d := range detectors {
			f := ingest.NewFrame(cfg.Width, cfg.Height)
			copy(f.Pix, models.GoldenImage(f.Width, f.Height))
			f.Captured = time.Now()
			jobs = append(jobs, detector.Job{Detector: d, Frame: f})
		}
		var last *detector.Map // has waited for all others
		var fault error
		detector.ScoreAll(e, jobs, func(_ int, m *detector.Map, err error) { last, fault = m, errors.Join(fault, err) })
		if fault != nil {
			return benchRow{}, fault
		}
		if i < 2 {
			continue
		}
		ms := func(t time.Duration) float64 { return t.Seconds() * 1000 }
		encode = append(encode, ms(last.Latency.Encode))
		score = append(score, ms(last.Latency.Score))
		total = append(total, ms(last.Latency.Encode+last.Latency.Score))
	}
	row := benchRow{Timesteps: n}
	row.EncodeP50, row.EncodeP95 = percentiles(encode)
	row.ScoreP50, row.ScoreP95 = percentiles(score)
	row.TotalP50, row.TotalP95 = percentiles(total)
	row.FPS, row.Ratio = 1000*float64(c.Batch)/row.TotalP50, row.ScoreP50/row.EncodeP50
	return row, nil
}

func percentiles(ms []float64) (p50, p95 float64) {
	slices.Sort(ms)
	return ms[len(ms)/2], ms[min(len(ms)-1, len(ms)*95/100)]
}

func (r benchReport) print(e *env) error {
	what := ""
	if r.Batch > 1 {
		what = fmt.Sprintf(" of %d frames together", r.Batch)
	}
	fmt.Fprintf(e.Stdout, "bundle %s, %d×%d, provider %s, %d cores; milliseconds%s, median and 95th percentile\n",
		r.Bundle, r.Width, r.Height, r.Provider, r.Cores, what)
	t := tabwriter.NewWriter(e.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "|T|\tencode\tp95\tscore\tp95\ttotal\tp95\tframes/s\tscore/encode\t")
	for _, b := range r.Rows {
		fmt.Fprintf(t, "%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t\n", b.Timesteps,
			b.EncodeP50, b.EncodeP95, b.ScoreP50, b.ScoreP95, b.TotalP50, b.TotalP95, b.FPS, b.Ratio)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.Stdout, "peak resident memory %d MB\n", r.MaxRSS>>20)
	return err
}

// maxRSS is the most memory this process ever had resident, in bytes; 0 where the kernel does not tell.
func maxRSS() int64 {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}
