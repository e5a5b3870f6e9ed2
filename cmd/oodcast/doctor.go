package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest/ffmpeg"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
)

// DoctorCmd reports what is installed and what is missing.
type DoctorCmd struct {
	Config string `placeholder:"FILE" help:"Also check what this configuration needs: bundles, files, cameras, NATS, folders."`
	JSON   string `name:"json" placeholder:"FILE" help:"Write the findings as JSON; - for stdout."`
}

// finding is one line of the report.
type finding struct {
	What    string  `json:"what"`
	Verdict verdict `json:"verdict"`
	Detail  string  `json:"detail"`
}

type verdict string

const (
	verdictOK      verdict = "ok"
	verdictNote    verdict = "note"    // run starts nevertheless, or an optional part is absent
	verdictMissing verdict = "missing" // run would not start
)

// check returns a finding of ok with a detail, or of another verdict if err is not nil.
func check(what, detail string, err error, otherwise verdict) finding {
	if err != nil {
		return finding{what, otherwise, err.Error()}
	}
	return finding{what, verdictOK, detail}
}

// errMissing reports that run would not start on this machine.
var errMissing = errors.New("missing")

// Run prints the findings. It fails if a part that run needs is missing.
func (c *DoctorCmd) Run(e *env) error {
	cfg, err := configs.Read(c.Config, os.Environ(), nil)
	if err != nil {
		return err
	}
	list := append(checkMachine(), checkProviders(cfg)...)
	fromConfig, err := checkConfig(cfg)
	if err != nil {
		return err
	}
	list = append(list, fromConfig...)
	if c.JSON != "-" {
		t := tabwriter.NewWriter(e.Stdout, 0, 4, 2, ' ', 0)
		for _, f := range list {
			fmt.Fprintf(t, "%s\t%s\t%s\n", f.Verdict, f.What, f.Detail)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if err := writeJSON(e, c.JSON, list); err != nil {
		return err
	}
	var names []string
	for _, f := range list {
		if f.Verdict == verdictMissing {
			names = append(names, f.What)
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s", errMissing, strings.Join(names, ", "))
	}
	return nil
}

// checkMachine reports the program and its libraries.
func checkMachine() []finding {
	list := []finding{
		{"oodcast", verdictOK, fmt.Sprintf("%s, %s, %s/%s, %d cores", version, runtime.Version(), runtime.GOOS,
			runtime.GOARCH, runtime.NumCPU())},
		{"opencv", verdictOK, opencv.Version() + ", reads with " + strings.Join(opencv.Backends(), ", ")},
		{"ffmpeg", verdictOK, ffmpeg.Version()},
	}
	rt, err := ort.Open("")
	if err != nil {
		return append(list, finding{"onnxruntime", verdictMissing, err.Error()})
	}
	defer rt.Close()
	return append(list, finding{"onnxruntime", verdictOK, rt.Version() + " at " + rt.Library()})
}

// checkProviders opens the configured bundle on every provider, which shows which of them work.
func checkProviders(cfg configs.Config) []finding {
	bundle, err := models.Open(cfg.Bundle)
	if err != nil {
		return []finding{{"bundle", verdictMissing, err.Error()}}
	}
	var list []finding
	for _, p := range []ort.Provider{ort.CPU, ort.CUDA, ort.TensorRT} {
		otherwise := verdictNote
		if p == ort.CPU || cfg.Provider.Required && cfg.Provider.Name == p {
			otherwise = verdictMissing
		}
		err := openEngineOnce(bundle, detector.DefaultConfig(), ort.Options{Provider: p, Required: true})
		if err != nil {
			err = fmt.Errorf("not available: %w", err)
		}
		list = append(list, check("provider "+string(p), "bundle "+bundle.Name+" runs", err, otherwise))
	}
	return list
}

// openEngineOnce opens an engine and closes it again.
func openEngineOnce(bundle *models.Bundle, cfg detector.Config, options ort.Options) error {
	engine, err := ort.OpenEngine(bundle, cfg, options)
	if err != nil {
		return err
	}
	return engine.Close()
}
