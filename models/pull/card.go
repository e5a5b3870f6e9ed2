package pull

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/models/regular"
)

// Card is what the front matter of a model card says. Its texts are foreign: single printable lines of bounded length.
type Card struct {
	Licence  string // its name, and where it is written; "" if the card states none
	Datasets string // that the network was trained on
}

// mostCard bounds a model card, in bytes.
const mostCard = 1 << 20

// readCard reads a model card. One that is not there, or whose front matter cannot be read, says nothing.
func readCard(path string) (Card, error) {
	raw, err := regular.ReadFile(path, mostCard)
	if errors.Is(err, fs.ErrNotExist) {
		return Card{}, nil
	}
	if err != nil {
		return Card{}, fmt.Errorf("model card: %w", err)
	}
	return ParseCard(raw), nil
}

// ParseCard reads the front matter of a model card: YAML between two lines of three hyphens, at the beginning.
func ParseCard(raw []byte) Card {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	rest, ok := bytes.CutPrefix(raw, []byte("---\n"))
	if !ok {
		return Card{}
	}
	front, _, ok := bytes.Cut(rest, []byte("\n---"))
	const mostFront = 32 << 10                                                   // the YAML package compares each key with each other one
	if !ok || len(front) > mostFront || bytes.Count(front, []byte("*")) > 1000 { // aliases
		return Card{}
	}
	var m struct {
		Licence  any `yaml:"license"`
		Name     any `yaml:"license_name"`
		Link     any `yaml:"license_link"`
		Datasets any `yaml:"datasets"`
	}
	if err := yaml.Unmarshal(front, &m); err != nil {
		return Card{}
	}
	licence := words(m.Licence)
	if name := words(m.Name); name != "" && (licence == "" || licence == "other") {
		licence = name
	}
	if link := words(m.Link); link != "" && licence != "" {
		licence += " (" + link + ")"
	}
	return Card{Licence: licence, Datasets: words(m.Datasets)}
}

// words returns a text, or a list of texts, as one line.
func words(v any) string {
	const most, each = 20, 160
	switch v := v.(type) {
	case string:
		return plain(v, each)
	case []any:
		var texts []string
		for _, e := range v[:min(len(v), most)] {
			if s, ok := e.(string); ok {
				texts = append(texts, plain(s, each))
			}
		}
		return oneLine(strings.Join(texts, ", "), each)
	}
	return ""
}

// plain is oneLine without the characters that mean something in Markdown, where these texts go.
func plain(s string, n int) string {
	return oneLine(strings.Map(func(c rune) rune {
		if strings.ContainsRune("|<>`", c) {
			return ' '
		}
		return c
	}, s), n)
}
