package main

import (
	"fmt"

	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// clipsOf replaces folders of clips by their clips.
func clipsOf(sources []string) (list []string) {
	for _, uri := range sources {
		if clips := fit.Clips(uri); len(clips) > 0 {
			list = append(list, clips...)
		} else {
			list = append(list, uri)
		}
	}
	return list
}

// chooseSize looks at the footage for the working size, and says what it chose. It leaves live streams alone: they cannot be read
// twice.
func (c *FitCmd) chooseSize(e *env, b *models.Bundle) (models.Size, error) {
	var sources []ingest.Source
	pool := ingest.NewPool(4)
	for _, uri := range c.Source {
		s, live, err := footage(e, uri, pool)
		if err != nil || live {
			return models.Size{}, err
		}
		sources = append(sources, s)
	}
	size, reason, err := fit.ChooseSize(e, sources, b.Manifest.Encoder)
	if reason != "" {
		fmt.Fprintln(e.Stderr, reason)
	}
	return size, err
}
