package configs

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish"
)

// Verdict is the result of a check.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Note    Verdict = "note"    // the service starts nevertheless
	Missing Verdict = "missing" // the service does not start
)

// Finding is the result of one check of the machine.
type Finding struct {
	What    string  `json:"what"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
}

// Found returns a finding of OK with a detail, or of another verdict if err is not nil.
func Found(what, detail string, err error, otherwise Verdict) Finding {
	if err != nil {
		return Finding{what, otherwise, err.Error()}
	}
	return Finding{what, OK, detail}
}

// dialTimeout is how long a host may take to accept a connection.
const dialTimeout = 3 * time.Second

// Probe checks whether this machine has what a valid configuration refers to: the files and hosts of cameras, the port of the
// page, the NATS server, and folders that are writable. It connects to hosts and creates files for a moment, but leaves
// nothing behind. A host that does not answer is only a note, because the service waits for it. Findings contain no secrets.
func (c *Config) Probe() []Finding {
	var list []Finding
	for _, cam := range c.Cameras {
		list = append(list, probeSource(cam))
	}
	if !c.Preview.Off() {
		list = append(list, probePort("page", c.Preview.Listen))
	}
	if !c.Publish.Off() {
		list = append(list, probeNATS(c.Publish))
		if c.Publish.StateDir != "" {
			list = append(list, probeFolder("publish.state_dir", c.Publish.StateDir))
		}
	}
	if c.Archive.Dir != "" {
		list = append(list, probeFolder("archive.dir", c.Archive.Dir))
	}
	return list
}

// probeSource checks that a camera's file exists or that its host answers.
func probeSource(cam Camera) Finding {
	what, shown := "camera "+cam.Name, ingest.RedactURI(cam.URI)
	uri, err := ingest.ParseURI(cam.source().URI)
	switch {
	case err != nil:
		return Finding{what, Missing, err.Error()}
	case uri.Kind == ingest.Path:
		_, err = os.Stat(uri.Target)
		return Found(what, shown, err, Missing)
	case uri.Kind == ingest.Stream:
		tried, err := dialHost(uri.Target, map[string]string{
			"rtsp": "554", "rtsps": "322", "http": "80", "https": "443", "rtmp": "1935", "rtmps": "443", "tcp": "",
		})
		if err != nil {
			err = fmt.Errorf("%s: %w; run waits for it", shown, err)
		}
		if !tried {
			shown += " (not tried)"
		}
		return Found(what, shown, err, Note)
	}
	return Finding{what, OK, shown + " (not tried)"}
}

// probeNATS checks that the embedded server's port is free, or that one of the servers answers.
func probeNATS(cfg publish.Config) Finding {
	if cfg.Embedded() {
		host, port, err := cfg.EmbeddedAddr()
		if err != nil {
			return Finding{"nats", Missing, err.Error()}
		}
		return probePort("nats", net.JoinHostPort(host, strconv.Itoa(port)))
	}
	var faults []string
	for server := range strings.SplitSeq(cfg.URL, ",") {
		tried, err := dialHost(strings.TrimSpace(server), map[string]string{"nats": "4222", "tls": "4222", "ws": "80", "wss": "443"})
		switch {
		case err != nil:
			faults = append(faults, err.Error())
		case tried:
			return Finding{"nats", OK, "a server answers"}
		}
	}
	return Finding{"nats", Note, strings.Join(faults, ", ") + "; run waits for it and keeps events on disk"}
}

// dialHost connects to the host of an address and closes the connection. It tries only schemes that have a default port. The
// error names only the host, because the rest may be secret.
func dialHost(address string, defaultPorts map[string]string) (tried bool, err error) {
	host, port, err := ingest.SplitAddress(address)
	if err != nil {
		return false, fmt.Errorf("the address has %w", err)
	}
	scheme, _, _ := strings.Cut(address, "://")
	usual, known := defaultPorts[strings.ToLower(scheme)]
	if port == "" {
		port = usual
	}
	if !known || host == "" {
		return false, nil
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), dialTimeout)
	if err != nil {
		return true, err
	}
	return true, conn.Close()
}

// probePort checks that the service can listen on an address.
func probePort(what, addr string) Finding {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return Finding{what, Note, err.Error() + "; choose another address"}
	}
	return Found(what, addr+" is free", l.Close(), Note)
}

// probeFolder creates a file in the folder and removes it. If the folder does not exist, it uses the nearest existing parent,
// because the service creates the rest.
func probeFolder(what, dir string) Finding {
	at := dir
	for {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		at = filepath.Dir(at)
	}
	file, err := os.CreateTemp(at, ".oodcast-probe-*")
	if err != nil {
		return Finding{what, Missing, fmt.Sprintf("%s is not writable: %v", dir, err)}
	}
	_ = file.Close()
	return Found(what, dir+" is writable", os.Remove(file.Name()), Note)
}
