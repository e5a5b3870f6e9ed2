package main

import (
	"errors"
	"fmt"
	"net"
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

// DoctorCmd says what is installed and what is missing.
type DoctorCmd struct {
	Config string `placeholder:"FILE" help:"Also check what this configuration needs: bundles, files, cameras, NATS, folders."`
	JSON   string `name:"json" placeholder:"FILE" help:"Write the findings as JSON; - for stdout."`
}

// finding is one line of the doctor's report.
type finding struct {
	What    string `json:"what"`
	Verdict string `json:"verdict"` // ok, note or missing
	Detail  string `json:"detail"`
}

// Run prints the findings; it fails when something that run needs is missing.
func (c *DoctorCmd) Run(e *env) error {
	cfg, err := configs.Read(c.Config, os.Environ(), nil)
	if err != nil {
		return err
	}
	list := []finding{
		{"oodcast", "ok", fmt.Sprintf("%s, %s, %s/%s, %d cores", version, runtime.Version(), runtime.GOOS,
			runtime.GOARCH, runtime.NumCPU())},
		{"opencv", "ok", opencv.Version() + ", reads with " + strings.Join(opencv.Backends(), ", ")},
		{"ffmpeg", "ok", ffmpeg.Version()},
	}
	list = append(list, checkRuntime())
	list = append(list, checkProviders(cfg)...)
	list = append(list, checkBundles(cfg)...)
	list = append(list, checkSources(cfg.Cameras)...)
	if !cfg.Preview.Off() {
		list = append(list, checkPort("page", cfg.Preview.Listen))
	}
	bus, err := checkNATS(cfg)
	if err != nil {
		return err
	}
	list = append(list, bus...)
	list = append(list, checkFolders(cfg)...)
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
	var missing []string
	for _, f := range list {
		if f.Verdict == "missing" {
			missing = append(missing, f.What)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s", errMissing, strings.Join(missing, ", "))
	}
	return nil
}

// errMissing says that run would not start on this machine.
var errMissing = errors.New("missing")

func checkRuntime() finding {
	rt, err := ort.Open("")
	if err != nil {
		return finding{"onnxruntime", "missing", err.Error()}
	}
	defer rt.Close()
	return finding{"onnxruntime", "ok", rt.Version() + " at " + rt.Library()}
}

// checkProviders opens the configured bundle on every provider, which shows what really computes.
func checkProviders(cfg configs.Config) []finding {
	bundle, err := models.Open(cfg.Bundle)
	if err != nil {
		return []finding{{"bundle", "missing", err.Error()}}
	}
	var list []finding
	for _, p := range []ort.Provider{ort.CPU, ort.CUDA, ort.TensorRT} {
		f := finding{What: "provider " + string(p), Verdict: "ok", Detail: "bundle " + bundle.Name + " runs"}
		engine, err := ort.OpenEngine(bundle, detector.DefaultConfig(), ort.Options{Provider: p, Required: true})
		if err != nil {
			f.Verdict, f.Detail = "note", "not available: "+err.Error()
			if p == ort.CPU || cfg.Provider.Required && cfg.Provider.Name == p {
				f.Verdict = "missing"
			}
		} else if err := engine.Close(); err != nil {
			f.Verdict, f.Detail = "note", err.Error()
		}
		list = append(list, f)
	}
	return list
}

func checkPort(what, addr string) finding {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return finding{what, "note", err.Error() + "; choose another address"}
	}
	if err := l.Close(); err != nil {
		return finding{what, "note", err.Error()}
	}
	return finding{what, "ok", addr + " is free"}
}
