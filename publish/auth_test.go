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

// syncBuffer collects a log.
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

// option makes a publisher log here, everything.
func (b *syncBuffer) option() publish.Option {
	return publish.WithLogger(slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

// lock is a server that asks who is there, and what opens it.
type lock struct {
	options server.Options
	scheme  string                // default nats
	open    func(*publish.Config) // the right credentials
	pick    func(*publish.Config) // wrong ones
	refusal string                // what is said then, behind the address
	secrets []string              // what must never be logged
}

// TestAuth opens every kind of lock, and is refused by it with one line that tells no secret.
func TestAuth(t *testing.T) {
	const credentials = ": check publish.user and password, token, nkey_file or creds_file"
	for name, forge := range map[string]func(*testing.T) lock{
		"user": func(*testing.T) lock {
			return lock{
				options: server.Options{Username: "me", Password: "s3cret-password"},
				open:    func(c *publish.Config) { c.User, c.Password = "me", "s3cret-password" },
				pick:    func(c *publish.Config) { c.User, c.Password = "me", "wr0ng-password" },
				refusal: "nats: Authorization Violation" + credentials,
				secrets: []string{"s3cret-password", "wr0ng-password"},
			}
		},
		"user in the address": func(*testing.T) lock {
			return lock{
				options: server.Options{Username: "me", Password: "s3cret-password"},
				open:    func(c *publish.Config) { c.URL = strings.Replace(c.URL, "://", "://me:s3cret-password@", 1) },
				pick:    func(c *publish.Config) { c.URL = strings.Replace(c.URL, "://", "://me:wr0ng-password@", 1) },
				refusal: "nats: Authorization Violation" + credentials,
				secrets: []string{"s3cret-password", "wr0ng-password"},
			}
		},
		"token": func(*testing.T) lock {
			return lock{
				options: server.Options{Authorization: "s3same"},
				open:    func(c *publish.Config) { c.Token = "s3same" },
				pick:    func(c *publish.Config) { c.Token = "0pen" },
				refusal: "nats: Authorization Violation" + credentials,
				secrets: []string{"s3same", "0pen"},
			}
		},
		"nkey":        nkeyLock,
		"credentials": credentialsLock,
		"tls": func(t *testing.T) lock {
			ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
			return lock{
				options: server.Options{TLS: true, TLSConfig: &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "server").pair}}},
				scheme:  "tls",
				open:    func(c *publish.Config) { c.CAFile = ours.file },
				pick:    func(c *publish.Config) { c.CAFile = theirs.file },
				refusal: "certificate signed by unknown authority",
			}
		},
		"mutual tls": func(t *testing.T) lock {
			ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
			good, bad := ours.issue(t, "camera"), theirs.issue(t, "camera")
			return lock{
				options: server.Options{TLS: true, TLSConfig: &tls.Config{
					Certificates: []tls.Certificate{ours.issue(t, "server").pair},
					ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ours.pool(),
				}},
				scheme:  "tls",
				open:    func(c *publish.Config) { c.CAFile, c.CertFile, c.KeyFile = ours.file, good.cert, good.key },
				pick:    func(c *publish.Config) { c.CAFile, c.CertFile, c.KeyFile = ours.file, bad.cert, bad.key },
				refusal: "the server does not accept our certificate: check publish.cert_file and key_file",
				secrets: []string{"PRIVATE KEY"},
			}
		},
	} {
		t.Run(name, func(t *testing.T) { forge(t).try(t) })
	}
}

func (l lock) try(t *testing.T) {
	l.options.Port = -1
	s := runServer(t, l.options)
	cfg := remote(t, s.ClientURL())
	if l.scheme != "" {
		cfg.URL = l.scheme + "://" + s.Addr().String()
	}
	plain := cfg.URL
	var log syncBuffer
	open, pick := cfg, cfg
	l.open(&open)
	l.pick(&pick)
	pick.StateDir = t.TempDir()

	p := start(t, open, []schema.Camera{newCamera("front")}, log.option())
	sub := subscribe(t, dial(t, open), "oodcast.v1.default.front.map")
	p.Map(testMap("front", 0, 4, 4))
	next(t, sub)

	err := refusal(t, pick, &log)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if !strings.HasPrefix(text, "nats "+strings.Replace(plain, "://", at(pick.URL), 1)+": ") ||
		!strings.Contains(text, l.refusal) || strings.Contains(text, "\n") {
		t.Errorf("Run() = %q, want nats %s: … %s, in one line", text, plain, l.refusal)
	}
	for _, secret := range l.secrets {
		if strings.Contains(text, secret) || strings.Contains(log.String(), secret) {
			t.Errorf("%q is told:\n%s\n%s", secret, text, log.String())
		}
	}
	if log.String() == "" {
		t.Error("nothing was logged")
	}
}

// dial connects as a program beside the publisher does, with the same settings.
func dial(t *testing.T, cfg publish.Config) *nats.Conn {
	t.Helper()
	nc, err := publish.Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// at is how the separator of an address looks when credentials were taken out of it.
func at(url string) string {
	if strings.Contains(url, "@") {
		return "://***@"
	}
	return "://"
}

// refusal runs a publisher that must give up by itself.
func refusal(t *testing.T, cfg publish.Config, log *syncBuffer) error {
	t.Helper()
	p, err := publish.New(cfg, nil, log.option())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return p.Run(ctx)
}

func nkeyLock(t *testing.T) lock {
	good, goodSeed := newKey(t)
	_, badSeed := newKey(t)
	goodFile, badFile := write(t, "good.nk", goodSeed), write(t, "bad.nk", badSeed)
	return lock{
		options: server.Options{Nkeys: []*server.NkeyUser{{Nkey: good}}},
		open:    func(c *publish.Config) { c.NKeyFile = goodFile },
		pick:    func(c *publish.Config) { c.NKeyFile = badFile },
		refusal: "nats: Authorization Violation",
		secrets: []string{string(goodSeed), string(badSeed)},
	}
}

// newKey returns the public key of a user and its seed.
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

// credentialsLock is an operator with an account; only users that the account signed may come in.
func credentialsLock(t *testing.T) lock {
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
	return lock{
		options: server.Options{
			TrustedOperators: []*jwt.OperatorClaims{jwt.NewOperatorClaims(operator.public)}, AccountResolver: resolver,
		},
		open:    func(c *publish.Config) { c.CredsFile = good },
		pick:    func(c *publish.Config) { c.CredsFile = bad },
		refusal: "nats: Authorization Violation",
		secrets: []string{goodSeed, badSeed},
	}
}

// signer is a key that signs what is below it.
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

// user returns a credentials file of a new user of the account, and the seed in it.
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

// TestCredentialsThatAreNone has files with something else in them.
func TestCredentialsThatAreNone(t *testing.T) {
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
			err := refusal(t, cfg, &log)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Run() = %v, want one line about %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error()+log.String(), "s3cret") {
				t.Errorf("the file is quoted: %v\n%s", err, log.String())
			}
		})
	}
}

// TestCredentialsExchanged lets a server come back with another password: the publisher goes on trying, and is back
// when the old one counts again.
func TestCredentialsExchanged(t *testing.T) {
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
			open := cfg
			open.URL = strings.Replace(p.URL(), "nats://", "embedded://", 1)
			sub := subscribe(t, dial(t, open), "oodcast.>")
			p.Map(testMap("front", 0, 4, 4))
			next(t, sub)
			if strings.Contains(log.String()+p.URL(), "s3same") {
				t.Errorf("the secret is told:\n%s", log.String())
			}
		})
	}
}
