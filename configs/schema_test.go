package configs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/configs"
)

// compileSchema compiles our schema with an independent validator.
func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	raw, err := configs.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("oodcast.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("oodcast.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate validates YAML in the way an editor does.
func validate(t *testing.T, s *jsonschema.Schema, raw []byte) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(asJSON)); err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

func TestSchemaAcceptsShippedFiles(t *testing.T) {
	s := compileSchema(t)
	paths, err := filepath.Glob("*.yaml")
	if err != nil || len(paths) < 4 {
		t.Fatalf("files %v, error %v, want at least 4", paths, err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, s, raw); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := validate(t, s, configs.ExampleYAML()); err != nil {
		t.Errorf("example: %v", err)
	}
}

// The schema and the parser reject the same files.
func TestSchemaAndParserAgree(t *testing.T) {
	s := compileSchema(t)
	for _, c := range []struct{ yaml, where string }{
		{"detector: {timestep: 5}", "timestep"},
		{"detector: {timesteps: many}", "/detector/timesteps"},
		{"detector: {part: half}", "/detector/part"},
		{"detector: {carry: long}", "/detector/carry"},
		{"events: {hold: long}", "/events/hold"},
		{"events: {categories: [odd]}", "/events/categories/0"},
		{"cameras: [{uri: x, events: {zones: [{name: a, polygon: [[0, 0], [1, 0], [1, 1]], categories: [odd]}]}}]", "/events/zones/0/categories/0"},
		{"cameras: [{name: a}]", "uri"},
		{"cameras: [{uri: x, detector: {timestep: 5}}]", "timestep"},
		{"cameras: [{uri: x, overflow: drop}]", "/cameras/0/overflow"},
		{"preview: {passthrough: sometimes}", "/preview/passthrough"},
		{"preview: {webrtc: {handshake_timeout: soon}}", "/preview/webrtc/handshake_timeout"},
	} {
		cfg, parseErr := configs.Parse([]byte(c.yaml))
		if parseErr == nil {
			parseErr = cfg.Validate()
		}
		err := validate(t, s, []byte(c.yaml))
		if err == nil || parseErr == nil || !strings.Contains(err.Error(), c.where) {
			t.Errorf("%s: schema error %v, parser error %v, want both to reject it", c.yaml, err, parseErr)
		}
	}
}

// The commented-out keys of default.yaml are valid, and every key has a description.
func TestExampleIsComplete(t *testing.T) {
	c, err := configs.Parse(configs.ExampleYAML())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if len(c.Cameras) != 1 || c.Cameras[0].Name != "front" {
		t.Errorf("cameras %+v", c.Cameras)
	}
	raw, err := configs.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(raw, &root); err != nil {
		t.Fatal(err)
	}
	checkDescriptions(t, root, "")
}

func checkDescriptions(t *testing.T, schema map[string]any, path string) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for key, p := range properties {
		property := p.(map[string]any)
		if text, _ := property["description"].(string); text == "" {
			t.Errorf("%s%s: default.yaml has no comment on this key", path, key)
		}
		checkDescriptions(t, property, path+key+".")
		if items, ok := property["items"].(map[string]any); ok {
			checkDescriptions(t, items, path+key+"[].")
		}
	}
}
