package publish

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// connect returns a connection that reconnects automatically. When it is permanently closed, closed receives the reason.
func (p *Publisher) connect(srv *embedded, closed chan<- error) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("oodcast"),
		nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1), // late maps are worthless, and events have their own queue
		nats.Timeout(2 * time.Second), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(2 * time.Second),
		nats.ConnectHandler(func(*nats.Conn) { p.connected() }),
		nats.ReconnectHandler(func(*nats.Conn) { p.connected() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { p.disconnected(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { p.disconnected(err) }),
		nats.ClosedHandler(func(c *nats.Conn) {
			err := c.LastError()
			if err == nil {
				err = nats.ErrConnectionClosed
			}
			closed <- err
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { p.faults.Warn(p.log, "nats", err) }),
	}
	addr := p.cfg.URL
	auth, err := p.cfg.authenticate()
	if err != nil {
		return nil, err
	}
	if srv != nil {
		addr, auth = nats.DefaultURL, srv.inProcess(p.cfg) // not dialled
	}
	nc, err := nats.Connect(addr, append(opts, auth...)...)
	if err != nil {
		return nil, p.cfg.explain(err)
	}
	return nc, nil
}

// authenticate returns the options with the credentials and certificates.
func (c Config) authenticate() ([]nats.Option, error) {
	var opts []nats.Option
	if c.User != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	if c.NKeyFile != "" {
		o, err := nats.NkeyOptionFromSeed(c.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("publish.nkey_file %q: no user NKey seed in it", c.NKeyFile)
		}
		opts = append(opts, o)
	}
	if c.CredsFile != "" {
		opts = append(opts, nats.UserCredentials(c.CredsFile))
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("publish.ca_file: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("publish.ca_file %q: no certificate in it, want PEM", c.CAFile)
		}
		opts = append(opts, nats.RootCAs(c.CAFile))
	}
	if c.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {
			return nil, fmt.Errorf("publish.cert_file %q and publish.key_file %q: %w", c.CertFile, c.KeyFile, err)
		}
		opts = append(opts, nats.ClientCert(c.CertFile, c.KeyFile))
	}
	return opts, nil
}

// connected records a new connection. The states are sent again, because the server may have lost them.
func (p *Publisher) connected() {
	p.metrics.connected.Set(1)
	p.online.Store(true)
	if p.connections.Add(1) > 1 {
		p.metrics.reconnects.Inc()
		p.faults.Forget()
	}
	p.log.Info("nats connected", "url", redact(p.cfg.URL))
	p.StatusChanged()
}

// disconnected records a broken connection or a failed attempt to connect.
func (p *Publisher) disconnected(err error) {
	p.metrics.connected.Set(0)
	p.online.Store(false)
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		p.faults.Warn(p.log, "nats disconnected", p.cfg.explain(err))
	}
}

// watchConnection waits until the connection is closed. Before the first successful connection, it also returns an error that
// retrying cannot fix: wrong credentials, or certificates that one side does not accept. After it, such errors are retried,
// because servers and credentials are replaced while cameras run.
func (p *Publisher) watchConnection(ctx context.Context, nc *nats.Conn, closed chan error) error {
	tick := time.NewTicker(changeInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-closed:
			closed <- err // Run waits for it too
			return p.cfg.explain(err)
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := nc.LastError(); err != nil && !nc.IsConnected() {
			if p.connections.Load() == 0 && advice(err) != "" {
				return p.cfg.explain(err)
			}
			p.disconnected(err)
		}
	}
}

// explain adds the server's address and advice for the operator to err, in one line without secrets.
func (c Config) explain(err error) error {
	if a := advice(err); a != "" {
		return fmt.Errorf("nats %s: %w: %s", redact(c.URL), err, a)
	}
	return fmt.Errorf("nats %s: %w", redact(c.URL), err)
}

// advice returns what the operator can do about err, or "" for an error that may pass without intervention.
func advice(err error) string {
	var untrusted *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired):
		return "check publish.user and password, token, nkey_file or creds_file"
	case errors.As(err, &untrusted):
		return "the server's certificate is not trusted: check publish.ca_file"
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		return "the server does not accept our certificate: check publish.cert_file and key_file"
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return "only one side uses TLS: check the scheme (tls:// or nats://) and publish.ca_file"
	case errors.Is(err, nats.ErrNkeysNotSupported), strings.Contains(err.Error(), "nkeys:"):
		return "check publish.nkey_file or creds_file"
	default:
		return ""
	}
}

// redact removes the credentials from server addresses, which are separated by commas.
func redact(addrs string) string {
	list := strings.Split(addrs, ",")
	for i, one := range list {
		u, err := url.Parse(strings.TrimSpace(one))
		switch {
		case err != nil:
			list[i] = "(invalid address)"
		case u.User != nil:
			u.User = nil
			list[i] = strings.Replace(u.String(), "://", "://***@", 1)
		default:
			list[i] = u.String()
		}
	}
	return strings.Join(list, ",")
}
