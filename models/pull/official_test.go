package pull_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The hub's own program gets from the test's server what this package gets, by the same paths: the server speaks as the hub does.
func TestOfficialClient(t *testing.T) {
	python := os.Getenv("PARITY_PYTHON")
	if python == "" {
		t.Skip("SKIPPED: PARITY_PYTHON is not set, the test's server was not compared with the program huggingface_hub")
	}
	h := newHub(t)
	const program = `
import hashlib, sys
from huggingface_hub import HfApi, hf_hub_download
info = HfApi().model_info("acme/net", revision="main", files_metadata=True)
large = [s for s in info.siblings if s.lfs]
print(info.sha, large[0].rfilename, large[0].lfs.sha256, large[0].size)
for name in ["model.safetensors", "README.md"]:
    print(hashlib.sha256(open(hf_hub_download("acme/net", name), "rb").read()).hexdigest())
`
	cmd := exec.CommandContext(t.Context(), python, "-c", program)
	cmd.Env = append(os.Environ(), "HF_ENDPOINT="+h.URL, "HF_HOME="+t.TempDir(), "HF_TOKEN=hf_secret", "HF_HUB_OFFLINE=0", "HF_HUB_DISABLE_XET=1")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		_ = errors.As(err, &exit)
		t.Fatalf("%v: %+v", err, exit)
	}
	body := h.files["model.safetensors"]
	want := strings.Join([]string{commit + " model.safetensors " + sha(body) + " 4096", sha(body), sha(h.files["README.md"])}, "\n") + "\n"
	if string(out) != want {
		t.Errorf("the program wrote %q, want %q", out, want)
	}
	paths := map[string]bool{}
	for _, r := range h.requests("") {
		paths[r.path] = true
	}
	h.seen = nil
	if _, err := h.puller(t, t.TempDir(), nil).Pull(t.Context(), reference(t, "hf:"+repository+":model.safetensors")); err != nil {
		t.Fatal(err)
	}
	for _, r := range h.requests("") {
		if known := strings.ReplaceAll(r.path, commit, "main"); !strings.HasSuffix(r.path, ".json") && !paths[r.path] && !paths[known] {
			t.Errorf("this package asks for %s, the program for %v", r.path, paths)
		}
	}
}
