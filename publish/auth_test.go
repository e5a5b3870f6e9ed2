package publish_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

// syncBuffer collects a log that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// option makes a publisher log all levels to b.
func (b *syncBuffer) option() publish.Option {
	return publish.WithLogger(slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// authCase is a server that requires authentication, with right and wrong credentials.
type authCase struct {
	options server.Options
	scheme  string                // default nats
	right   func(*publish.Config) // sets the right credentials
	wrong   func(*publish.Config) // sets wrong credentials
	refusal string                // part of the error for wrong credentials
	secrets []string              // must not appear in the log or in an error
}

// TestAuth connects with every kind of right credentials. With wrong ones it gets an error of one line without secrets.
func TestAuth(t *testing.T) {
	const credentials = ": check publish.user and password, token, nkey_file or creds_file"
	for name, newCase := range map[string]func(*testing.T) authCase{
		"user": func(*testing.T) authCase {
			return authCase{
				options: server.Options{Username: "me", Password: "s3cret-password"},
				right:   func(c *publish.Config) { c.User, c.Password = "me", "s3cret-password" },
				wrong:   func(c *publish.Config) { c.User, c.Password = "me", "wr0ng-password" },
				refusal: "nats: Authorization Violation" + credentials,
				secrets: []string{"s3cret-password", "wr0ng-password"},
			}
		},
		"user in the address": func(*testing.T) authCase {
			return authCase{
				options: server.Options{Username: "me", Password: "s3cret-password"},
				right:   func(c *publish.Config) { c.URL = strings.Replace(c.URL, "://", "://me:s3cret-password@", 1) },
				wrong:   func(c *publish.Config) { c.URL = strings.Replace(c.URL, "://", "://me:wr0ng-password@", 1) },
				refusal: "nats: Authorization Violation" + credentials,
				secrets: []string{"s3cret-password", "wr0ng-password"},
			}
		},
		"token": func(*testing.T) authCase {
			return authCase{
				options: server.Options{Authorization: "s3same"},
				right:   func(c *publish.Config) { c.Token = "s3same" },
				wrong:   func(c *publish.Config) { c.Token = "0pen" },
				refusal: "nats: Authorization Violation" + credentials,
				secrets: []string{"s3same", "0pen"},
			}
		},
		"nkey":        nkeyCase,
		"credentials": credentialsCase,
		"tls": func(t *testing.T) authCase {
			ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
			return authCase{
				options: server.Options{TLS: true, TLSConfig: &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "server").pair}}},
				scheme:  "tls",
				right:   func(c *publish.Config) { c.CAFile = ours.file },
				wrong:   func(c *publish.Config) { c.CAFile = theirs.file },
				refusal: "certificate signed by unknown authority",
			}
		},
		"mutual tls": func(t *testing.T) authCase {
			ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
			good, bad := ours.issue(t, "camera"), theirs.issue(t, "camera")
			return authCase{
				options: server.Options{TLS: true, TLSConfig: &tls.Config{
					Certificates: []tls.Certificate{ours.issue(t, "server").pair},
					ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ours.pool(),
				}},
				scheme:  "tls",
				right:   func(c *publish.Config) { c.CAFile, c.CertFile, c.KeyFile = ours.file, good.cert, good.key },
				wrong:   func(c *publish.Config) { c.CAFile, c.CertFile, c.KeyFile = ours.file, bad.cert, bad.key },
				refusal: "the server does not accept our certificate: check publish.cert_file and key_file",
				secrets: []string{"PRIVATE KEY"},
			}
		},
	} {
		t.Run(name, func(t *testing.T) { newCase(t).run(t) })
	}
}

func (c authCase) run(t *testing.T) {
	c.options.Port = -1
	s := runServer(t, c.options)
	cfg := remote(t, s.ClientURL())
	if c.scheme != "" {
		cfg.URL = c.scheme + "://" + s.Addr().String()
	}
	plain := cfg.URL
	var log syncBuffer
	right, wrong := cfg, cfg
	c.right(&right)
	c.wrong(&wrong)
	wrong.StateDir = t.TempDir()

	p := start(t, right, []schema.Camera{newCamera("front")}, log.option())
	sub := subscribe(t, dial(t, right), "oodcast.v1.default.front.map")
	p.Map(testMap("front", 0, 4, 4))
	next(t, sub)

	err := runRefused(t, wrong, &log)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if !strings.HasPrefix(text, "nats "+strings.Replace(plain, "://", redactedSeparator(wrong.URL), 1)+": ") ||
		!strings.Contains(text, c.refusal) || strings.Contains(text, "\n") {
		t.Errorf("Run() = %q, want nats %s: … %s, in one line", text, plain, c.refusal)
	}
	for _, secret := range c.secrets {
		if strings.Contains(text, secret) || strings.Contains(log.String(), secret) {
			t.Errorf("%q appears in the error or the log:\n%s\n%s", secret, text, log.String())
		}
	}
	if log.String() == "" {
		t.Error("nothing was logged")
	}
}

