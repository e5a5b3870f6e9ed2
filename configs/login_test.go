package configs_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/configs"
)

// A variable in the user part of an address, or as the value of a parameter, is encoded; everywhere else it is taken as it is.
func TestVariablesInAddresses(t *testing.T) {
	t.Setenv("PW", "a#/?%@: b")
	t.Setenv("BOTH", "admin:a#:b")
	t.Setenv("HOSTPORT", "cam:554")
	t.Setenv("CAMERA_PATH", "live/1?x=2")
	t.Setenv("ADDRESS", "rtsp://u:p%23@cam/live")
	for _, tt := range []struct{ in, want string }{
		{"rtsp://admin:${PW}@cam/live", "rtsp://admin:a%23%2F%3F%25%40%3A%20b@cam/live"},
		{"rtsp://${BOTH}@cam/live", "rtsp://admin:a%23%3Ab@cam/live"},
		{"rtsp://${BOTH}:${PW}@cam/live", "rtsp://admin%3Aa%23%3Ab:a%23%2F%3F%25%40%3A%20b@cam/live"},
		{"rtsp://x${BOTH}@cam/live", "rtsp://xadmin%3Aa%23%3Ab@cam/live"},
		{"rtsp://u:${UNSET:-p#/w}@${HOSTPORT}/${CAMERA_PATH}", "rtsp://u:p%23%2Fw@cam:554/live/1?x=2"},
		{"rtsp://u:p@ss@${HOSTPORT}/x@${CAMERA_PATH}", "rtsp://u:p@ss@cam:554/x@live/1?x=2"},
		{"${ADDRESS}", "rtsp://u:p%23@cam/live"},
		{"http://cam/x?user=u&pwd=${PW}&w=1", "http://cam/x?user=u&pwd=a%23%2F%3F%25%40%3A%20b&w=1"},
		{"http://cam/${CAMERA_PATH}&y=${HOSTPORT}", "http://cam/live/1?x=2&y=cam:554"},
		{"gst:rtspsrc location=rtsp://u:${PW}@cam/1 user-pw=${HOSTPORT} ! appsink", "gst:rtspsrc location=rtsp://u:a%23%2F%3F%25%40%3A%20b@cam/1 user-pw=cam:554 ! appsink"},
		{"rtsp://u:$${PW}@cam/1", "rtsp://u:${PW}@cam/1"},
	} {
		c, err := configs.Parse([]byte("cameras:\n- {name: a, uri: '" + tt.in + "'}\n"))
		if err != nil || c.Cameras[0].URI != tt.want {
			t.Errorf("%s becomes %v, %v, want %s", tt.in, c.Cameras, err, tt.want)
		}
	}
}

// Every printable character of a password reaches a NATS server.
func TestPasswordInTheAddressOfNATS(t *testing.T) {
	var all strings.Builder
	for c := ' '; c <= '~'; c++ {
		all.WriteRune(c)
	}
	all.WriteString("ä€日")
	t.Setenv("PW", all.String())
	c, err := configs.Parse([]byte("publish: {url: 'nats://plant:${PW}@a:4222, tls://plant:${PW}@b:4222'}\n"))
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	servers := strings.Split(c.Publish.URL, ",")
	if len(servers) != 2 {
		t.Fatalf("%d servers", len(servers))
	}
	for _, server := range servers {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil {
			t.Fatal("the address does not parse") // the error would contain it
		}
		if got, _ := u.User.Password(); got != all.String() {
			t.Errorf("password %q, want %q", got, all.String())
		}
	}
}

// Badly typed addresses are faults, with a message that helps and without the password.
func TestBadlyTypedAddressesAreFaults(t *testing.T) {
	for _, tt := range []struct{ yaml, want string }{
		{"cameras:\n- {name: a, uri: 'rtsp://admin:sec#ret@cam/1'}", "cameras[0].uri: "},
		{"cameras:\n- {name: a, uri: rtsp://h:abc/x}", "cameras[0].uri: "},
		{"cameras:\n- {name: a, uri: rtsp://u:secret #w@h/s\n  }", "quote the address"},
		{"publish: {url: 'nats://u:sec#ret@h:4222'}", "publish.url: the address has a #"},
		{"publish: {url: 'nats://h:4222,nats://u:sec%ret@h:4222'}", "publish.url: the address has a %"},
		{"publish: {url: 'nats://u:sec<ret@h:4222'}", "publish.url: the address has characters"},
		{"cameras:\n- {name: a, uri: rtsp://cam/1, password: secret}", "cameras[0].password: set, want user too"},
		{"cameras:\n- {name: a, uri: 'rtsp://u:secret@cam/1', user: u, password: secret}", "cameras[0].user: set, but the address has"},
		{"cameras:\n- {name: a, uri: clip.mp4, user: u, password: secret}", "cameras[0].user: set, but only"},
		{"cameras:\n- {name: a, uri: rtsp://cam/1, user: u, password: '" + strings.Repeat("secret", 22) + "'}", "cameras[0].uri: "},
	} {
		c, err := configs.Parse([]byte(tt.yaml))
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "sec<") || strings.Contains(err.Error(), "ecret") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one fault with %q", tt.yaml, err, tt.want)
		}
	}
}

// The keys are hidden when printed, can come from the environment, and are in the schema.
func TestLoginKeys(t *testing.T) {
	c, err := configs.Parse([]byte("cameras:\n- {name: front, uri: rtsp://cam/1, user: operator, password: 0123}\n"))
	if err == nil {
		err = c.ApplyEnv([]string{"OODCAST_CAMERAS__FRONT__PASSWORD=hunter#2"})
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Pipeline().Cameras[0].Source.URI; got != "rtsp://operator:hunter%232@cam/1" {
		t.Errorf("address %q", got)
	}
	printed, err := configs.Print(c)
	if err != nil || strings.Contains(string(printed), "hunter") || strings.Contains(string(printed), "operator") ||
		!strings.Contains(string(printed), "password: '***'") {
		t.Errorf("%s, %v", printed, err)
	}
	schema, err := configs.Schema()
	if err != nil || !strings.Contains(string(schema), "login of the camera") {
		t.Errorf("the schema lacks the login: %v", err)
	}
}

// Doctor does not call an address right that it cannot read.
func TestProbeOfUnreadableAddresses(t *testing.T) {
	for _, uri := range []string{"rtsp://admin:pa#ss@127.0.0.1:1/live", "rtsp://u:p", "rtsp://h:abc/x", "rtsp://a%zz@h/x"} {
		c := configs.Default()
		c.Preview.Listen, c.Publish.URL = "off", "nats://u:pa#ss@127.0.0.1:1"
		cam := configs.NewCamera()
		cam.URI = uri
		c.Cameras = []configs.Camera{cam}
		for _, f := range c.Probe() {
			if f.What != "publish.state_dir" && f.Verdict == configs.OK || strings.Contains(f.Detail, "pa#ss") {
				t.Errorf("%s: %+v", uri, f)
			}
		}
	}
}
