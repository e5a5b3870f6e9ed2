package fit

import (
	"fmt"

	"github.com/oodcast/oodcast/models"
)

// prepare returns the manifest that the fit begins with, after finding out whatever would make it fail at its end.
func (o *Options) prepare() (models.Manifest, error) {
	m := o.Bundle.Manifest
	if o.Name != "" {
		m.Name = o.Name
	}
	if o.Size != (models.Size{}) {
		m.Encoder.Size, m.Encoder.Enlarge = o.Size, true
	}
	if m.Compound.Rule == models.RuleSized && !o.Paper {
		m.Compound.MotionWeight = 0
		if o.Motion {
			m.Compound.MotionWeight = 1
		}
	}
	if err := m.Validate(); err != nil {
		return m, fmt.Errorf("fit: %w", err)
	}
	if err := models.CheckFolder(o.Out); err != nil {
		return m, fmt.Errorf("fit: %w", err)
	}
	if err := checkState(o.Out); err != nil {
		return m, fmt.Errorf("fit: write state: %w", err)
	}
	return m, nil
}
