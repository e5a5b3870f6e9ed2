package main

import (
	"fmt"

	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/visible"
)

// SynthCmd makes a labelled set out of normal footage.
type SynthCmd struct {
	Source  []string     `required:"" sep:"none" placeholder:"URI" help:"Normal footage: a file or a folder of images. May be repeated."`
	Objects string       `type:"existingdir" placeholder:"DIR" help:"Folder of objects: pictures with alpha, or photographs out of whose middle the object is cut. Default: shapes and textures drawn by formula."`
	Out     string       `required:"" placeholder:"DIR" help:"Folder of the new set; it must not exist, or be empty."`
	Count   int          `default:"100" placeholder:"N" help:"Number of pictures (default ${default})."`
	Seed    uint64       `default:"1" placeholder:"N" help:"Seed of everything random (default ${default})."`
	Kinds   []synth.Kind `default:"object,texture,blur,noise,scale" help:"What to paste (default ${default})."`
	MinSize int          `default:"10" placeholder:"PX" help:"Smallest longer side of a thing (default ${default})."`
	MaxSize int          `default:"300" placeholder:"PX" help:"Largest longer side of a thing (default ${default})."`
	JSON    string       `name:"json" placeholder:"FILE" help:"Write the result as JSON; - for stdout."`
}

// Run writes the set.
func (c *SynthCmd) Run(e *env) error {
	cfg := synth.DefaultConfig()
	cfg.Seed, cfg.MinSize, cfg.MaxSize, cfg.Kinds = c.Seed, c.MinSize, c.MaxSize, c.Kinds
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	if c.Count < 1 {
		return usagef("--count: got %d, want 1 or more", c.Count)
	}
	if err := checkOutputs(c.JSON); err != nil {
		return err
	}
	footage := synth.Footage{Open: func() ([]ingest.Source, error) { return finite(e, "--source", c.Source) }}
	for _, uri := range c.Source {
		footage.Names = append(footage.Names, fit.SourceName(uri))
	}
	if _, err := footage.Open(); err != nil {
		return err
	}
	objects, skipped, err := synth.Objects(c.Objects, c.Seed)
	tellLeftOut(e, skipped)
	if err != nil {
		return usageError{err}
	}
	g, err := synth.New(cfg, objects)
	if err != nil {
		return usageError{err}
	}
	e.ready()
	res, err := g.Write(e, c.Out, c.Count, footage)
	switch {
	case e.Err() != nil:
		return fmt.Errorf("interrupted: nothing was written to %q", c.Out)
	case isAny(err, synth.ErrNotEmpty):
		return usageError{err}
	case err != nil:
		return err
	}
	if c.JSON != "-" {
		fmt.Fprintln(e.Stdout, visible.Text(res.String()))
	}
	return writeJSON(e, c.JSON, res)
}

// finite opens the sources of a flag, all of which come to an end.
func finite(e *env, flag string, uris []string) (list []ingest.Source, err error) {
	pool := ingest.NewPool(4)
	for _, uri := range uris {
		s, live, err := footage(e, uri, pool)
		if err != nil {
			return nil, err
		}
		if live {
			return nil, usagef("%s %s never ends: record some of it to a file", flag, ingest.RedactURI(uri))
		}
		list = append(list, s)
	}
	return list, nil
}
