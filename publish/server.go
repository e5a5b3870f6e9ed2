package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/publish/faultlog"
)

// Errors of the embedded server that an operator can fix.
var (
	ErrPortTaken = errors.New("the port is taken")
	ErrStateBusy = errors.New("another process is using it")
)

// embedded is a nats-server inside this process.
type embedded struct {
	srv   *server.Server
	lock  *os.File
	own   string // password of oodcast itself, for this run
	state string // directory with the passwords of the others
}

// inProcess returns options for a connection of oodcast itself, which uses no port.
func (e *embedded) inProcess(cfg Config) []nats.Option {
	return []nats.Option{nats.InProcessServer(e.srv), nats.UserInfo(ownUserOf(cfg), e.own)}
}

// startServer starts an embedded server with JetStream in cfg.StateDir/nats and waits until it accepts connections.
func startServer(ctx context.Context, cfg Config, log *slog.Logger) (_ *embedded, err error) {
	host, port, err := cfg.EmbeddedAddr()
	if err != nil {
		return nil, fmt.Errorf("nats server: %w", err)
	}
	if err := checkPortFree(ctx, host, port); err != nil {
		return nil, err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	e := &embedded{own: newSecret(), state: cfg.StateDir}
	defer func() {
		if err != nil {
			e.stop()
		}
	}()
	dir := filepath.Join(cfg.StateDir, "nats")
	if e.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	logins, err := loadLogins(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	if err := adoptStreams(dir); err != nil {
		return nil, err
	}
	opts := &server.Options{}
	if err := opts.ProcessConfigString(accounts(cfg.Prefix)); err != nil {
		return nil, fmt.Errorf("nats server: %w", err)
	}
	users := newAccess(cfg, e.own, logins)
	opts = &server.Options{
		Accounts: opts.Accounts, CustomClientAuthentication: users,
		ServerName: "oodcast", Host: host, Port: port, StoreDir: dir,
		SyncAlways: true, // an acknowledged event is on the disk
		JetStream:  true, JetStreamMaxMemory: 128 << 20, JetStreamMaxStore: 2 << 30,
		NoSigs: true, DisableJetStreamBanner: true,
		// A subscriber that does not read is disconnected, so that it slows neither the others nor this process.
		NoFastProducerStall: true, WriteDeadline: 2 * time.Second, MaxPending: 16 << 20,
		MaxConn: maxConnections(openFiles()), MaxSubs: maxSubscriptions,
	}
	if e.srv, err = server.NewServer(opts); err != nil {
		return nil, fmt.Errorf("nats server: %w", err)
	}
	users.srv = e.srv
	faults := &serverLog{log: log}
	e.srv.SetLoggerV2(faults, false, false, false)
	e.srv.Start()
	if !e.srv.ReadyForConnections(10 * time.Second) {
		return nil, fmt.Errorf(
			"nats server on %s: not ready after 10s: %s", net.JoinHostPort(host, strconv.Itoa(port)), faults.last(),
		)
	}
	if !e.srv.JetStreamEnabled() {
		return nil, fmt.Errorf("nats server: no JetStream in %q: %s", dir, faults.last())
	}
	if err := noteServer(cfg.StateDir, e.srv.ClientURL()); err != nil {
		log.Warn("clients on this machine do not find the embedded nats server", "err", err)
	}
	return e, nil
}

// maxSubscriptions bounds the subscriptions of one client, and so its memory. oodcast itself has 17 per camera.
const maxSubscriptions = 1 << 14

// maxConnections is the number of clients that the embedded server admits when so many files may be open: an eighth of them, so
// that whoever connects cannot take the descriptors of cameras, the page and evidence.
func maxConnections(files uint64) int { return int(min(max(files/8, 16), 1024)) }

// openFiles returns the number of files that this process may have open.
func openFiles() uint64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 1024
	}
	return files.Cur
}

// adoptStreams moves the streams of versions before the server had accounts to the account of oodcast.
func adoptStreams(dir string) error {
	old, now := filepath.Join(dir, "jetstream", "$G"), filepath.Join(dir, "jetstream", ownAccount)
	if _, err := os.Stat(now); err == nil {
		return nil
	}
	if err := os.Rename(old, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("state directory: %w", err)
	}
	return nil
}

// checkPortFree returns an error that tells the operator what to do if the port is taken; the server would only log it.
func checkPortFree(ctx context.Context, host string, port int) error {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("nats server on %s: %w: choose another one with --nats embedded://127.0.0.1:PORT, "+
			"or use the server on that port with --nats nats://%s", addr, ErrPortTaken, addr)
	}
	if err != nil {
		return fmt.Errorf("nats server on %s: %w", addr, err)
	}
	return ln.Close()
}

// lockDir creates and locks dir: a server in another process would destroy its streams.
func lockDir(dir string) (*os.File, error) {
	if err := makeStateDir(dir); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	f, err := openStateFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("state directory %q: %w: set another publish.state_dir", dir, ErrStateBusy)
	}
	return f, nil
}

// stop stops the server and waits for its end. It may be called on a half-started server, and twice.
func (e *embedded) stop() {
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
		e.srv = nil
		_ = os.Remove(filepath.Join(e.state, serverFile))
	}
	if e.lock != nil {
		_ = e.lock.Close() // releases the lock
		e.lock = nil
	}
}

// serverLog passes the server's warnings and errors on to slog. It drops notices, which the server prints at its start.
type serverLog struct {
	log    *slog.Logger
	faults faultlog.Log
	mu     struct {
		sync.Mutex
		last string
	}
}

func (l *serverLog) note(level slog.Level, format string, v []any) {
	text := strings.TrimSpace(fmt.Sprintf(format, v...))
	l.mu.Lock()
	l.mu.last = text
	l.mu.Unlock()
	if times, due := l.faults.Due(withoutClient(text), time.Now()); due {
		l.log.Log(context.Background(), level, "nats server", "text", text, "times", times)
	}
}

// withoutClient returns a line of the server without the client's address at its start and the user at its end: clients that
// are refused again and again are one fault.
func withoutClient(text string) string {
	for part := range strings.SplitSeq(text, " - ") {
		if strings.HasPrefix(part, "authentication error") {
			return part
		}
	}
	return text
}

func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.last == "" {
		return "no reason given"
	}
	return l.mu.last
}

func (l *serverLog) Noticef(string, ...any)         {}
func (l *serverLog) Debugf(string, ...any)          {}
func (l *serverLog) Tracef(string, ...any)          {}
func (l *serverLog) Warnf(format string, v ...any)  { l.note(slog.LevelWarn, format, v) }
func (l *serverLog) Errorf(format string, v ...any) { l.note(slog.LevelError, format, v) }
func (l *serverLog) Fatalf(format string, v ...any) { l.note(slog.LevelError, format, v) }
