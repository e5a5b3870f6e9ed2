package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/regular"
)

const (
	mostListing = 16 << 20 // bytes of a listing
	cardFile    = "README.md"
)

// listing is what the hub says about a revision of a repository, as far as this package reads it.
type listing struct {
	Commit string   `json:"sha"`
	Files  []listed `json:"siblings"`
}

// listed is a file of a listing. Mirrors that do not know the query blobs=true leave out all but the name.
type listed struct {
	Name string `json:"rfilename"`
	Size *int64 `json:"size"`
	Blob string `json:"blobId"`
	LFS  *struct {
		SHA256 string `json:"sha256"`
		Size   int64  `json:"size"`
	} `json:"lfs"`
}

// want returns what the listing says about the file.
func (l listed) want(commit string) want {
	w := want{name: l.Name, size: -1, commit: commit}
	if l.Size != nil && *l.Size >= 0 {
		w.size = *l.Size
	}
	switch {
	case l.LFS != nil && sha256Pattern.MatchString(l.LFS.SHA256):
		w.sha256 = l.LFS.SHA256
	case l.LFS == nil && commitPattern.MatchString(l.Blob):
		w.blob = l.Blob
	}
	return w
}

// repo is a revision of a repository in the cache.
type repo struct {
	p   *Puller
	dir string // of all revisions
	listing
	ref Reference
}

