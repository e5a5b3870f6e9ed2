package publish

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

// Config is the section "publish" of the configuration.
type Config struct {
	// URL of the server: "embedded" (127.0.0.1:4222), "embedded://HOST:PORT" (port 0: any free one), "nats://…",
	// "tls://…" (several with commas), or "off". Default "embedded".
	URL string `yaml:"url"`
	// Prefix and Site are the first and third token of every subject. Default "oodcast", "default".
	Prefix string `yaml:"prefix"`
	Site   string `yaml:"site"`
	// StateDir is the folder of the event spool, of the settings that requests have made, and of the embedded server's streams
	// and passwords. Default "state".
	StateDir string `yaml:"state_dir"`
	// Encoding of a value in a map: "u8" or "u16". Default "u16".
	Encoding string `yaml:"encoding"`
	// Compress compresses maps with zstd if that saves at least a tenth. Default true.
	Compress bool `yaml:"compress"`
	// MapStream keeps the last 30 maps of each camera in a memory stream, for late subscribers. Default false.
	MapStream bool `yaml:"map_stream"`
	// StatusInterval is how often presence is refreshed and statistics are sent; 1 s to 1 h. The presence of a camera
	// expires after three intervals. Default 10s.
	StatusInterval time.Duration `yaml:"status_interval"`
	// JSDomain is the JetStream domain to keep events in: that of a leaf node with its own JetStream. The streams then take
	// the messages of this site alone. Default "": the server's.
	JSDomain string `yaml:"js_domain,omitempty"`
	// Replicas is the number of servers of a cluster that keep each stream, 1 to 5. Default 1.
	Replicas int `yaml:"replicas"`
	// User and Password, Token, NKeyFile (a user's seed) or CredsFile (a JWT and its seed) authenticate oodcast to the
	// server. On an embedded server, User and Password, or Token, have all rights; without them there are only the users
	// viewer and controller.
	User      string `yaml:"user,omitempty"`
	Password  string `yaml:"password,omitempty"`
	Token     string `yaml:"token,omitempty"`
	NKeyFile  string `yaml:"nkey_file,omitempty"`
	CredsFile string `yaml:"creds_file,omitempty"`
	// CAFile verifies the server; CertFile and KeyFile are the client certificate. PEM files.
	CAFile   string `yaml:"ca_file,omitempty"`
	CertFile string `yaml:"cert_file,omitempty"`
	KeyFile  string `yaml:"key_file,omitempty"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		URL: "embedded", Prefix: "oodcast", Site: "default", StateDir: "state", Encoding: "u16", Compress: true,
		StatusInterval: 10 * time.Second, Replicas: 1,
	}
}

// Off reports whether publishing is switched off.
func (c Config) Off() bool { return c.URL == "off" }

// Embedded reports whether the server runs in this process.
func (c Config) Embedded() bool {
	return c.URL == "embedded" || strings.HasPrefix(c.URL, "embedded://")
}

// Validate returns all faults of the configuration.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, got any, want string) {
		errs = append(errs, fmt.Errorf("publish.%s: got %q, want %s", key, fmt.Sprint(got), want))
	}
	if err := schema.CheckName(c.Prefix); err != nil {
		errs = append(errs, fmt.Errorf("publish.prefix: %w", err))
	}
	if err := schema.CheckName(c.Site); err != nil {
		errs = append(errs, fmt.Errorf("publish.site: %w", err))
	}
	if c.Encoding != "u8" && c.Encoding != "u16" {
		bad("encoding", c.Encoding, "u8 or u16")
	}
	if c.StatusInterval < time.Second || c.StatusInterval > time.Hour {
		bad("status_interval", c.StatusInterval, "1s to 1h")
	}
	if c.Replicas < 1 || c.Replicas > 5 {
		bad("replicas", c.Replicas, "1 to 5")
	}
	if strings.ContainsAny(c.JSDomain, ".*> \t\r\n") {
		bad("js_domain", c.JSDomain, "one word without dots, * and >")
	}
	if c.Embedded() && (c.JSDomain != "" || c.Replicas > 1) {
		errs = append(errs, errors.New("publish.js_domain, publish.replicas: they are for an external server"))
	}
	if (c.User == "") != (c.Password == "") {
		bad("user", c.User, "user and password together")
	}
	if c.Token != "" && c.User != "" {
		errs = append(errs, errors.New("publish.token: set together with publish.user, want only one of them"))
	}
	if c.NKeyFile != "" && c.CredsFile != "" {
		errs = append(errs, errors.New("publish.nkey_file: set together with publish.creds_file, want only one of them"))
	}
	if c.Embedded() && (c.NKeyFile != "" || c.CredsFile != "" || c.CAFile != "" || c.CertFile != "") {
		errs = append(errs, errors.New("publish.url: the embedded server supports only user and password, or token: "+
			"nkey_file, creds_file, ca_file and cert_file are for an external server"))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		bad("cert_file", c.CertFile, "cert_file and key_file together")
	}
	for key, file := range map[string]string{
		"nkey_file": c.NKeyFile, "creds_file": c.CredsFile, "ca_file": c.CAFile,
		"cert_file": c.CertFile, "key_file": c.KeyFile,
	} {
		if _, err := os.Stat(file); file != "" && err != nil {
			bad(key, file, "a readable file")
		}
	}
	if err := c.checkURL(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (c Config) checkURL() error {
	const want = "embedded, embedded://127.0.0.1:PORT, nats://HOST:PORT or off"
	if c.Off() {
		return nil
	}
	if c.Embedded() {
		if c.StateDir == "" {
			return fmt.Errorf("publish.state_dir: empty; the embedded server needs a folder")
		}
		host, _, err := c.EmbeddedAddr()
		if err != nil {
			return fmt.Errorf("publish.url: got %q, want %s", c.URL, want)
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && c.Token == "" && c.User == "" {
			return fmt.Errorf("publish.url: %q is open to the network: set publish.token, or user and password", c.URL)
		}
		return nil
	}
	for one := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			return fmt.Errorf("publish.url: not a URL, want %s", want) // without the value: it may contain a secret
		}
		if u.Host == "" || !isNATS(u.Scheme) {
			return fmt.Errorf("publish.url: got %q, want %s", redact(one), want)
		}
	}
	return nil
}

func isNATS(scheme string) bool {
	return scheme == "nats" || scheme == "tls" || scheme == "ws" || scheme == "wss"
}

// EmbeddedAddr returns the address on which the embedded server listens.
func (c Config) EmbeddedAddr() (host string, port int, err error) {
	addr := strings.TrimPrefix(strings.TrimPrefix(c.URL, "embedded"), "://")
	if addr == "" {
		addr = "127.0.0.1:4222"
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return "", 0, err
	}
	host, _, err = net.SplitHostPort(addr)
	if host == "" {
		host = "0.0.0.0"
	}
	return host, tcp.Port, err
}
