// Command oodcast watches live video and reports, patch by patch, what does not belong in the picture.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/publish/visible"
)

// version is set by the linker.
var version = "dev" // -ldflags -X needs a package variable

// The documented exit codes.
const (
	exitDone         = 0
	exitFailed       = 1 // failed while running
	exitUsage        = 2 // wrong usage or configuration
	exitNotInstalled = 3 // a library or provider is not installed
)

type cli struct {
	Run      RunCmd      `cmd:"" help:"Watch a camera: anomaly maps on NATS, the overlay in a browser."`
	Fit      FitCmd      `cmd:"" help:"Train the denoiser on normal footage and calibrate it."`
	Score    ScoreCmd    `cmd:"" help:"Write anomaly maps of images and videos."`
	Eval     EvalCmd     `cmd:"" help:"Measure AP, AUROC and FPR95 on labelled images."`
	Synth    SynthCmd    `cmd:"" help:"Make labelled pictures out of normal footage by pasting things into it."`
	Bench    BenchCmd    `cmd:"" help:"Measure latency for each |T|."`
	Models   ModelsCmd   `cmd:"" help:"List, show, verify and import bundles."`
	Config   ConfigCmd   `cmd:"" help:"Check and print configuration."`
	Doctor   DoctorCmd   `cmd:"" help:"Report what is installed and what is missing."`
	Watch    WatchCmd    `cmd:"" help:"Show cameras and events live in the terminal, from NATS."`
	Foxglove FoxgloveCmd `cmd:"" help:"Record maps and events from NATS as an MCAP file for Foxglove."`
	Version  VersionCmd  `cmd:"" help:"Print the version."`

	LogFormat string `enum:"text,json" default:"text" help:"Format of the log on stderr: text or json."`
	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"Least severe level to log: debug, info, warn or error."`
}

// logger returns a logger with the format and level of the flags.
func (c *cli) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // kong accepts valid levels only
	opts := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// env holds the parts of the process that a verb may use.
type env struct {
	context.Context           //nolint:containedctx // an env exists for one call of a verb's Run only
	Stdout, Stderr  io.Writer // escape control characters; see visible.Unwrap and terminal
	Log             *slog.Logger

	prepared atomic.Bool
}

// ready notes that everything is prepared: from now on, the verb itself sees to it that it ends after a signal.
func (e *env) ready() { e.prepared.Store(true) }

// patience is how long a verb that still prepares may go on after a signal. Neither the loading of a library nor the creation of
// a session can be stopped.
const patience = 2 * time.Second

// errAbandoned means that a verb did not react to a signal while it prepared.
var errAbandoned = errors.New("interrupted")

// await calls verb and returns its error. If e is done before verb is ready, await abandons it after a while.
func (e *env) await(verb func() error) error {
	done := make(chan error, 1)
	go func() { done <- verb() }()
	select {
	case err := <-done:
		return err
	case <-e.Done():
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		if !e.prepared.Load() {
			return errAbandoned
		}
	}
	return <-done
}

// usageError is wrong usage or configuration: exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// VersionCmd prints the version.
type VersionCmd struct{}

// Run prints one line.
func (VersionCmd) Run(e *env) error {
	_, err := fmt.Fprintln(e.Stdout, "oodcast", version)
	return err
}

func main() {
	// The first signal requests a graceful stop; a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run parses args, runs one verb and returns the exit code. It writes an error as one line to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = visible.NewWriter(stdout), visible.NewWriter(stderr)
	signal.Ignore(syscall.SIGXFSZ) // a file that may not grow fails its writes, as on a full disk
	e := &env{Context: ctx, Stdout: stdout, Stderr: stderr}
	exited := -1
	var c cli
	parser, err := kong.New(&c,
		kong.Name("oodcast"),
		kong.Description("Streaming video anomaly detection: what does not belong in the picture."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }), // --help
		kong.Vars(fitVars()),
		kong.Vars(evalVars()),
		kong.Bind(e),
	)
	if err != nil {
		return report(stderr, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	kctx, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		return report(stderr, usagef("%w; see oodcast --help", err))
	}
	e.Log = c.logger(stderr)
	if reloads := kctx.Command() == "run" && c.Run.Config != ""; !reloads && !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		hangup, stop := signal.NotifyContext(e.Context, syscall.SIGHUP) // the terminal was closed
		defer stop()
		e.Context = hangup
	}
	err = e.await(func() error { return kctx.Run() })
	if kctx.Command() == "run" && isAny(err, errAbandoned, ort.ErrInterrupted) {
		e.Log.Info("stopped while starting")
		return exitDone
	}
	return report(stderr, err)
}

// report writes err as one line and returns its exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, "oodcast:", visible.Text(strings.ReplaceAll(err.Error(), "\n", "; ")))
	return exitCode(err)
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
