package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oodcast/oodcast/configs"
)

func TestDefaultYAMLIsDefault(t *testing.T) {
	got, err := configs.Parse(configs.DefaultYAML())
	if err != nil {
		t.Fatal(err)
	}
	want := configs.Default()
	want.Detector.List, want.Cameras = []int{}, []configs.Camera{} // spelt out in the file
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestShippedFilesAreValid(t *testing.T) {
	paths, err := filepath.Glob("*.yaml")
	if err != nil || len(paths) < 4 {
		t.Fatalf("%v, %v", paths, err)
	}
	for _, path := range paths {
		c, err := configs.Load(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if path == "docker.yaml" { // its token comes from outside
			c.Preview.Token = "0123456789abcdef"
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestFaultsAreNamed(t *testing.T) {
	cases := []struct {
		name, yaml string
		want       []string
	}{
		{"unknown key", "detector: {timestep: 5}", []string{"timestep", "line 1"}},
		{"unknown key of a camera", "cameras:\n- {name: a, uri: camera:0, fsp: 3}", []string{"fsp", "camera"}},
		{"not YAML", "cameras: [", []string{"configuration"}},
		{
			"all at once", "provider: {name: gpu, threads: -1}\ndetector: {width: 33, height: 32}\n" +
				"cameras:\n- {name: A, uri: camera:0}\n- {name: b, uri: camera:0}\n- {name: b, uri: camera:1}",
			[]string{`provider.name: got "gpu"`, "provider.threads", "detector.width", "cameras[0].name", "cameras[2].name"},
		},
		{"events", "events: {exit: 2, min_area: -1}", []string{"events.exit", "events.min_area"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := configs.Parse([]byte(c.yaml))
			if err == nil {
				err = cfg.Validate()
			}
			if !errors.Is(err, configs.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %q", err, part)
				}
			}
		})
	}
}

// What a camera's entry leaves out has ingest's defaults, not zeros.
func TestCameraDefaults(t *testing.T) {
	c, err := configs.Parse([]byte("cameras:\n- {name: front, uri: camera:0}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestLoadMissingFile(t *testing.T) {
	_, err := configs.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) || !errors.Is(err, configs.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// Whatever parses can be judged, and what is judged valid survives being judged again.
func FuzzParse(f *testing.F) {
	f.Add(configs.DefaultYAML())
	f.Add([]byte("cameras:\n- &a {name: a, uri: camera:0}\n- *a"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := configs.Parse(raw)
		if err != nil {
			return
		}
		first, second := c.Validate(), c.Validate()
		if (first == nil) != (second == nil) {
			t.Errorf("judged %v, then %v", first, second)
		}
	})
}

func TestApplyEnv(t *testing.T) {
	c := configs.Default()
	err := c.ApplyEnv([]string{
		"OODCAST_PREVIEW__TOKEN=0123456789abcdef", "OODCAST_DETECTOR__TIMESTEPS=10", "OODCAST_BUNDLE=front",
		"OODCAST_ORT_LIB=/lib/x.so", "HOME=/root", "OODCAST_PREVIEW__WEBRTC__LISTEN_UDP=:9000",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := configs.Default()
	want.Preview.Token, want.Detector.Timesteps, want.Bundle = "0123456789abcdef", 10, "front"
	want.Preview.WebRTC.ListenUDP = ":9000"
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"OODCAST_PREVIEW__TOKN=secretsecretsecret", "OODCAST_DETECTOR__TIMESTEPS=many"} {
		err := c.ApplyEnv([]string{bad})
		if !errors.Is(err, configs.ErrInvalid) || !strings.Contains(err.Error(), strings.Split(bad, "=")[0]) {
			t.Errorf("%s: got %v", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the value is in the message: %v", err)
		}
	}
}
