package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/pull"
	"github.com/oodcast/oodcast/publish/visible"
)

// pullFlags are the flags of everything that downloads weights.
type pullFlags struct {
	Cache     string  `group:"Download" env:"OODCAST_CACHE" help:"Folder of downloads. Default: oodcast in XDG_CACHE_HOME, or in ~/.cache." placeholder:"DIR"`
	Hub       string  `group:"Download" env:"HF_ENDPOINT" default:"https://huggingface.co" help:"Address of the hub, or of a mirror of it." placeholder:"URL"`
	TokenFile string  `group:"Download" env:"HF_TOKEN_PATH" help:"File with the token for the hub; HF_TOKEN comes before it. Default: token in HF_HOME, or in ~/.cache/huggingface." placeholder:"FILE"`
	Offline   bool    `group:"Download" help:"Take everything from the cache, as with HF_HUB_OFFLINE=1."`
	MaxSize   float64 `group:"Download" default:"8" help:"Largest download, in GB." placeholder:"GB"`
}

// ModelsPullCmd downloads weights.
type ModelsPullCmd struct {
	Reference string `arg:"" help:"hf:OWNER/REPO[@REVISION][:FILE], https://…, file:…, or a name of oodcast models list --available; #sha256=HEX pins it." placeholder:"WHAT"`
	SHA256    string `name:"sha256" help:"The weights must have this checksum." placeholder:"HEX"`
	pullFlags
}

// Run prints where the weights are, their licence, and the reference that brings the same bytes again.
func (c *ModelsPullCmd) Run(e *env) error {
	e.ready()
	p, err := c.pull(e, c.Reference, c.SHA256)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.Stdout, visible.Text(p.Path))
	return err
}

// pull downloads weights and tells their licence. pin is the checksum that they must have, or "".
func (f *pullFlags) pull(e *env, what, pin string) (*pull.Pulled, error) {
	r, err := pull.Parse(what)
	if err == nil && pin != "" {
		r, err = r.Pinned(pin)
	}
	if err != nil {
		return nil, usageError{err}
	}
	bar := &pullBar{e: e}
	defer bar.clear()
	cfg, err := f.config()
	if err != nil {
		return nil, err
	}
	cfg.Progress = bar.progress
	cfg.Note = func(line string) { bar.clear(); fmt.Fprintln(e.Stderr, visible.Text(line)) }
	puller, err := pull.New(cfg)
	if err != nil {
		return nil, usageError{err}
	}
	p, err := puller.Pull(e, r)
	bar.clear()
	switch {
	case e.Err() != nil:
		return nil, errors.New("interrupted; the same command resumes")
	case err != nil:
		return nil, err
	}
	licence := p.Card.Licence
	if licence == "" {
		licence = "not stated: ask its source before you use it"
	}
	fmt.Fprintf(e.Stderr, "%s: %.1f MB, licence %s\nthe same again: %s\n", visible.Text(p.Source), float64(p.Bytes)/1e6, visible.Text(licence),
		visible.Text(p.Pin))
	return p, nil
}

// config returns the configuration that the flags and the environment of the hub's own program describe.
func (f *pullFlags) config() (pull.Config, error) {
	cfg := pull.Config{
		Cache: f.Cache, Endpoint: f.Hub, MaxBytes: int64(f.MaxSize * 1e9), Token: os.Getenv("HF_TOKEN"),
		Offline: f.Offline || slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(os.Getenv("HF_HUB_OFFLINE"))),
	}
	if !(f.MaxSize > 0 && f.MaxSize < 1e6) {
		return cfg, usagef("--max-size: got %v, want a number of GB", f.MaxSize)
	}
	base, err := os.UserCacheDir()
	if cfg.Cache == "" {
		if err != nil {
			return cfg, usagef("--cache: no folder of the user: %w", err)
		}
		cfg.Cache = filepath.Join(base, "oodcast")
	}
	if cfg.Token != "" {
		return cfg, nil
	}
	path, stated := f.TokenFile, f.TokenFile != ""
	if home := os.Getenv("HF_HOME"); !stated && home != "" {
		path = filepath.Join(home, "token")
	} else if !stated && err == nil {
		path = filepath.Join(base, "huggingface", "token")
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > 4096 {
		if stated {
			return cfg, usagef("--token-file %q: it is no file with a token", path)
		}
		return cfg, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return cfg, fmt.Errorf("token: %w", err)
	}
	cfg.Token = strings.TrimSpace(string(raw))
	return cfg, nil
}

// local replaces references by the files that they bring.
func (f *importFlags) local(e *env, args ...*string) error {
	for _, arg := range args {
		if _, err := os.Lstat(*arg); err == nil || !pull.IsReference(*arg) {
			continue
		}
		p, err := f.pull(e, *arg, "")
		if err != nil {
			return err
		}
		*arg = p.Path
		if f.about != nil { // the denoiser of a pair
			f.about[models.SourceKey] += ", " + p.Source
			continue
		}
		f.about = map[string]string{models.SourceKey: p.Source}
		for key, text := range map[string]string{models.LicenceKey: p.Card.Licence, models.TrainedOnKey: p.Card.Datasets} {
			if text != "" {
				f.about[key] = text
			}
		}
	}
	return nil
}

// pullBar is a line on a terminal, and nothing elsewhere.
type pullBar struct {
	e    *env
	file string
	bar  *progressbar.ProgressBar
}

func (b *pullBar) progress(file string, done, total int64) {
	if file != b.file {
		b.clear()
		w := io.Discard
		if f, ok := terminal(b.e.Stderr); ok {
			w = f
		}
		b.file, b.bar = file, progressbar.NewOptions64(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(visible.Text(file)),
			progressbar.OptionSetWidth(24), progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond))
	}
	_ = b.bar.Set64(done)
}

func (b *pullBar) clear() {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
	b.file, b.bar = "", nil
}

// available prints the published networks that this program imports.
func (c *ModelsListCmd) available(e *env) error {
	verbs := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[ModelsImportCmd]()) {
		verbs[f.Tag.Get("name")] = true
	}
	list := slices.DeleteFunc(pull.Catalogue(), func(n pull.Network) bool { return !verbs[n.Import] })
	if c.JSON != "" {
		return writeJSON(e, c.JSON, list)
	}
	for _, n := range list {
		fmt.Fprintf(e.Stdout, "%s  %d MB  %s  licence: %s\n    %s\n", n.Name, n.Megabytes, n.Purpose, n.Licence, n.Command(n.Name))
	}
	_, err := fmt.Fprintln(e.Stdout, "licences as the cards stated them; a pull shows that of the card as it is now")
	return err
}
