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
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish"
)

// dialTimeout is how long a host may take to accept a connection.
const dialTimeout = 3 * time.Second

// checkConfig checks what the configuration refers to. A camera or a NATS server that does not answer is only a note,
// because run waits for it.
func checkConfig(cfg configs.Config) ([]finding, error) {
	list := checkCameraBundles(cfg)
	for _, cam := range cfg.Cameras {
		list = append(list, checkSource(cam))
	}
	if !cfg.Preview.Off() {
		list = append(list, checkPort("page", cfg.Preview.Listen))
	}
	if !cfg.Publish.Off() {
		nats, err := checkNATS(cfg.Publish)
		if err != nil {
			return nil, err
		}
		list = append(list, nats)
		if cfg.Publish.StateDir != "" {
			list = append(list, checkFolder("publish.state_dir", cfg.Publish.StateDir))
		}
	}
	if cfg.Archive.Dir != "" {
		list = append(list, checkFolder("archive.dir", cfg.Archive.Dir))
	}
	return list, nil
}

// checkCameraBundles opens the bundles of individual cameras; checkProviders opens the bundle for all cameras.
func checkCameraBundles(cfg configs.Config) []finding {
	var list []finding
	seen := []string{cfg.Bundle}
	for _, cam := range cfg.Pipeline().Cameras {
		if slices.Contains(seen, cam.Bundle) {
			continue
		}
		seen = append(seen, cam.Bundle)
		bundle, err := models.Open(cam.Bundle)
		if err == nil {
			err = openEngineOnce(bundle, cam.Detector, ort.Options{Provider: ort.CPU})
		}
		list = append(list, check("bundle "+cam.Bundle, "runs", err, verdictMissing))
	}
	return list
}

// checkSource checks that a camera's file exists or that its host answers.
func checkSource(cam configs.Camera) finding {
	what, shown := "camera "+cam.Name, ingest.RedactURI(cam.URI)
	uri, err := ingest.ParseURI(cam.URI)
	switch {
	case err != nil:
		return finding{what, verdictMissing, err.Error()}
	case uri.Kind == ingest.Path:
		_, err = os.Stat(uri.Target)
		return check(what, shown, err, verdictMissing)
	case uri.Kind == ingest.Stream:
		err = dialHost(uri.Target, map[string]string{"rtsp": "554", "rtsps": "322", "http": "80", "https": "443"})
		if err != nil {
			err = fmt.Errorf("%s: %w; run waits for it", shown, err)
		}
	}
	return check(what, shown, err, verdictNote)
}

// checkNATS checks that the embedded server's port is free, or that one of the servers answers.
func checkNATS(cfg publish.Config) (finding, error) {
	if cfg.Embedded() {
		host, port, err := cfg.EmbeddedAddr()
		if err != nil {
			return finding{}, usageError{err}
		}
		return checkPort("nats", net.JoinHostPort(host, strconv.Itoa(port))), nil
	}
	var faults []string
	for server := range strings.SplitSeq(cfg.URL, ",") {
		err := dialHost(strings.TrimSpace(server), map[string]string{"nats": "4222", "tls": "4222", "ws": "80", "wss": "443"})
		if err == nil {
			return finding{"nats", verdictOK, "a server answers"}, nil
		}
		faults = append(faults, err.Error())
	}
	return finding{"nats", verdictNote, strings.Join(faults, ", ") + "; run waits for it and keeps events on disk"}, nil
}

// dialHost connects to the host of an address and closes the connection. Addresses without a host or with a scheme that
// has no default port are not checked. The error names only the host, because the rest may be secret.
func dialHost(address string, defaultPorts map[string]string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil
	}
	port, known := defaultPorts[u.Scheme]
	if !known {
		return nil
	}
	if u.Port() != "" {
		port = u.Port()
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(u.Hostname(), port), dialTimeout)
	if err != nil {
		return err
	}
	return conn.Close()
}

// checkPort checks that run can listen on an address.
func checkPort(what, addr string) finding {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return finding{what, verdictNote, err.Error() + "; choose another address"}
	}
	return check(what, addr+" is free", l.Close(), verdictNote)
}

// checkFolder creates a file in the folder and removes it. If the folder does not exist, it uses the nearest existing parent,
// because run creates the rest.
func checkFolder(what, dir string) finding {
	at := dir
	for {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	probe, err := os.CreateTemp(at, ".oodcast-doctor-*")
	if err != nil {
		return finding{what, verdictMissing, fmt.Sprintf("%s is not writable: %v", dir, err)}
	}
	_ = probe.Close()
	return check(what, dir+" is writable", os.Remove(probe.Name()), verdictNote)
}
