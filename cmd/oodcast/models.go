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
	List   ModelsListCmd   `cmd:"" help:"List the embedded bundles, and the bundles in FOLDER."`
	Show   ModelsShowCmd   `cmd:"" help:"Print a bundle's manifest or one of its files."`
	Verify ModelsVerifyCmd `cmd:"" help:"Check a bundle's checksums, and that this machine computes the right outputs."`
	Import ModelsImportCmd `cmd:"" help:"Make an encoder-only bundle from a network's weights; oodcast fit completes it."`

	Strip    ModelsStripCmd    `cmd:"" help:"Take published weights out of a bundle, to publish the rest."`
	Assemble ModelsAssembleCmd `cmd:"" help:"Put published weights back; make deps does so for the built-in bundles."`
}

// ModelsListCmd lists bundles.
type ModelsListCmd struct {
	Folder string `arg:"" optional:"" help:"Also list the bundles in this folder." placeholder:"FOLDER"`
	JSON   string `name:"json" help:"Write JSON to this file; - is stdout." placeholder:"FILE"`
}

type listed struct {
	Name        string `json:"name"`
	Path        string `json:"path"`
	Version     string `json:"version,omitempty"`
	Encoder     string `json:"encoder,omitempty"`
	EncoderOnly bool   `json:"encoder_only"`
	Calibrated  bool   `json:"calibrated"`
	Bytes       int64  `json:"bytes"`
	Error       string `json:"error,omitempty"`

	models.About
}

// Run prints a line per bundle, and another one with what the bundle is for, was trained on, and is licensed under.
func (c *ModelsListCmd) Run(e *env) error {
	paths := models.Names()
	if c.Folder != "" {
		found, err := filepath.Glob(filepath.Join(c.Folder, "*", models.ManifestFile))
		if err != nil {
			return usagef("list bundles in %q: %w", c.Folder, err)
		}
		for _, f := range found {
			paths = append(paths, filepath.Dir(f))
		}
	}
	list := make([]listed, len(paths))
	for i, path := range paths {
		list[i] = describe(path)
	}
	if c.JSON != "" {
		return writeJSON(e, c.JSON, list)
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BUNDLE\tVERSION\tENCODER\tSIZE\tSTATE")
	for _, b := range list {
		state := "complete"
		switch {
		case b.Error != "":
			state = visible.Text(b.Error)
		case b.EncoderOnly:
			state = "encoder only: run oodcast fit"
		case !b.Calibrated:
			state = "not calibrated: run oodcast fit --calibrate-only"
		case b.Path == models.Default:
			state = "complete, default"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f MB\t%s\n", visible.Text(b.Path), visible.Text(b.Version), visible.Text(b.Encoder), float64(b.Bytes)/1e6, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	number := -1 // of the bundle; the head of the table comes first
	for line := range strings.Lines(table.String()) {
		fmt.Fprint(e.Stdout, line)
		if number >= 0 {
			if about := list[number].String(); about != "" {
				fmt.Fprintf(e.Stdout, "    %s\n", about)
			}
		}
		number++
	}
	return nil
}

func describe(path string) listed {
	b, err := models.Open(path)
	if err != nil {
		return listed{Name: filepath.Base(path), Path: path, Error: err.Error()}
	}
	l := listed{
		Name: b.Name, Path: path, Version: b.Version, Encoder: b.Manifest.Encoder.Architecture, EncoderOnly: b.EncoderOnly(),
		Calibrated: !b.EncoderOnly() && b.Uncalibrated == "", About: b.About(),
	}
	for _, f := range b.Files {
		l.Bytes += f.Bytes
	}
	return l
}

// ModelsShowCmd prints a bundle.
type ModelsShowCmd struct {
	Bundle string `arg:"" optional:"" default:"roadscene" help:"Name or folder of the bundle." placeholder:"BUNDLE"`
	File   string `help:"Print this file of the bundle instead, such as MODEL_CARD.md." placeholder:"NAME"`
	JSON   string `name:"json" help:"Write the manifest as JSON to this file; - is stdout." placeholder:"FILE"`
}

// Run prints the manifest as YAML.
func (c *ModelsShowCmd) Run(e *env) error {
	b, err := models.Open(c.Bundle)
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
	Bundle   []string `arg:"" optional:"" help:"Names or folders. Default: all embedded bundles." placeholder:"BUNDLE"`
	Provider string   `default:"cpu" enum:"cpu,cuda,tensorrt" help:"Provider that computes the golden outputs: ${enum}."`
	Library  string   `env:"OODCAST_ORT_LIB" help:"ONNX Runtime's library." placeholder:"FILE"`
}

// Run opens every bundle, which verifies the checksums, and compares the golden outputs.
func (c *ModelsVerifyCmd) Run(e *env) error {
	names := c.Bundle
	if len(names) == 0 {
		names = models.Names()
	}
	for _, name := range names {
		b, err := models.Open(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.Stdout, "%s: %d files, checksums right\n", visible.Text(name), len(b.Files))
		if err := c.golden(e, b); err != nil {
			return fmt.Errorf("bundle %q: %w", name, err)
		}
	}
	return nil
}

// golden compares the golden outputs and prints the verdict.
func (c *ModelsVerifyCmd) golden(e *env, b *models.Bundle) error {
	runner := ort.Runner{Library: c.Library, Options: ort.Options{Provider: ort.Provider(c.Provider)}}
	check, err := runner.CheckGolden(b)
	if err != nil {
		return err
	}
	if check == nil {
		fmt.Fprintf(e.Stdout, "%s: no %s, outputs not checked\n", visible.Text(b.Path()), models.GoldenFile)
		return nil
	}
	fmt.Fprintf(e.Stdout, "%s: outputs right on %s (largest difference %.1g of an output's root mean square)\n",
		visible.Text(b.Path()), check.Provider, check.Difference)
	if check.Note != "" {
		fmt.Fprintln(e.Stderr, visible.Text(check.Note))
	}
	return nil
}
