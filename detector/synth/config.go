package synth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is a kind of thing that does not belong.
type Kind string

// The kinds.
const (
	KindObject  Kind = "object"  // a cut-out, or a shape drawn by formula
	KindTexture Kind = "texture" // a patch of a foreign texture
	KindBlur    Kind = "blur"    // a blurred region of the frame
	KindNoise   Kind = "noise"   // a region of the frame under noise
	KindScale   Kind = "scale"   // a region of the frame, enlarged
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{KindObject, KindTexture, KindBlur, KindNoise, KindScale} }

// Config says what is pasted.
type Config struct {
	Seed uint64
	// Kinds are drawn with equal probability, but an object is drawn as often as all others together.
	Kinds []Kind
	// MinSize and MaxSize bound the longer side of a thing in pixels of the frame. In a small frame no side is longer than
	// two fifths of the frame's shorter side.
	MinSize, MaxSize int
	// Most is the largest number of things in a picture; there is at least one.
	Most int
}

// DefaultConfig returns the defaults: every kind, 10 to 300 pixels, up to three things in a picture.
func DefaultConfig() Config {
	return Config{Seed: 1, Kinds: Kinds(), MinSize: 10, MaxSize: 300, Most: 3}
}

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, got any, want string) {
		errs = append(errs, fmt.Errorf("synth.%s: got %v, want %s", key, got, want))
	}
	if len(c.Kinds) == 0 {
		bad("kinds", "none", "at least one")
	}
	for _, k := range c.Kinds {
		if !slices.Contains(Kinds(), k) {
			bad("kinds", fmt.Sprintf("%q", k), "of "+strings.Trim(fmt.Sprint(Kinds()), "[]"))
		}
	}
	if c.MinSize < 4 || c.MinSize > 4096 {
		bad("min_size", c.MinSize, "4 to 4096")
	}
	if c.MaxSize < c.MinSize || c.MaxSize > 4096 {
		bad("max_size", c.MaxSize, "min_size to 4096")
	}
	if c.Most < 1 || c.Most > 100 {
		bad("most", c.Most, "1 to 100")
	}
	return errors.Join(errs...)
}
