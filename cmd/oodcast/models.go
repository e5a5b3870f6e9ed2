package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/visible"
)

// ModelsCmd groups the commands for bundles.
type ModelsCmd struct {
	List   ModelsListCmd   `cmd:"" help:"List the bundles that are found by name, and the bundles in FOLDER."`
	Show   ModelsShowCmd   `cmd:"" help:"Print a bundle's manifest or one of its files."`
	Verify ModelsVerifyCmd `cmd:"" help:"Check a bundle's checksums, and that this machine computes the right outputs."`
	Import ModelsImportCmd `cmd:"" help:"Make an encoder-only bundle from a network's weights; oodcast fit completes it."`

	Pull     ModelsPullCmd     `cmd:"" help:"Download a network's published weights into a cache, and check them."`
	Strip    ModelsStripCmd    `cmd:"" help:"Take published weights out of a bundle, to publish the rest."`
	Assemble ModelsAssembleCmd `cmd:"" help:"Put published weights back; make deps does so for the built-in bundles."`
}

// ModelsListCmd lists bundles.
type ModelsListCmd struct {
	Folder string `arg:"" optional:"" help:"Also list the bundles in this folder." placeholder:"FOLDER"`
	JSON   string `name:"json" help:"Write JSON to this file; - is stdout." placeholder:"FILE"`

	Available bool `help:"List published networks instead, with the commands that import them."`
}

type listed struct {
	Name        string `json:"name"`
	Path        string `json:"path"` // the name, if the bundle is found by it
	From        string `json:"from"` // the folder that holds the bundle; empty for an embedded bundle
	Version     string `json:"version,omitempty"`
	Encoder     string `json:"encoder,omitempty"`
	EncoderOnly bool   `json:"encoder_only"`
	Calibrated  bool   `json:"calibrated"`
	Bytes       int64  `json:"bytes"`
	Error       string `json:"error,omitempty"`

	models.About
}

// Run prints a line per bundle, and another one with what the bundle is for, how quick it is, what it was trained on, and its
// licence.
func (c *ModelsListCmd) Run(e *env) error {
	if c.Available {
		return c.available(e)
	}
	var list []listed
	for _, f := range models.List() {
		list = append(list, describe(f.Name, f.Dir))
	}
	if c.Folder != "" {
		found, err := filepath.Glob(filepath.Join(c.Folder, "*", models.ManifestFile))
		if err != nil {
			return usagef("list bundles in %q: %w", c.Folder, err)
		}
		for _, f := range found {
			list = append(list, describe(filepath.Dir(f), filepath.Dir(f)))
		}
	}
	if c.JSON != "" {
		return writeJSON(e, c.JSON, list)
	}
	if err := printBundles(e.Stdout, list); err != nil {
		return err
	}
	if !noteSubstitute(e.Stdout) { // which says where bundles are looked for
		fmt.Fprintf(e.Stdout, "looked in %s, and inside the program\n", visible.Text(strings.Join(models.Folders(), ", ")))
	}
	return nil
}

