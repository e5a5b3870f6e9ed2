package preview

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// certificate is the server's certificate. It is read again when its files change, so that a renewal needs no restart.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu struct {
		sync.Mutex
		cert  *tls.Certificate
		files [2]os.FileInfo // as they were read, or tried
	}
}

// newCertificate reads a certificate and its key.
func newCertificate(cfg Config, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: cfg.CertFile, keyFile: cfg.KeyFile, log: log}
	c.mu.files = c.stat()
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("preview.cert_file, preview.key_file: %w", err)
	}
	c.mu.cert = &cert
	return c, nil
}

func (c *certificate) stat() (files [2]os.FileInfo) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			files[i] = info
		}
	}
	return files
}

// get returns the certificate for a handshake. While the files do not hold a pair, the one before stays in use.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	files := c.stat()
	c.mu.Lock()
	defer c.mu.Unlock()
	if same(files[0], c.mu.files[0]) && same(files[1], c.mu.files[1]) {
		return c.mu.cert, nil
	}
	c.mu.files = files
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.log.Warn("the certificate of the page is not read again", "err", err)
		return c.mu.cert, nil
	}
	c.mu.cert = &cert
	c.log.Info("the certificate of the page was read again")
	return c.mu.cert, nil
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
