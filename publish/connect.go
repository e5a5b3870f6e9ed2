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

// connect returns a connection that finds its way back by itself. closed receives why it ended for good.
func (p *Publisher) connect(srv *embedded, closed chan<- error) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("oodcast"),
		nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		nats.ReconnectBufSize(-1), // a map that is late is worthless; events have their own queue
		nats.Timeout(2 * time.Second), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(2 * time.Second),
		nats.ConnectHandler(func(*nats.Conn) { p.connected() }),
		nats.ReconnectHandler(func(*nats.Conn) { p.connected() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { p.away(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { p.away(err) }),
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
	if srv != nil {
		addr = nats.DefaultURL // not dialled
		opts = append(opts, nats.InProcessServer(srv.srv))
	}
	auth, err := p.cfg.authenticate()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(addr, append(opts, auth...)...)
	if err != nil {
		return nil, p.cfg.refused(err)
	}
	return nc, nil
}

// authenticate returns what shows a server who we are.
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
			return nil, fmt.Errorf("publish.nkey_file %q: no NKey seed of a user in it", c.NKeyFile)
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

// connected takes note of a new connection: everything that the server may have forgotten is told again.
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

// away takes note of a connection that broke off, or could not be made.
func (p *Publisher) away(err error) {
	p.metrics.connected.Set(0)
	p.online.Store(false)
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		p.faults.Warn(p.log, "nats away", p.cfg.refused(err))
	}
}

// guard waits for the end of the connection. Before the first success it also ends with a refusal that trying again
// will not change: wrong credentials, or certificates that one side does not accept. Later on those are waited out,
// because servers and credentials are exchanged while cameras run.
func (p *Publisher) guard(ctx context.Context, nc *nats.Conn, closed chan error) error {
	tick := time.NewTicker(changeInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-closed:
			closed <- err // for Run, which waits for it too
			return p.cfg.refused(err)
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := nc.LastError(); err != nil && !nc.IsConnected() {
			if p.connections.Load() == 0 && advice(err) != "" {
				return p.cfg.refused(err)
			}
			p.away(err)
		}
	}
}

// refused says in one line, without secrets, which server said no and what an operator can do about it.
func (c Config) refused(err error) error {
	if a := advice(err); a != "" {
		return fmt.Errorf("nats %s: %w: %s", redact(c.URL), err, a)
	}
	return fmt.Errorf("nats %s: %w", redact(c.URL), err)
}

// advice says what would make a server accept us, or "" for errors that may pass by themselves.
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
		return "one side wants TLS and the other does not: check the scheme (tls:// or nats://) and publish.ca_file"
	case errors.Is(err, nats.ErrNkeysNotSupported), strings.Contains(err.Error(), "nkeys:"):
		return "check publish.nkey_file or creds_file"
	default:
		return ""
	}
}

// redact takes the credentials out of server addresses, which may be several with commas.
func redact(addrs string) string {
	list := strings.Split(addrs, ",")
	for i, one := range list {
		u, err := url.Parse(strings.TrimSpace(one))
		switch {
		case err != nil:
			list[i] = "an address that is no URL"
		case u.User != nil:
			u.User = nil
			list[i] = strings.Replace(u.String(), "://", "://***@", 1)
		default:
			list[i] = u.String()
		}
	}
	return strings.Join(list, ",")
}
