package configs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/ingest"
)

// secretKey matches the keys whose values are secrets.
var secretKey = regexp.MustCompile(`(?i)(password|token|secret)s?$`)

// Exposed returns what other users of the machine can do with the configuration file at path, because of its permissions, that
// they should not: read secrets, or change it. It returns nothing about a file that cannot be read.
func Exposed(path string) []string {
	info, err := os.Stat(path)
	if err != nil || path == "" || !info.Mode().IsRegular() {
		return nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var holds contents
	for dec := yaml.NewDecoder(bytes.NewReader(raw)); ; {
		var doc yaml.Node
		if dec.Decode(&doc) != nil { // the end, or a fault that others report
			break
		}
		holds.look("", &doc)
	}
	var list []string
	if mode := info.Mode().Perm(); mode&0o002 != 0 {
		list = append(list, fmt.Sprintf("every user of this machine may change %s, also to a pipeline (gst:) that runs with our rights%s: "+
			"chmod o-w", path, holds.also()))
	} else if mode&0o004 != 0 && holds.secrets {
		list = append(list, fmt.Sprintf("every user of this machine may read %s, which holds secrets: chmod o-r, or put ${NAME} in their place",
			path))
	}
	if folder := openFolder(path); folder != "" {
		list = append(list, fmt.Sprintf("every user of this machine may replace %s, because the folder %s is open to all: chmod o-w", path, folder))
	}
	return list
}

// openFolder returns the folder of path if everybody may rename files in it, else "".
func openFolder(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	folder := filepath.Dir(abs)
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm()&0o002 == 0 || info.Mode()&os.ModeSticky != 0 {
		return ""
	}
	return folder
}

// contents is what a file holds.
type contents struct{ secrets, pipelines bool }

func (c contents) also() string {
	switch {
	case c.secrets && c.pipelines:
		return ", and it holds secrets and pipelines"
	case c.secrets:
		return ", and it holds secrets"
	case c.pipelines:
		return ", and it holds pipelines"
	}
	return ""
}

// look examines a node, which is the value of key. A reference to the environment is not a secret.
func (c *contents) look(key string, node *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for k, v := range pairs(node) {
			c.look(k.Value, v)
		}
	case yaml.ScalarNode:
		text := reference.ReplaceAllString(node.Value, "")
		c.pipelines = c.pipelines || strings.HasPrefix(text, "gst:")
		c.secrets = c.secrets || secretKey.MatchString(key) && text != "" || holdsSecret(text)
	default:
		for _, n := range node.Content {
			c.look(key, n)
		}
	}
}

// holdsSecret reports whether a text has an address with a password, or a parameter with a secret. References have been removed.
func holdsSecret(text string) bool {
	_, rest, found := strings.Cut(text, "://")
	if !found {
		return ingest.RedactURI(text) != text
	}
	login, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(login, '@'); at >= 0 {
		_, password, _ := strings.Cut(login[:at], ":")
		if password != "" {
			return true
		}
		rest = rest[at+1:]
	}
	return ingest.RedactURI(rest) != rest || strings.Contains(rest, "://") && ingest.RedactURI("x://"+rest) != "x://"+rest
}
