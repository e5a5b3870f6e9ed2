package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// reachable is how long an address may take to answer.
const reachable = 3 * time.Second

// checkBundles opens the bundles of single cameras; the one for all is opened with the providers.
func checkBundles(cfg configs.Config) []finding {
	var list []finding
	seen := []string{cfg.Bundle}
	for _, cam := range cfg.Pipeline().Cameras {
		name := cam.Bundle
		if slices.Contains(seen, name) {
			continue
		}
		seen = append(seen, name)
		f := finding{"bundle " + name, "ok", "runs"}
		if err := openOnce(name, cam.Detector); err != nil {
			f.Verdict, f.Detail = "missing", err.Error()
		}
		list = append(list, f)
	}
	return list
}

func openOnce(bundle string, cfg detector.Config) error {
	b, err := models.Open(bundle)
	if err != nil {
		return err
	}
	engine, err := ort.OpenEngine(b, cfg, ort.Options{Provider: ort.CPU})
	if err != nil {
		return err
	}
	return engine.Close()
}

// checkSources looks whether files are there and hosts answer. A camera that is away is no fault of the installation:
// run waits for it.
func checkSources(cams []configs.Camera) []finding {
	var list []finding
	for _, cam := range cams {
		f := finding{"camera " + cam.Name, "ok", ingest.RedactURI(cam.URI)}
		uri, err := ingest.ParseURI(cam.URI)
		switch {
		case err != nil:
			f.Verdict, f.Detail = "missing", err.Error()
		case uri.Kind == ingest.Path:
			if _, err := os.Stat(uri.Target); err != nil {
				f.Verdict, f.Detail = "missing", err.Error()
			}
		case uri.Kind == ingest.Stream:
			if err := answers(uri.Target, map[string]string{"rtsp": "554", "rtsps": "322", "http": "80", "https": "443"}); err != nil {
				f.Verdict, f.Detail = "note", ingest.RedactURI(cam.URI)+": "+err.Error()+"; run waits for it"
			}
		}
		list = append(list, f)
	}
	return list
}

// answers connects to the host of an address and hangs up. The error names the host alone: the rest may be secret.
func answers(address string, ports map[string]string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil // not ours to judge
	}
	port, known := ports[u.Scheme]
	if !known {
		return nil // nothing that TCP would tell
	}
	if u.Port() != "" {
		port = u.Port()
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(u.Hostname(), port), reachable)
	if err != nil {
		return err
	}
	return conn.Close()
}

// checkNATS looks whether the embedded server's port is free, or whether one of the servers answers.
func checkNATS(cfg configs.Config) ([]finding, error) {
	p := cfg.Publish
	if p.Off() {
		return nil, nil
	}
	if p.Embedded() {
		host, port, err := p.EmbeddedAddr()
		if err != nil {
			return nil, usageError{err}
		}
		return []finding{checkPort("nats", net.JoinHostPort(host, strconv.Itoa(port)))}, nil
	}
	f := finding{"nats", "note", ""}
	var faults []string
	for one := range strings.SplitSeq(p.URL, ",") {
		err := answers(strings.TrimSpace(one), map[string]string{"nats": "4222", "tls": "4222", "ws": "80", "wss": "443"})
		if err == nil {
			f.Verdict, faults = "ok", nil
			break
		}
		faults = append(faults, err.Error())
	}
	f.Detail = "a server answers"
	if faults != nil {
		f.Detail = strings.Join(faults, ", ") + "; run waits for it, and events wait on disk"
	}
	return []finding{f}, nil
}

// checkFolders looks whether what run keeps can be written.
func checkFolders(cfg configs.Config) []finding {
	var list []finding
	if !cfg.Publish.Off() && cfg.Publish.StateDir != "" {
		list = append(list, checkFolder("publish.state_dir", cfg.Publish.StateDir))
	}
	if cfg.Archive.Dir != "" {
		list = append(list, checkFolder("archive.dir", cfg.Archive.Dir))
	}
	return list
}

// checkFolder writes a file into the folder, or where run would make it, and removes it.
func checkFolder(what, dir string) finding {
	at := dir
	for { // the nearest that is there: the rest is for run to make
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	probe, err := os.CreateTemp(at, ".oodcast-doctor-*")
	if err != nil {
		return finding{what, "missing", fmt.Sprintf("%s cannot be written: %v", dir, err)}
	}
	_ = probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return finding{what, "note", err.Error()}
	}
	return finding{what, "ok", dir + " can be written"}
}
