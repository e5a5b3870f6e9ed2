package models

import (
	"fmt"
	"strings"
)

// The keys of a manifest's provenance that say in a few words what a user needs to know before he chooses a bundle.
const (
	PurposeKey   = "purpose"    // what the bundle is for
	LicenceKey   = "licence"    // licence of the weights
	TrainedOnKey = "trained_on" // data that the encoder was trained on
	SourceKey    = "source"     // where the weights were downloaded
	SpeedKey     = "speed"      // milliseconds per frame as a number, or a text such as "71 ms a frame on two cores"
)

// About says in a few words what a bundle is. A field is empty where the manifest does not say it.
type About struct {
	Purpose   string `json:"purpose,omitempty"`
	Speed     string `json:"speed,omitempty"`
	Licence   string `json:"licence,omitempty"`
	TrainedOn string `json:"trained_on,omitempty"`
	FittedOn  string `json:"fitted_on,omitempty"` // footage that the denoiser was trained on
}

// About returns what the provenance says about the bundle.
func (m *Manifest) About() About {
	text := func(key string) string { s, _ := m.Provenance[key].(string); return s }
	a := About{Purpose: text(PurposeKey), Licence: text(LicenceKey), TrainedOn: text(TrainedOnKey)}
	switch v := m.Provenance[SpeedKey].(type) {
	case string:
		a.Speed = v
	case int, float64:
		a.Speed = fmt.Sprintf("%v ms a frame", v)
	}
	fit, _ := m.Provenance["fit"].(map[string]any)
	if sources, ok := fit["sources"].([]any); ok {
		var names []string
		for _, s := range sources {
			names = append(names, fmt.Sprint(s))
		}
		a.FittedOn = strings.Join(names, ", ")
	}
	return a
}

// String joins the fields that are known.
func (a About) String() string {
	var parts []string
	for _, p := range []struct{ title, text string }{
		{"for: ", a.Purpose}, {"speed: ", a.Speed}, {"encoder trained on: ", a.TrainedOn}, {"fitted on: ", a.FittedOn}, {"licence: ", a.Licence},
	} {
		if p.text != "" {
			parts = append(parts, p.title+p.text)
		}
	}
	return strings.Join(parts, "; ")
}
