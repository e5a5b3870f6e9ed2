package configs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/detector/ort"
)

func TestDefaultYAMLIsDefault(t *testing.T) {
	got, err := configs.Parse(configs.DefaultYAML())
	if err != nil {
		t.Fatal(err)
	}
	want := configs.Default()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestShippedFilesAreValid(t *testing.T) {
	paths, err := filepath.Glob("*.yaml")
	if err != nil || len(paths) < 4 {
		t.Fatalf("files %v, error %v, want at least 4", paths, err)
	}
	for _, path := range paths {
		c, err := configs.Load(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if path == "docker.yaml" { // its tokens come from the environment
			c.Preview.Token, c.Publish.Token = "0123456789abcdef", "0123456789abcdef"
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestFaultsAreNamed(t *testing.T) {
	const cam = "cameras:\n- {name: a, uri: camera:0}\n- {name: b, uri: camera:1, "
	cases := []struct{ name, yaml, want string }{
		{
			"unknown key", "detector: {timestep: 5}",
			"configuration: detector.timestep: unknown key, did you mean timesteps? (line 1)",
		},
		{
			"unknown key of a camera's detector", cam + "detector: {timestep: 3}}",
			"configuration: cameras[1].detector.timestep: unknown key, did you mean timesteps? (line 3)",
		},
		{
			"two unknown keys", cam + "fsp: 3}\nbundel: x",
			"configuration: cameras[1].fsp: unknown key, did you mean fps? (line 3)\n" +
				"bundel: unknown key, did you mean bundle? (line 4)",
		},
		{
			"a key in the wrong place", "threshold: 5",
			"configuration: threshold: unknown key, did you mean detector.threshold? (line 1)",
		},
		{"no similar key", "zebra: 5", "configuration: zebra: unknown key (line 1)"},
		{
			"wrong kinds", "detector: {timesteps: many, width: 1.5}\nevents: {hold: long}\npublish: {compress: 3}\n" +
				"cameras: {a: b}\npreview: 8080",
			`configuration: detector.timesteps: got "many", want a whole number or auto (line 1)` + "\n" +
				`detector.width: got "1.5", want a whole number (line 1)` + "\n" +
				`events.hold: got "long", want a time such as 500ms, 10s or 5m (line 2)` + "\n" +
				`publish.compress: got "3", want true or false (line 3)` + "\n" +
				"cameras: want a list (line 4)\npreview: want keys with values (line 5)",
		},
		{"duplicate key", "bundle: a\nbundle: b", "configuration: bundle: duplicate key (line 2)"},
		{"a secret in the wrong place", "preview: {token: [hunter2]}", "configuration: preview.token: want a string (line 1)"},
		{
			"two documents", "bundle: a\n---\nbundle: b",
			"configuration: the file: want one document, without a second one after --- (line 2)",
		},
		{
			"a fault of all cameras is reported once", "detector: {width: 33, height: 32}\n" + cam + "detector: {timesteps: 2}, events: {exit: 2}}",
			"configuration: detector.width: got 33, want 0 or a multiple of 32 up to 8192\n" +
				"cameras[1].events.exit: got 2, want more than 0, at most 1",
		},
		{
			"auto without a budget", "detector: {timesteps: auto}",
			"configuration: detector.latency_budget: got 0s, want a positive time, such as 120ms, with timesteps: auto",
		},
		{"not YAML", "cameras: [", "configuration: line 1: did not find expected node content"},
		{
			"values, all at once", "provider: {name: gpu, threads: -1}\ndetector: {width: 33, height: 32}\n" +
				"cameras:\n- {name: A, uri: camera:0}\n- {name: b, uri: camera:0}\n- {name: b, uri: camera:1}",
			`configuration: provider.name: got "gpu", want cpu, cuda or tensorrt` + "\n" +
				fmt.Sprintf("provider.threads: got -1, want 0 (one per core) to %d\n", ort.MaxThreads()) +
				"detector.width: got 33, want 0 or a multiple of 32 up to 8192\n" +
				`cameras[0].name: got "A", want lower-case letters, digits and _, a letter first` + "\n" +
				`cameras[2].name: got "b" twice, want unique names`,
		},
		{
			"a long name", "cameras:\n- {name: " + strings.Repeat("a", 64) + ", uri: camera:0}",
			`configuration: cameras[0].name: name "` + strings.Repeat("a", 64) + `": want a lower-case letter, then lower-case letters, digits or _ (63 at most)`,
		},
		{
			"values of one camera", cam + "detector: {width: 33, height: 32}, events: {exit: 2}}",
			"configuration: cameras[1].detector.width: got 33, want 0 or a multiple of 32 up to 8192\n" +
				"cameras[1].events.exit: got 2, want more than 0, at most 1",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := configs.Parse([]byte(c.yaml))
			if err == nil {
				err = cfg.Validate()
			}
			if !errors.Is(err, configs.ErrInvalid) || err.Error() != c.want {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

// Read reports unknown keys and invalid values in the file, a wrong environment variable and an invalid flag all at once.
func TestReadReportsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(path, []byte("detector: {timestep: 5, width: 33, height: 32}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := configs.Read(path, []string{"OODCAST_EVENTS__HOLDS=1s"}, func(c *configs.Config) error {
		c.Provider.Name = "gpu"
		return nil
	})
	if !errors.Is(err, configs.ErrInvalid) {
		t.Fatalf("Read() = %v, want %v", err, configs.ErrInvalid)
	}
	for _, part := range []string{
		"detector.timestep: unknown key", "detector.width: got 33", "OODCAST_EVENTS__HOLDS: events.holds: unknown key, did you mean hold?",
		`provider.name: got "gpu"`, path,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
}

// A camera's own keys override the keys for all cameras one by one. Anchors and merges are equivalent to writing the keys out.
func TestCameraOverrides(t *testing.T) {
	c, err := configs.Parse([]byte(`
bundle: all
detector: {timestep_list: [0, 4], threshold: 7, width: 512, height: 256}
events: {hold: 3s}
cameras:
- &first
  name: a
  uri: camera:0
- <<: *first
  name: b
  bundle: own
  detector: &scoring {timesteps: 3, threshold: 2.5}
  events: {min_area: 0.1}
- name: c
  uri: camera:2
  detector: {<<: *scoring, threshold: 4}
- name: d
  uri: camera:3
  detector: {<<: [{timesteps: 2, width: 320}, *scoring], target_fps: 3}
`))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	cameras := c.Pipeline().Cameras
	all, b, third, last := c.Detector, c.Detector, c.Detector, c.Detector
	b.Timesteps, b.List, b.Threshold = 3, nil, 2.5
	third.Timesteps, third.List, third.Threshold = 3, nil, 4
	last.Timesteps, last.List, last.Threshold, last.TargetFPS, last.Width = 2, nil, 2.5, 3, 320
	for i, want := range []detector.Config{all, b, third, last} {
		if diff := cmp.Diff(want, cameras[i].Detector); diff != "" {
			t.Errorf("camera %d: %s", i, diff)
		}
	}
	events := c.Events
	events.MinArea = 0.1
	if diff := cmp.Diff(events, cameras[1].Events); diff != "" {
		t.Error(diff)
	}
	if cameras[0].Bundle != "all" || cameras[1].Bundle != "own" || c.Cameras[1].URI != "camera:0" {
		t.Errorf("%+v", c.Cameras)
	}
	if got := c.Cameras[1].Detector.Without("timesteps").Over(all); got.Timesteps != all.Timesteps || got.Threshold != 2.5 {
		t.Errorf("without timesteps: %+v", got)
	}
}

// Keys that a camera's entry leaves out have the defaults of ingest, not zeros.
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

// A folder in place of the file is a single fault, without one for each default.
func TestReadOfAFolder(t *testing.T) {
	_, err := configs.Read(t.TempDir(), nil, nil)
	if !errors.Is(err, configs.ErrInvalid) || strings.Contains(err.Error(), "provider") {
		t.Errorf("got %v", err)
	}
}

// timesteps: auto has the same form in the file, in the environment and in printed output.
func TestTimestepsAuto(t *testing.T) {
	c, err := configs.Parse([]byte("detector: {latency_budget: 120ms}\ncameras: [{name: a, uri: camera:0, detector: {timesteps: auto}}]"))
	if err != nil {
		t.Fatal(err)
	}
	if all, one := c.Detector.Timesteps, c.Pipeline().Cameras[0].Detector.Timesteps; all != 5 || one != 0 {
		t.Errorf("timesteps %d and %d, want 5 and 0", all, one)
	}
	if err := c.ApplyEnv([]string{"OODCAST_DETECTOR__TIMESTEPS=auto"}); err != nil || c.Detector.Timesteps != 0 {
		t.Errorf("from the environment: %d, %v", c.Detector.Timesteps, err)
	}
	raw, err := configs.Print(c)
	if err != nil || strings.Count(string(raw), "timesteps: auto") != 2 {
		t.Errorf("printed %v\n%s", err, raw)
	}
	if err := validate(t, compileSchema(t), raw); err != nil {
		t.Errorf("the schema rejects the printed configuration: %v", err)
	}
}

// Every input that parses can be printed and validated, and validating it twice gives the same verdict.
func FuzzParse(f *testing.F) {
	f.Add(configs.DefaultYAML())
	f.Add([]byte("cameras:\n- &a {name: a, uri: camera:0}\n- *a"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("cameras:\n- &a {<<: *a, name: a}\n- {<<: [*a, {x: 1}], detector: &b {<<: *b}}"))
	f.Add([]byte("cameras: [{detector: {timesteps: 3}, events: {hold: 1s}}]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := configs.Parse(raw)
		if _, printErr := configs.Print(c); printErr != nil {
			t.Errorf("cannot be printed: %v", printErr)
		}
		if err != nil {
			return
		}
		// Validating a host name would look it up, which takes time.
		c.Publish.URL, c.Preview.Listen, c.Preview.WebRTC.ListenUDP = "off", "off", ""
		first, second := c.Validate(), c.Validate()
		if (first == nil) != (second == nil) {
			t.Errorf("Validate() = %v, then %v", first, second)
		}
	})
}

func TestApplyEnv(t *testing.T) {
	c := configs.Default()
	err := c.ApplyEnv([]string{
		"OODCAST_PREVIEW__TOKEN=0123456789abcdef", "OODCAST_DETECTOR__TIMESTEPS=10", "OODCAST_BUNDLE=front",
		"OODCAST_ORT_LIB=/lib/x.so", "HOME=/root", "OODCAST_PREVIEW__WEBRTC__LISTEN_UDP=:9000",
		"OODCAST_DETECTOR__TIMESTEP_LIST=[0, 4]", "OODCAST_PUBLISH__SITE=",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := configs.Default()
	want.Preview.Token, want.Detector.Timesteps, want.Bundle = "0123456789abcdef", 10, "front"
	want.Preview.WebRTC.ListenUDP, want.Detector.List, want.Publish.Site = ":9000", []int{0, 4}, ""
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		"OODCAST_PREVIEW__TOKN=secretsecretsecret", "OODCAST_DETECTOR__TIMESTEPS=secret", "OODCAST_CAMERAS__NONE__URI=secret",
		"OODCAST_CAMERAS__2__URI=secret", "OODCAST_PREVIEW_TOKEN=secretsecretsecret",
	} {
		err := c.ApplyEnv([]string{bad})
		if !errors.Is(err, configs.ErrInvalid) || !strings.Contains(err.Error(), strings.Split(bad, "=")[0]) {
			t.Errorf("%s: got %v", bad, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the message contains the value: %v", err)
		}
	}
}

// Keys of a camera that are secret or specific to a machine can come from the environment.
func TestApplyEnvToOneCamera(t *testing.T) {
	c, err := configs.Parse([]byte("cameras:\n- {name: front, uri: camera:0, detector: {timesteps: 3}}\n- {name: back, uri: camera:1}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ApplyEnv([]string{
		"OODCAST_CAMERAS__FRONT__URI=rtsp://u:p@host/x", "OODCAST_CAMERAS__FRONT__DETECTOR__THRESHOLD=4",
		"OODCAST_CAMERAS__1__MAX_FPS=2",
	}); err != nil {
		t.Fatal(err)
	}
	got := c.Pipeline().Cameras[0].Detector
	if c.Cameras[0].URI != "rtsp://u:p@host/x" || got.Threshold != 4 || got.Timesteps != 3 || c.Cameras[1].URI != "camera:1" ||
		c.Cameras[1].MaxFPS != 2 {
		t.Errorf("%+v, %+v", c.Cameras, got)
	}
}

func TestPrintHidesSecrets(t *testing.T) {
	c, err := configs.Parse([]byte(`
publish: {url: "nats://hunter1@a:4222,nats://u:hunter2@b:4222", user: u, password: hunter3, token: hunter4}
preview: {token: hunter5hunter5hunter5, viewer_token: hunter8hunter8hunter8}
cameras: [{name: a, uri: "rtsp://u:hunter6@host/x?token=hunter7", detector: {timesteps: 3}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := configs.Print(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "hunter") || !strings.Contains(string(raw), "***@host") {
		t.Errorf("printed:\n%s", raw)
	}
	if c.Cameras[0].URI != "rtsp://u:hunter6@host/x?token=hunter7" {
		t.Error("printing changed the configuration")
	}
	again, err := configs.Parse(raw)
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	if got := again.Pipeline().Cameras[0].Detector; got.Timesteps != 3 {
		t.Errorf("the printed configuration reads as %+v", got)
	}
}

// Values can refer to secrets in the environment, and no fault quotes them.
func TestReferences(t *testing.T) {
	t.Setenv("CAM_PASSWORD", "hunter2")
	t.Setenv("CAM_WIDTH", "640")
	t.Setenv("EMPTY", "")
	c, err := configs.Parse([]byte(`
cameras:
- name: front
  uri: rtsp://operator:${CAM_PASSWORD}@${CAM_HOST:-192.0.2.1}/$${x}${EMPTY:-live}${EMPTY}
  width: ${CAM_WIDTH}
  detector: {threshold: "${CAM_THRESHOLD:-4.5}"}
`))
	if err != nil {
		t.Fatal(err)
	}
	cam := c.Cameras[0]
	if cam.URI != "rtsp://operator:hunter2@192.0.2.1/${x}live" || cam.Width != 640 || c.Pipeline().Cameras[0].Detector.Threshold != 4.5 {
		t.Errorf("%+v, threshold %g", cam.Config, c.Pipeline().Cameras[0].Detector.Threshold)
	}
	_, err = configs.Parse([]byte("cameras: [{name: front, width: \"${CAM_PASSWORD}\", uri: \"${NOT_SET}\"}]"))
	want := "configuration: cameras[0].width: want a whole number (line 1)\n" +
		"cameras[0].uri: environment variable NOT_SET is not set; ${NOT_SET:-…} provides a default (line 1)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestReload(t *testing.T) {
	a, err := configs.Parse(configs.DefaultYAML())
	if err != nil {
		t.Fatal(err)
	}
	if same, restart := configs.Default().Reload(a); restart != nil || !reflect.DeepEqual(same, configs.Default()) {
		t.Errorf("default.yaml is not the default: %v\n%s", restart, cmp.Diff(same, configs.Default()))
	}
	b := configs.Default()
	b.Bundle, b.Provider.Batch.Frames, b.Detector.Threshold, b.Events.Hold = "front", 4, 3, 0
	b.Detector.ROI.Include = []detector.Polygon{{{0, 0}, {1, 0}, {1, 1}}}
	b.Archive.Clip.FPS = 0
	b.Cameras = []configs.Camera{{Bundle: "x"}}
	want := b // the changes below need a restart
	b.Provider.Threads, b.Publish.Site, b.Archive.Dir, b.Preview.WebRTC.ListenUDP = 3, "yard", "x", ":8189"
	got, restart := a.Reload(b)
	if diff := cmp.Diff(want, got, overrides()); diff != "" {
		t.Error(diff)
	}
	keys := []string{"provider.threads", "publish.site", "archive.dir", "preview.webrtc.listen_udp"}
	if diff := cmp.Diff(keys, restart); diff != "" {
		t.Error(diff)
	}
}

// overrides compares the overrides of cameras by their effect on an empty section.
func overrides() cmp.Options {
	return cmp.Options{
		cmp.Comparer(func(a, b configs.Override[detector.Config]) bool {
			return reflect.DeepEqual(a.Over(detector.Config{}), b.Over(detector.Config{}))
		}),
		cmp.Comparer(func(a, b configs.Override[events.Config]) bool {
			return reflect.DeepEqual(a.Over(events.Config{}), b.Over(events.Config{}))
		}),
	}
}

// Keys that begin with x- hold anchors, at the top of the file only.
func TestKeysForAnchors(t *testing.T) {
	c, err := configs.Parse([]byte("x-common: &common {max_fps: 3, loop: true}\nx-list: [1, 2]\nx-text: any\n" +
		"cameras:\n- {<<: *common, name: a, uri: a.mp4}\n- {<<: *common, name: b, uri: b.mp4, max_fps: 5}\n"))
	if err == nil {
		err = c.Validate()
	}
	if err != nil || c.Cameras[0].MaxFPS != 3 || c.Cameras[1].MaxFPS != 5 || !c.Cameras[1].Loop {
		t.Errorf("%+v, %v", c.Cameras, err)
	}
	for _, yaml := range []string{"detector: {x-common: 1}", "cameras:\n- {name: a, uri: a, x-common: 1}", "common: {loop: true}", "X-common: 1"} {
		if _, err := configs.Parse([]byte(yaml)); err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%s: %v, want an unknown key", yaml, err)
		}
	}
	schema, err := configs.Schema()
	if err != nil || !strings.Contains(string(schema), `"^x-"`) {
		t.Errorf("the schema does not know x-: %v", err)
	}
}
