package pull

import (
	"crypto/x509"
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// TrustForTest lets clients trust a test server's certificate until the returned function is called.
func TrustForTest(c *x509.Certificate) func() {
	t := http.DefaultTransport.(*http.Transport)
	old := t.TLSClientConfig
	clone := old.Clone()
	clone.RootCAs = x509.NewCertPool()
	clone.RootCAs.AddCert(c)
	t.TLSClientConfig = clone
	return func() { t.TLSClientConfig = old }
}

// A listing and an index, whatever they say, name files below the snapshot only.
func FuzzListing(f *testing.F) {
	f.Add([]byte(`{"sha":"0123456789abcdef0123456789abcdef01234567","siblings":[{"rfilename":"model.onnx","size":3,"lfs":{"sha256":"x","size":3}},{"rfilename":"model.onnx_data"}]}`),
		[]byte(`{"weight_map":{"a":"b.safetensors"}}`))
	f.Fuzz(func(t *testing.T, list, index []byte) {
		if _, names, err := checkpoint.ParseIndex(index); err == nil {
			for _, n := range names {
				if strings.Contains(n, "/") || n == ".." || n == "" {
					t.Errorf("index names %q", n)
				}
			}
		}
		h := repo{}
		if h.parse(list) != nil {
			return
		}
		if main, err := h.weights(); err == nil {
			for _, n := range append(h.beside(main), main) {
				if l, ok := h.has(n); ok && validFile(n) && (path.IsAbs(n) || strings.HasPrefix(path.Clean(n), "..") || l.want("").size < -1) {
					t.Errorf("listing names %q", n)
				}
			}
		}
	})
}
