package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// run, config check and doctor warn of a configuration that others may read or change, and work nevertheless.
func TestPermissionsOfTheConfiguration(t *testing.T) {
	site := write(t, filepath.Join(t.TempDir(), "site.yaml"), "publish: {url: \"off\"}\npreview: {listen: \"127.0.0.1:0\", token: 0123456789abcdefX}\n"+
		"cameras:\n- {name: a, uri: "+demoClip(t)+", loop: true}\n")
	for mode, want := range map[os.FileMode]string{0o644: "may read", 0o666: "may change", 0o640: ""} {
		if err := os.Chmod(site, mode); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"config", "check", site}, {"doctor", "--config", site}, {"run", "--config", site, "--max-frames", "1"},
		} {
			code, stdout, stderr := oodcast(t, args...)
			if all := stdout + stderr; code != exitDone || want != "" && !strings.Contains(all, want) ||
				want == "" && strings.Contains(all, "permissions") || strings.Contains(all, "0123456789abcdefX") {
				t.Errorf("%v with mode %v: exit code %d, want %q:\n%s", args, mode, code, want, all)
			}
		}
	}
}
