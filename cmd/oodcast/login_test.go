package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
)

// Whatever a password contains, a camera delivers when the password is put into the address by a variable, and when it is in
// the camera's own keys. No message shows it.
func TestLogins(t *testing.T) {
	var printable strings.Builder
	for c := byte(' '); c <= '~'; c++ {
		printable.WriteByte(c)
	}
	passwords := []string{
		printable.String(), "pa#ss", "pa/ss", "pa?ss", "50%25", "a%41b", "p@ss:w", "a b", "ä€", "日本語\u00a0пароль", `a"b'c#d`, "${HOME}", "#", ":",
	}
	for i, password := range passwords {
		t.Setenv(fmt.Sprintf("LOGIN_%d", i), password)
		t.Setenv(fmt.Sprintf("LOGIN_BOTH_%d", i), "admin:"+password)
	}
	for i, password := range passwords {
		for _, digest := range []bool{false, true} {
			server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{User: "admin", Password: password, Digest: digest})
			_, host, _ := strings.Cut(server.URL()[strings.LastIndex(server.URL(), "@"):], "@")
			for _, keys := range []string{
				fmt.Sprintf("uri: 'rtsp://admin:${LOGIN_%d}@%s'", i, host),
				fmt.Sprintf("uri: 'rtsp://${LOGIN_BOTH_%d}@%s'", i, host),
				fmt.Sprintf("uri: 'rtsp://%s', user: admin, password: '${LOGIN_%d}'", host, i),
			} {
				cfg, err := configs.Parse([]byte("cameras:\n- {name: front, " + keys + "}\n"))
				if err == nil {
					err = cfg.Validate()
				}
				if err != nil {
					t.Fatalf("%s: %v", keys, err)
				}
				if err := oneFrame(t, cfg.Pipeline().Cameras[0].Source); err != nil {
					t.Errorf("%s, password %q, digest %v: %v", keys, password, digest, err)
				}
				printed, err := configs.Print(cfg)
				shown := string(printed) + ingest.RedactURI(cfg.Pipeline().Cameras[0].Source.URI)
				if err != nil || len(password) > 4 && (strings.Contains(shown, password) ||
					strings.Contains(shown, ingest.EscapeLogin(password, true))) {
					t.Errorf("password %q is shown in %s, %v", password, shown, err)
				}
			}
		}
	}
}

// oneFrame opens a source and waits for a frame.
func oneFrame(t *testing.T, cfg ingest.Config) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	src, err := source.New(cfg, ingest.NewPool(3), source.Settings{})
	if err != nil {
		return err
	}
	n := 0
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		f.Release()
		n++
		stop()
		return nil
	})
	if n == 0 && err == nil {
		err = context.DeadlineExceeded
	}
	return err
}

// The login in a file is meant for the file's camera, not for the source of a flag.
func TestSourceFlagDoesNotInheritALogin(t *testing.T) {
	site := write(t, t.TempDir()+"/site.yaml", "cameras:\n- {name: front, uri: rtsp://cam/1, user: operator, password: hunter2, max_fps: 3}\n")
	cfg, err := (&RunCmd{Config: site, Source: []string{"rtsp://elsewhere/1"}}).load()
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Pipeline().Cameras[0].Source; got.URI != "rtsp://elsewhere/1" || got.MaxFPS != 3 {
		t.Errorf("the source is %q with max_fps %v", got.URI, got.MaxFPS)
	}
}
