package models

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ErrRecalibrate means that a setting changes the scores that the calibration has measured.
var ErrRecalibrate = errors.New("the calibration was measured without it")

// Set changes how scores are made. Each assignment is KEY=VALUE, where KEY is in the section diffusion or compound of
// bundle.yaml: compound.lse_weight=0.5 or diffusion.timesteps=[0, 1, 2].
func (m *Manifest) Set(assignments ...string) error {
	for _, a := range assignments {
		key, text, ok := strings.Cut(a, "=")
		section, name, dotted := strings.Cut(key, ".")
		if !ok || !dotted || section != "diffusion" && section != "compound" {
			return fmt.Errorf("setting %q: want diffusion.KEY=VALUE or compound.KEY=VALUE", a)
		}
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return fmt.Errorf("setting %q: the value is not YAML", a)
		}
		if value == nil {
			return fmt.Errorf("setting %q: no value", a)
		}
		raw, err := yaml.Marshal(map[string]any{section: map[string]any{name: value}})
		if err != nil {
			return fmt.Errorf("setting %q: %w", a, err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(raw))
		dec.KnownFields(true)
		if err := dec.Decode(m); err != nil {
			return fmt.Errorf("setting %q: no such key, or not a value for it", a)
		}
	}
	return m.Validate()
}

// Override returns the manifest of a calibrated bundle with other settings. It returns ErrRecalibrate for a setting that
// changes the scores of single timesteps, whose mean and covariance the calibration holds.
func (m Manifest) Override(assignments ...string) (Manifest, error) {
	old := m.Diffusion
	if err := m.Set(assignments...); err != nil {
		return m, err
	}
	now := m.Diffusion
	if now.Noise != old.Noise || max(1, now.Draws) != max(1, old.Draws) || now.Score != old.Score || now.Seed != old.Seed {
		return m, fmt.Errorf("setting %s: %w: make a bundle with oodcast fit --calibrate-only --set …",
			strings.Join(assignments, ", "), ErrRecalibrate)
	}
	return m, nil
}