// printBundles prints a table with a line about each bundle below its row.
func printBundles(out io.Writer, list []listed) error {
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BUNDLE\tVERSION\tENCODER\tSIZE\tFROM\tSTATE")
	for _, b := range list {
		from := b.From
		if from == "" {
			from = "inside the program"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f MB\t%s\t%s\n", visible.Text(b.Path), visible.Text(b.Version), visible.Text(b.Encoder),
			float64(b.Bytes)/1e6, visible.Text(from), visible.Text(b.state()))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	number := -1 // of the bundle; the head of the table comes first
	for line := range strings.Lines(table.String()) {
		fmt.Fprint(out, line)
		if number >= 0 {
			if about := list[number].String(); about != "" {
				fmt.Fprintf(out, "    %s\n", about)
			}
		}
		number++
	}
	return nil
}

// state says in a few words whether a bundle can be used.
func (l *listed) state() string {
	switch {
	case l.Error != "":
		return l.Error
	case l.EncoderOnly:
		return "encoder only: run oodcast fit"
	case !l.Calibrated:
		return "not calibrated: run oodcast fit --calibrate-only"
	case l.Path == models.Default:
		return "complete, default"
	}
	return "complete"
}

// describe opens a bundle that lies in the folder from.
func describe(path, from string) listed {
	b, err := models.Open(path)
	if err != nil {
		return listed{Name: filepath.Base(path), Path: path, From: from, Error: err.Error()}
	}
	l := listed{
		Name: b.Name, Path: path, From: from, Version: b.Version, Encoder: b.Manifest.Encoder.Architecture,
		EncoderOnly: b.EncoderOnly(), Calibrated: !b.EncoderOnly() && b.Uncalibrated == "", About: b.About(),
	}
	for _, f := range b.Files {
		l.Bytes += f.Bytes
	}
	return l
}

// noteSubstitute prints a line if another bundle serves in the place of the default one, and reports whether it does.
func noteSubstitute(w io.Writer) bool {
	b, err := models.Open(models.Default)
	if err != nil || b.Substitute == "" {
		return false
	}
	fmt.Fprintln(w, visible.Text(b.Substitute))
	return true
}

// openBundle opens a bundle, and logs it if another one serves in its place.
func openBundle(e *env, nameOrPath string) (*models.Bundle, error) {
	b, err := models.Open(nameOrPath)
	if err == nil && b.Substitute != "" {
		e.Log.Warn("bundle", "note", b.Substitute)
	}
	return b, err
}

// ModelsShowCmd prints a bundle.
type ModelsShowCmd struct {
	Bundle string `arg:"" optional:"" default:"roadscene" help:"Name or folder of the bundle." placeholder:"BUNDLE"`
	File   string `help:"Print this file of the bundle instead, such as MODEL_CARD.md." placeholder:"NAME"`
	JSON   string `name:"json" help:"Write the manifest as JSON to this file; - is stdout." placeholder:"FILE"`
}

// Run prints the manifest as YAML.
func (c *ModelsShowCmd) Run(e *env) error {
	b, err := openBundle(e, c.Bundle)
	if err != nil {
		return err
	}
	if c.File != "" {
		content, err := b.ReadFile(c.File)
		if err != nil {
			return usagef("%w; it has %s", err, strings.Join(b.FileNames(), ", "))
		}
		_, err = c.output(e).Write(content)
		return err
	}
	if c.JSON != "" {
		return writeJSON(e, c.JSON, b.Manifest)
	}
	manifest, err := b.Marshal()
	if err != nil {
		return err
	}
	_, err = e.Stdout.Write(manifest)
	return err
}

// output returns the writer for File. Text is made visible, and so is everything on a terminal.
func (c *ModelsShowCmd) output(e *env) io.Writer {
	switch _, drawn := terminal(e.Stdout); {
	case drawn, slices.Contains([]string{".md", ".yaml", ".json", ".txt"}, filepath.Ext(c.File)):
		return e.Stdout
	}
	return visible.Unwrap(e.Stdout)
}

// ModelsVerifyCmd checks a bundle.
type ModelsVerifyCmd struct {
	Bundle   []string `arg:"" optional:"" help:"Names or folders. Default: all bundles that are found by name." placeholder:"BUNDLE"`
	Provider string   `default:"cpu" enum:"cpu,cuda,tensorrt" help:"Provider that computes the golden outputs: ${enum}."`
	Library  string   `env:"OODCAST_ORT_LIB" help:"ONNX Runtime's library." placeholder:"FILE"`
}

// Run opens every bundle, which verifies the checksums, and compares the golden outputs.
func (c *ModelsVerifyCmd) Run(e *env) error {
	names := c.Bundle
	if len(names) == 0 {
		names = models.Names()
		noteSubstitute(e.Stdout)
	}
	for _, name := range names {
		b, err := openBundle(e, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.Stdout, "%s: %d files, checksums right\n", visible.Text(name), len(b.Files))
		if err := c.golden(e, name, b); err != nil {
			return fmt.Errorf("bundle %q: %w", name, err)
		}
	}
	return nil
}

// golden compares the golden outputs and prints the verdict.
func (c *ModelsVerifyCmd) golden(e *env, name string, b *models.Bundle) error {
	runner := ort.Runner{Library: c.Library, Options: ort.Options{Provider: ort.Provider(c.Provider)}}
	check, err := runner.CheckGolden(b)
	if err != nil {
		return err
	}
	if check == nil {
		fmt.Fprintf(e.Stdout, "%s: no %s, outputs not checked\n", visible.Text(name), models.GoldenFile)
		return nil
	}
	fmt.Fprintf(e.Stdout, "%s: outputs right on %s (largest difference %.1g of an output's root mean square)\n",
		visible.Text(name), check.Provider, check.Difference)
	if check.Note != "" {
		fmt.Fprintln(e.Stderr, visible.Text(check.Note))
	}
	return nil
}