// dial connects with the same settings as the publisher.
func dial(t *testing.T, cfg publish.Config) *nats.Conn {
	t.Helper()
	nc, err := publish.Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// redactedSeparator returns the separator of an address after its credentials were removed.
func redactedSeparator(url string) string {
	if strings.Contains(url, "@") {
		return "://***@"
	}
	return "://"
}

// runRefused runs a publisher that must end with an error.
func runRefused(t *testing.T, cfg publish.Config, log *syncBuffer) error {
	t.Helper()
	p, err := publish.New(cfg, nil, log.option())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return p.Run(ctx)
}

func nkeyCase(t *testing.T) authCase {
	good, goodSeed := newKey(t)
	_, badSeed := newKey(t)
	goodFile, badFile := write(t, "good.nk", goodSeed), write(t, "bad.nk", badSeed)
	return authCase{
		options: server.Options{Nkeys: []*server.NkeyUser{{Nkey: good}}},
		right:   func(c *publish.Config) { c.NKeyFile = goodFile },
		wrong:   func(c *publish.Config) { c.NKeyFile = badFile },
		refusal: "nats: Authorization Violation",
		secrets: []string{string(goodSeed), string(badSeed)},
	}
}

// newKey returns the public key and the seed of a new user.
func newKey(t *testing.T) (public string, seed []byte) {
	t.Helper()
	k, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = k.PublicKey(); err != nil {
		t.Fatal(err)
	}
	if seed, err = k.Seed(); err != nil {
		t.Fatal(err)
	}
	return public, seed
}

// credentialsCase is an operator with an account; only users whose credentials the account signed may connect.
func credentialsCase(t *testing.T) authCase {
	operator, account, stranger := newSigner(t, nkeys.CreateOperator), newSigner(t, nkeys.CreateAccount), newSigner(t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(account.public)
	token, err := claims.Encode(operator.pair)
	if err != nil {
		t.Fatal(err)
	}
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(account.public, token); err != nil {
		t.Fatal(err)
	}
	good, goodSeed := account.user(t)
	bad, badSeed := stranger.user(t)
	return authCase{
		options: server.Options{
			TrustedOperators: []*jwt.OperatorClaims{jwt.NewOperatorClaims(operator.public)}, AccountResolver: resolver,
		},
		right:   func(c *publish.Config) { c.CredsFile = good },
		wrong:   func(c *publish.Config) { c.CredsFile = bad },
		refusal: "nats: Authorization Violation",
		secrets: []string{goodSeed, badSeed},
	}
}

// signer is the key of an operator or an account, which signs accounts or users.
type signer struct {
	pair   nkeys.KeyPair
	public string
}

func newSigner(t *testing.T, create func() (nkeys.KeyPair, error)) signer {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return signer{pair, public}
}

// user returns the credentials file of a new user of the account, and its seed.
func (s signer) user(t *testing.T) (file, seed string) {
	t.Helper()
	public, key := newKey(t)
	token, err := jwt.NewUserClaims(public).Encode(s.pair)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(token, key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "user.creds", creds), string(key)
}

// TestInvalidCredentialFiles uses files that do not contain credentials.
func TestInvalidCredentialFiles(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, Username: "me", Password: "s3cret"})
	junk := write(t, "junk", []byte("-----BEGIN s3cret-----\n"))
	for name, c := range map[string]struct {
		edit func(*publish.Config)
		want string
	}{
		"nkey":  {func(c *publish.Config) { c.NKeyFile = junk }, "publish.nkey_file "},
		"creds": {func(c *publish.Config) { c.CredsFile = junk }, "creds_file"},
		"cert":  {func(c *publish.Config) { c.CertFile, c.KeyFile = junk, junk }, "publish.cert_file "},
		"ca":    {func(c *publish.Config) { c.CAFile = junk }, "publish.ca_file "},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := remote(t, s.ClientURL())
			c.edit(&cfg)
			var log syncBuffer
			err := runRefused(t, cfg, &log)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Run() = %v, want one line about %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error()+log.String(), "s3cret") {
				t.Errorf("the content of the file appears in the error or the log: %v\n%s", err, log.String())
			}
		})
	}
}

// TestCredentialsReplaced restarts a server with another password: the publisher keeps trying, and reconnects when the old
// password is valid again.
func TestCredentialsReplaced(t *testing.T) {
	opts := server.Options{Port: -1, Username: "me", Password: "s3cret"}
	first := runServer(t, opts)
	opts.Port = port(first)
	cfg := remote(t, first.ClientURL())
	cfg.User, cfg.Password = "me", "s3cret"
	reg, option := counted(t)
	var log syncBuffer
	p := start(t, cfg, nil, option, log.option())
	wait(t, "the connection", func() bool { return metric(t, reg, "oodcast_nats_connected") == 1 })
	stopServer(first)
	opts.Password = "0ther"
	second := runServer(t, opts)
	wait(t, "the refusal", func() bool { return strings.Contains(log.String(), "Authorization Violation") })
	stopServer(second)
	opts.Password = "s3cret"
	runServer(t, opts)
	wait(t, "the connection", func() bool { return metric(t, reg, "oodcast_nats_connected") == 1 })
	sub := subscribe(t, connect(t, cfg.URL, nats.UserInfo("me", "s3cret")), "oodcast.>")
	p.Map(testMap("front", 0, 4, 4))
	next(t, sub)
	if got := metric(t, reg, "oodcast_nats_reconnects_total"); got != 1 {
		t.Errorf("%v reconnections, want 1", got)
	}
}

func TestEmbeddedAuth(t *testing.T) {
	for name, edit := range map[string]func(*publish.Config){
		"token": func(c *publish.Config) { c.Token = "s3same" },
		"user":  func(c *publish.Config) { c.User, c.Password = "me", "s3same" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := embeddedConfig(t)
			edit(&cfg)
			var log syncBuffer
			p := start(t, cfg, nil, log.option())
			if nc, err := nats.Connect(p.URL()); err == nil {
				nc.Close()
				t.Error("connected without credentials")
			}
			running := cfg
			running.URL = strings.Replace(p.URL(), "nats://", "embedded://", 1)
			sub := subscribe(t, dial(t, running), "oodcast.>")
			p.Map(testMap("front", 0, 4, 4))
			next(t, sub)
			if strings.Contains(log.String()+p.URL(), "s3same") {
				t.Errorf("the secret appears in the log:\n%s", log.String())
			}
		})
	}
}
