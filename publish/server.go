package publish

import (
	"context"
	"errors"
	"fmt"
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
)

// Errors of the embedded server that an operator can do something about.
var (
	ErrPortTaken = errors.New("the port is taken")
	ErrStateBusy = errors.New("another process uses it")
)

// embedded is a nats-server inside this process.
type embedded struct {
	srv  *server.Server
	lock *os.File
}

// startServer starts an embedded server with JetStream in cfg.StateDir/nats and waits until it accepts connections.
func startServer(ctx context.Context, cfg Config, log *slog.Logger) (_ *embedded, err error) {
	host, port, err := cfg.EmbeddedAddr()
	if err != nil {
		return nil, fmt.Errorf("nats server: %w", err)
	}
	if err := portFree(ctx, host, port); err != nil {
		return nil, err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	e := &embedded{}
	defer func() {
		if err != nil {
			e.stop()
		}
	}()
	dir := filepath.Join(cfg.StateDir, "nats")
	if e.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName: "oodcast", Host: host, Port: port, StoreDir: dir,
		SyncAlways: true, // an event that is acknowledged is on the disk
		JetStream:  true, JetStreamMaxMemory: 128 << 20, JetStreamMaxStore: 2 << 30,
		NoSigs: true, DisableJetStreamBanner: true,
		// A subscriber that does not read is cut off; it must not slow the others or this process.
		NoFastProducerStall: true, WriteDeadline: 2 * time.Second, MaxPending: 16 << 20,
		Username: cfg.User, Password: cfg.Password, Authorization: cfg.Token,
	}
	if e.srv, err = server.NewServer(opts); err != nil {
		return nil, fmt.Errorf("nats server: %w", err)
	}
	faults := &serverLog{log: log}
	e.srv.SetLoggerV2(faults, false, false, false)
	e.srv.Start()
	if !e.srv.ReadyForConnections(10 * time.Second) {
		return nil, fmt.Errorf(
			"nats server on %s: not ready after 10s: %s", net.JoinHostPort(host, strconv.Itoa(port)), faults.last(),
		)
	}
	if !e.srv.JetStreamEnabled() {
		return nil, fmt.Errorf("nats server: JetStream in %q: %s", dir, faults.last())
	}
	return e, nil
}

// portFree says in the operator's words that a port is taken; the server itself would only log it.
func portFree(ctx context.Context, host string, port int) error {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("nats server on %s: %w: give another one with --nats embedded://127.0.0.1:PORT, "+
			"or use the server that is there with --nats nats://%s", addr, ErrPortTaken, addr)
	}
	if err != nil {
		return fmt.Errorf("nats server on %s: %w", addr, err)
	}
	return ln.Close()
}

// lockDir makes dir and keeps other processes from running a server in it, which would destroy its streams.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("state directory %q: %w: give this one another publish.state_dir", dir, ErrStateBusy)
	}
	return f, nil
}

// stop ends the server and waits for it. It works on a half-started one, and twice.
func (e *embedded) stop() {
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
		e.srv = nil
	}
	if e.lock != nil {
		_ = e.lock.Close() // releases the lock
		e.lock = nil
	}
}

// serverLog passes the server's warnings and errors on to slog. Its notices are start-up chatter.
type serverLog struct {
	log *slog.Logger
	mu  struct {
		sync.Mutex
		last string
	}
}

func (l *serverLog) note(level slog.Level, format string, v []any) {
	text := strings.TrimSpace(fmt.Sprintf(format, v...))
	l.mu.Lock()
	l.mu.last = text
	l.mu.Unlock()
	l.log.Log(context.Background(), level, "nats server", "text", text)
}

func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.last == "" {
		return "the server gave no reason"
	}
	return l.mu.last
}

func (l *serverLog) Noticef(string, ...any)         {}
func (l *serverLog) Debugf(string, ...any)          {}
func (l *serverLog) Tracef(string, ...any)          {}
func (l *serverLog) Warnf(format string, v ...any)  { l.note(slog.LevelWarn, format, v) }
func (l *serverLog) Errorf(format string, v ...any) { l.note(slog.LevelError, format, v) }
func (l *serverLog) Fatalf(format string, v ...any) { l.note(slog.LevelError, format, v) }
