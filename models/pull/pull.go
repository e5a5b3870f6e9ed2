package pull

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// DefaultEndpoint is the hub that hf: stands for.
const DefaultEndpoint = "https://huggingface.co"

// Config configures a Puller.
type Config struct {
	// Cache is the folder of what has been pulled.
	Cache string
	// Endpoint is the address of the hub, or of a mirror of it; "" stands for DefaultEndpoint.
	Endpoint string
	// Token is sent to the endpoint, and to no other host; "" sends none.
	Token string
	// Offline takes everything from the cache.
	Offline bool
	// MaxBytes bounds the size of what one Pull downloads; 0 stands for 8 GiB.
	MaxBytes int64
	// Retries is how often a transfer that makes no progress is begun again; 0 stands for 5.
	Retries int
	// Pause is the pause before the first retry, which doubles each time up to a minute; 0 stands for a second.
	Pause time.Duration
	// Stall is how long a server may send nothing; 0 stands for 30 s.
	Stall time.Duration
	// Progress is called from the goroutine of Pull while bytes of a file arrive, with those that are there and the file's
	// size; -1 where the server does not say it. It may be nil.
	Progress func(file string, done, total int64)
	// Note is called with a line for the user, such as that another process holds the lock. It may be nil.
	Note func(line string)
}

// Pulled describes what a Pull has brought.
type Pulled struct {
	Path   string   // the file with the weights, or the index of its shards
	Files  []string // all files, Path first
	Bytes  int64    // of all files
	SHA256 string   // of the file at Path
	Source string   // where it is from, with the commit; without passwords
	Pin    string   // the reference that brings the same bytes again
	Card   Card     // what the model card says
}

// Puller pulls. It is not safe for concurrent use; several processes, or several Pullers, may share a cache.
type Puller struct {
	cfg      Config
	endpoint *url.URL
	client   *http.Client
	left     int64 // of MaxBytes
}

// New returns a Puller.
func New(cfg Config) (*Puller, error) {
	if cfg.Endpoint == "" {
		cfg.Endpoint = DefaultEndpoint
	}
	cfg.MaxBytes = orDefault(cfg.MaxBytes, 8<<30)
	cfg.Retries = orDefault(cfg.Retries, 5)
	cfg.Pause = orDefault(cfg.Pause, time.Second)
	cfg.Stall = orDefault(cfg.Stall, 30*time.Second)
	u, err := url.Parse(strings.TrimRight(cfg.Endpoint, "/"))
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%w: the endpoint %q is no address such as %s", ErrReference, cfg.Endpoint, DefaultEndpoint)
	}
	if cfg.Token != "" && u.Scheme == "http" && !local(u.Hostname()) {
		return nil, fmt.Errorf("%w: the endpoint %q would get the token unencrypted: use https, or no token", ErrReference, cfg.Endpoint)
	}
	if strings.ContainsFunc(cfg.Token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, fmt.Errorf("%w: the token holds characters that no token has", ErrReference)
	}
	if cfg.Cache == "" {
		return nil, fmt.Errorf("%w: no folder for the cache", ErrReference)
	}
	return &Puller{cfg: cfg, endpoint: u, client: newClient(cfg, u)}, nil
}

func orDefault[T int | int64 | time.Duration](v, absent T) T {
	if v <= 0 {
		return absent
	}
	return v
}

// Pull brings what r names into the cache, as far as it is not there, and checks it.
func (p *Puller) Pull(ctx context.Context, r Reference) (*Pulled, error) {
	p.left = p.cfg.MaxBytes
	defer p.client.CloseIdleConnections()
	var out *Pulled
	var err error
	switch {
	case r.Repo != "":
		out, err = p.hub(ctx, r)
	case r.URL != nil:
		out, err = p.address(ctx, r)
	default:
		out, err = p.file(r)
	}
	if err != nil {
		return nil, fmt.Errorf("pull %q: %w", r.label(), err)
	}
	return out, nil
}

// file checks a file of this machine, which stays where it is.
func (p *Puller) file(r Reference) (*Pulled, error) {
	sums, size, err := sumFile(r.Path)
	if err != nil {
		return nil, reason(err)
	}
	if r.SHA256 != "" && r.SHA256 != sums.sha256 {
		return nil, mismatch(sums.sha256, r.SHA256)
	}
	r.SHA256 = sums.sha256
	out := &Pulled{
		Path: r.Path, Files: []string{r.Path}, Bytes: size, SHA256: sums.sha256, Source: "file:" + filepath.Base(r.Path),
		Pin: r.String(),
	}
	out.Card, err = readCard(filepath.Join(filepath.Dir(r.Path), cardFile))
	return out, err
}

// address brings a single file.
func (p *Puller) address(ctx context.Context, r Reference) (*Pulled, error) {
	name := path.Base(r.URL.Path)
	if !validFile(name) || strings.HasPrefix(name, ".") {
		name = "weights"
	}
	dir := filepath.Join(p.cfg.Cache, "url", addressKey(r.URL))
	unlock, err := p.lock(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	to := filepath.Join(dir, name)
	w := want{name: name, size: -1, sha256: r.SHA256}
	if w.sha256 == "" {
		w.sha256 = recorded(to) // what is there was right when it arrived
	}
	got, err := p.cached(to, w)
	switch {
	case err != nil:
		return nil, err
	case got.sha256 == "" && p.cfg.Offline:
		return nil, errOffline
	case got.sha256 == "":
		w.sha256 = r.SHA256
		if got, err = p.download(ctx, r.URL, to, w); err != nil {
			return nil, err
		}
		if err := record(to, got.sha256); err != nil {
			return nil, err
		}
	}
	pin := r
	pin.URL, pin.SHA256 = r.URL, got.sha256
	info, err := os.Stat(to)
	if err != nil {
		return nil, reason(err)
	}
	return &Pulled{Path: to, Files: []string{to}, Bytes: info.Size(), SHA256: got.sha256, Source: public(r.URL), Pin: pin.String()}, nil
}

// errOffline means that something is not in the cache and must not be downloaded.
var errOffline = errors.New("it is not in the cache, and --offline forbids to download it")

// mismatch reports a file with the wrong checksum.
func mismatch(got, want string) error {
	return fmt.Errorf("%w: sha256 %s, want %s: the file was changed, or is another one", ErrChecksum, got, want)
}

// ErrChecksum means that a file is not the one that was asked for. Nothing of it stays in the cache.
var ErrChecksum = errors.New("pull: wrong checksum")
