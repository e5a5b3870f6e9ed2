package publish

import (
	"fmt"
	"net"
	"strconv"

	"github.com/nats-io/nats.go"
)

// Dial connects another program to the server that c describes, with c's credentials and certificates. An embedded server is
// reached at its listening address. Errors do not contain credentials.
func Dial(c Config, opts ...nats.Option) (*nats.Conn, error) {
	url := c.URL
	if c.Embedded() {
		host, port, err := c.EmbeddedAddr()
		if err != nil {
			return nil, fmt.Errorf("nats %s: %w", redact(url), err)
		}
		url = "nats://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	auth, err := c.authenticate()
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(url, append(opts, auth...)...)
	if err != nil {
		return nil, c.explain(err)
	}
	return nc, nil
}