// hub brings the weights of a repository and the files that an import reads beside them.
func (p *Puller) hub(ctx context.Context, r Reference) (*Pulled, error) {
	dir := filepath.Join(p.cfg.Cache, "hub", hostFolder(p.endpoint), filepath.FromSlash(r.Repo))
	unlock, err := p.lock(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	h := &repo{p: p, dir: dir, ref: r}
	if err := h.list(ctx); err != nil {
		return nil, err
	}
	main, err := h.weights()
	if err != nil {
		return nil, err
	}
	out := &Pulled{Source: fmt.Sprintf("hf:%s@%s:%s", r.Repo, h.Commit, main)}
	if p.cfg.Endpoint != DefaultEndpoint {
		out.Source += " from " + p.endpoint.Host
	}
	for _, name := range append([]string{main}, h.beside(main)...) {
		if err := h.bring(ctx, out, name); err != nil {
			return nil, err
		}
	}
	if strings.HasSuffix(main, indexSuffix) {
		shards, err := checkpoint.Shards(out.Path)
		if err != nil {
			return nil, err
		}
		for _, name := range shards {
			if err := h.bring(ctx, out, path.Join(path.Dir(main), name)); err != nil {
				return nil, err
			}
		}
	}
	pin := r
	pin.Revision, pin.File, pin.SHA256 = h.Commit, main, out.SHA256
	out.Pin = pin.String()
	out.Card, err = readCard(filepath.Join(h.snapshot(), cardFile))
	return out, err
}

// hostFolder returns the name of the folder of a hub.
func hostFolder(u *url.URL) string {
	return strings.NewReplacer(":", "_", "/", "_").Replace(u.Host + u.Path)
}

// snapshot returns the folder of the revision's files.
func (h *repo) snapshot() string { return filepath.Join(h.dir, h.Commit) }

// list asks the hub for the files of the revision. The list of a commit never changes, so one that is in the cache is as
// good; offline, so is the one that a branch had last.
func (h *repo) list(ctx context.Context) error {
	commit := h.ref.Revision
	named := filepath.Join(h.dir, "ref-"+url.PathEscape(h.ref.Revision))
	if h.p.cfg.Offline && !commitPattern.MatchString(commit) {
		raw, err := regular.ReadFile(named, 64)
		if err != nil {
			return fmt.Errorf("revision %q: %w", h.ref.Revision, errOffline)
		}
		commit = strings.TrimSpace(string(raw))
	}
	if commitPattern.MatchString(commit) {
		raw, err := regular.ReadFile(filepath.Join(h.dir, commit+".json"), mostListing)
		if err == nil && h.parse(raw) == nil && h.Commit == commit {
			return nil
		}
		if h.p.cfg.Offline {
			return errOffline
		}
	}
	u := h.p.endpoint.JoinPath("api/models", h.ref.Repo, "revision", url.PathEscape(h.ref.Revision))
	u.RawQuery = "blobs=true"
	raw, err := h.p.getSmall(ctx, u, mostListing)
	if _, there := os.Stat(named); err != nil && there == nil {
		return fmt.Errorf("%w; --offline takes what the cache has", err)
	}
	if err != nil {
		return err
	}
	if err := h.parse(raw); err != nil {
		return fmt.Errorf("%s sends no list of the repository's files: is it a hub?", h.p.endpoint.Host)
	}
	if commitPattern.MatchString(h.ref.Revision) && h.Commit != h.ref.Revision {
		return fmt.Errorf("%w: %s lists the commit %s, want %s", ErrChecksum, h.p.endpoint.Host, h.Commit, h.ref.Revision)
	}
	if err := writeWhole(filepath.Join(h.dir, h.Commit+".json"), raw); err != nil {
		return err
	}
	return writeWhole(named, []byte(h.Commit+"\n"))
}

// parse reads a listing.
func (h *repo) parse(raw []byte) error {
	h.listing = listing{}
	if err := json.Unmarshal(raw, &h.listing); err != nil {
		return err
	}
	if !commitPattern.MatchString(h.Commit) {
		return errors.New("no commit")
	}
	return nil
}

// has finds a file of the listing.
func (h *repo) has(name string) (listed, bool) {
	i := slices.IndexFunc(h.Files, func(l listed) bool { return l.Name == name })
	if i < 0 {
		return listed{}, false
	}
	return h.Files[i], true
}

const indexSuffix = ".index.json"

// weights returns the file that the reference names, or the weights of the repository in the format that is preferred.
func (h *repo) weights() (string, error) {
	if h.ref.File != "" {
		if _, ok := h.has(h.ref.File); ok {
			return h.ref.File, nil
		}
		return "", fmt.Errorf("the repository has no %q: it has %s", h.ref.File, h.names())
	}
	for _, name := range []string{
		"model.safetensors", "model.safetensors" + indexSuffix, "pytorch_model.bin", "pytorch_model.bin" + indexSuffix,
		"open_clip_pytorch_model.bin", "model.onnx", "onnx/model.onnx",
	} {
		if _, ok := h.has(name); ok {
			return name, nil
		}
	}
	return "", fmt.Errorf("the repository holds no weights under a usual name; name a file after a colon: it has %s", h.names())
}

// names lists files for a message.
func (h *repo) names() string {
	const most = 12
	var names []string
	for _, l := range h.Files {
		if !strings.HasPrefix(l.Name, ".") && len(names) < most {
			names = append(names, oneLine(l.Name, 60))
		}
	}
	if len(names) == most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// beside lists the other files of the repository that come along: what imports read, the card, and the data of an ONNX file.
func (h *repo) beside(main string) []string {
	var names []string
	dir := path.Dir(main)
	for _, name := range []string{cardFile, path.Join(dir, "config.json"), path.Join(dir, "preprocessor_config.json")} {
		if _, ok := h.has(name); ok && name != main {
			names = append(names, name)
		}
	}
	if strings.HasSuffix(main, ".onnx") {
		for _, l := range h.Files {
			if rest, ok := strings.CutPrefix(l.Name, main); ok && (strings.HasPrefix(rest, "_data") || strings.HasPrefix(rest, ".data")) {
				names = append(names, l.Name)
			}
		}
	}
	return names
}

// bring takes a file from the cache or from the hub.
func (h *repo) bring(ctx context.Context, out *Pulled, name string) error {
	l, ok := h.has(name)
	if !ok || !validFile(name) {
		return fmt.Errorf("the repository has no %q, or its name is none for a file", oneLine(name, 80))
	}
	w := l.want(h.Commit)
	first := len(out.Files) == 0
	if pin := h.ref.SHA256; first && pin != "" {
		if w.sha256 != "" && w.sha256 != pin {
			return fmt.Errorf("%s: %w", name, mismatch(w.sha256, pin))
		}
		w.sha256 = pin
	}
	to := filepath.Join(h.snapshot(), filepath.FromSlash(name))
	if w.sha256 == "" && w.blob == "" {
		w.sha256 = recorded(to)
	}
	got, err := h.p.cached(to, w)
	switch {
	case err != nil:
		return err
	case got.sha256 == "" && h.p.cfg.Offline:
		return fmt.Errorf("%s: %w", name, errOffline)
	case got.sha256 == "":
		u := h.p.endpoint.JoinPath(h.ref.Repo, "resolve", h.Commit, escaped(name))
		if got, err = h.p.download(ctx, u, to, w); err != nil {
			return err
		}
		if w.sha256 == "" && w.blob == "" {
			err = record(to, got.sha256)
		}
	}
	info, statErr := os.Stat(to)
	if err = errors.Join(err, statErr); err != nil {
		return err
	}
	if first {
		out.Path, out.SHA256 = to, got.sha256
	}
	out.Files = append(out.Files, to)
	out.Bytes += info.Size()
	return nil
}

// escaped escapes the parts of a path.
func escaped(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
