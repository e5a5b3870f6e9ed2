package configs

import (
	"net/url"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/ingest"
)

const redacted = "***"

// Print returns c as YAML, with passwords, tokens and the credentials in addresses replaced by ***.
func Print(c Config) ([]byte, error) {
	return yaml.Marshal(c.redact())
}

// redact returns a copy of c without secrets.
func (c Config) redact() Config {
	hideSecrets(reflect.ValueOf(&c).Elem())
	urls := strings.Split(c.Publish.URL, ",")
	for i, u := range urls {
		urls[i] = redactURL(strings.TrimSpace(u))
	}
	c.Publish.URL = strings.Join(urls, ",")
	cameras := make([]Camera, len(c.Cameras))
	for i, cam := range c.Cameras {
		cam.URI = ingest.RedactURI(cam.URI)
		cam.FFmpegOptions = ingest.RedactURI(cam.FFmpegOptions)
		hideSecrets(reflect.ValueOf(&cam).Elem())
		if cam.User != "" {
			cam.User = redacted // as in addresses
		}
		cameras[i] = cam
	}
	c.Cameras = cameras
	return c
}

// hideSecrets replaces the values of all keys that are named like secrets.
func hideSecrets(v reflect.Value) {
	for _, f := range fields(v.Type()) {
		switch at := v.FieldByIndex(f.index); {
		case at.Kind() == reflect.Struct:
			hideSecrets(at)
		case at.Kind() == reflect.String && at.String() != "" && secretKey.MatchString(f.key):
			at.SetString(redacted)
		}
	}
}

// redactURL hides the user part of an address, which may be a token in the case of NATS.
func redactURL(addr string) string {
	u, err := url.Parse(addr)
	if err != nil {
		return ingest.RedactURI(addr)
	}
	if u.User != nil {
		u.User = url.User(redacted)
		return strings.Replace(u.String(), url.QueryEscape(redacted), redacted, 1)
	}
	return addr
}
