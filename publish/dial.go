package publish

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/nats-io/nats.go"
)

// Dial connects another program to the server that c describes, with c's credentials and certificates. An embedded server is
// reached where it listens. Without credentials, Dial logs in to the embedded server on this machine with a password from its
// state directory, if the caller may read it. Errors do not contain credentials.
func Dial(c Config, opts ...nats.Option) (*nats.Conn, error) {
	url := c.URL
	auth, err := c.authenticate()
	if err != nil {
		return nil, err
	}
	anonymous := c.User == "" && c.Token == "" && c.NKeyFile == "" && c.CredsFile == "" && c.CertFile == ""
	if c.Embedded() {
		host, port, err := c.EmbeddedAddr()
		if err != nil {
			return nil, fmt.Errorf("nats %s: %w", redact(url), err)
		}
		url = "nats://" + net.JoinHostPort(host, strconv.Itoa(port))
		target := url
		if port == 0 {
			target = ""
		}
		if running, login, ok := c.findLogin(target); ok {
			url = running
			if login != nil && anonymous {
				auth = append(auth, login)
			}
		}
	} else if _, login, ok := c.findLogin(url); ok && login != nil && anonymous {
		auth = append(auth, login)
	}
	nc, err := nats.Connect(url, append(opts, auth...)...)
	if err != nil {
		explained := c.explain(err)
		if _, _, local := localAddress(url); errors.Is(err, nats.ErrAuthorization) && anonymous && local {
			return nil, fmt.Errorf("%w; %s", explained, c.howToLogIn())
		}
		return nil, explained
	}
	return nc, nil
}

// Dial opens a further connection to the server of p, with the rights of p. It fails before Ready if the server is embedded.
func (p *Publisher) Dial(opts ...nats.Option) (*nats.Conn, error) {
	if !p.cfg.Embedded() {
		return Dial(p.cfg, opts...)
	}
	srv := p.server.Load()
	if srv == nil {
		return nil, errors.New("the embedded server is not ready")
	}
	nc, err := nats.Connect(nats.DefaultURL, append(opts, srv.inProcess(p.cfg)...)...)
	if err != nil {
		return nil, p.cfg.explain(err)
	}
	return nc, nil
}
