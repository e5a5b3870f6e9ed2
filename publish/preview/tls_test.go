package preview_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// writeCertificate writes a certificate with a serial number and its key.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "oodcast"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTLS serves everything over TLS, and takes a renewed certificate without a restart. A half-written one is not taken.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig()
	cfg.Token = testToken
	cfg.CertFile, cfg.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cfg.CertFile, cfg.KeyFile, 1)
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	if !strings.HasPrefix(s.URL(), "https://127.0.0.1:") {
		t.Fatalf("URL() = %s", s.URL())
	}
	get := func() (serial int64, proto string, cookie string) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		}}
		r, err := client.Post(s.URL()+"api/v1/login", "application/json", strings.NewReader(`{"token":"`+testToken+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		return r.TLS.PeerCertificates[0].SerialNumber.Int64(), r.Proto, r.Header.Get("Set-Cookie")
	}
	serial, proto, cookie := get()
	if serial != 1 || proto != "HTTP/2.0" || !strings.Contains(cookie, "; Secure") {
		t.Errorf("certificate %d, %s, cookie %q", serial, proto, cookie)
	}
	good, err := os.ReadFile(cfg.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cfg.CertFile, good[:len(good)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if serial, _, _ := get(); serial != 1 {
		t.Errorf("certificate %d while the file is half-written, want the one before", serial)
	}
	writeCertificate(t, cfg.CertFile, cfg.KeyFile, 2)
	if serial, _, _ := get(); serial != 2 {
		t.Errorf("certificate %d after a renewal, want 2", serial)
	}
}

func TestTLSWithoutFiles(t *testing.T) {
	cfg := testConfig()
	cfg.CertFile, cfg.KeyFile = filepath.Join(t.TempDir(), "cert.pem"), "key.pem"
	s, err := preview.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "preview.cert_file") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("Run() = %v", err)
	}
}
