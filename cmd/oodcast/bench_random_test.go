package main

import (
	"strings"
	"testing"
)

// A network without files is measured by name, and its report says what it is; a name alone, or an unknown one, is wrong usage.
func TestBenchRandom(t *testing.T) {
	out := must(t, "bench", "--net", "efficientnet-lite0", "--random", "--size", "160x96", "--frames", "1", "--timesteps", "1")
	for _, want := range []string{"random weights of efficientnet-lite0, 160×96", "encoder: 3.0 M parameters", "multiply-adds a frame", "peak resident memory"} {
		if !strings.Contains(out, want) {
			t.Errorf("bench wrote %q, want %q", out, want)
		}
	}
	for want, args := range map[string][]string{
		"--net and --random belong together": {"bench", "--net", "setr-l"},
		"no such network: \"vgg\"":           {"bench", "--net", "vgg", "--random"},
	} {
		if code, _, stderr := oodcast(t, args...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
}
