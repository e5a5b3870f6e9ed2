package ort

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	ortgo "github.com/yalue/onnxruntime_go"
)

// EnvLibrary is the environment variable with the path of the ONNX Runtime library. It takes precedence over all other
// locations.
const EnvLibrary = "OODCAST_ORT_LIB"

// envNoTelemetry keeps ONNX Runtime, from version 1.30 on, from collecting usage events in a database below the user's
// cache folder, from sending them to its makers, and from leaving a log in the temporary folder for every process.
// Disabling telemetry through the API comes too late for these files.
const envNoTelemetry = "ORT_DISABLE_TELEMETRY"

// ErrNotInstalled means that the ONNX Runtime library was not found or could not be loaded.
var ErrNotInstalled = errors.New("ort: ONNX Runtime is not installed")

// process is the state of the library in this process. The binding has one environment for all its users, so process
// counts them: runtimes, sessions and tensors. A user that is closed too late keeps the library loaded instead of
// crashing.
var process struct {
	sync.Mutex
	users int
	path  string
}

// retain adds a user. It reports false if the library is not loaded.
func retain() bool {
	process.Lock()
	defer process.Unlock()
	if process.users == 0 {
		return false
	}
	process.users++
	return true
}

// release removes a user. Removing the last one unloads the library.
func release() error {
	process.Lock()
	defer process.Unlock()
	process.users--
	if process.users > 0 {
		return nil
	}
	if err := ortgo.DestroyEnvironment(); err != nil {
		return fmt.Errorf("ort: unload %q: %w", process.path, err)
	}
	return nil
}

// Runtime is one use of the loaded library.
type Runtime struct {
	once sync.Once
	path string
	err  error
}

// Open loads the library at path, or the one that Find finds if path is empty. All Runtimes of a process share one
// library; opening another one is an error.
func Open(path string) (*Runtime, error) {
	if path == "" {
		found, err := Find()
		if err != nil {
			return nil, err
		}
		path = found
	}
	process.Lock()
	defer process.Unlock()
	if process.users > 0 {
		if path != process.path {
			return nil, fmt.Errorf("ort: open %q: this process already uses %q", path, process.path)
		}
		process.users++
		return &Runtime{path: path}, nil
	}
	if err := os.Setenv(envNoTelemetry, "1"); err != nil {
		return nil, fmt.Errorf("ort: set %s: %w", envNoTelemetry, err)
	}
	ortgo.SetSharedLibraryPath(path)
	spareThreads()
	if err := ortgo.InitializeEnvironment(ortgo.WithLogLevelError()); err != nil {
		return nil, fmt.Errorf("%w: load %q: %w (run: make deps, or set %s)", ErrNotInstalled, path, err, EnvLibrary)
	}
	process.users, process.path = 1, path
	return &Runtime{path: path}, nil
}

// spareThreads makes the Go runtime keep a few idle threads. While dlopen waits for a file, it holds the lock that the creation
// of a thread needs, so without idle threads the whole process would wait, and not even react to a signal.
func spareThreads() {
	const n = 8
	var started, done sync.WaitGroup
	started.Add(n)
	for range n {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			started.Done()
			started.Wait()
		})
	}
	done.Wait()
}

// Library returns the path of the loaded library.
func (r *Runtime) Library() string { return r.path }

// Version returns the version that the library reports, such as "1.30.0".
func (r *Runtime) Version() string { return ortgo.GetVersion() }

// Close ends this use. The library is unloaded when no Runtime, Session or Tensor uses it any more. Close may be called
// more than once.
func (r *Runtime) Close() error {
	r.once.Do(func() { r.err = release() })
	return r.err
}

// Find returns the path of the ONNX Runtime library: the file that OODCAST_ORT_LIB names, or the library in the folder
// that it names; without the variable, the first libonnxruntime.so in the executable's folder, its ../lib,
// /usr/local/lib and the system's library folders.
func Find() (string, error) {
	if path := os.Getenv(EnvLibrary); path != "" {
		return findAt(path)
	}
	folders := searchFolders()
	for _, folder := range folders {
		if path, ok := libraryIn(folder); ok {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: no libonnxruntime.so in %s (run: make deps, or set %s to its path)",
		ErrNotInstalled, strings.Join(folders, ", "), EnvLibrary)
}

// findAt returns the library at the path in the environment variable.
func findAt(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w (run: make deps, or correct the variable)", ErrNotInstalled, EnvLibrary, err)
	}
	if !info.IsDir() {
		return filepath.Abs(path)
	}
	if lib, ok := libraryIn(path); ok {
		return lib, nil
	}
	return "", fmt.Errorf("%w: %s: no libonnxruntime.so in %q", ErrNotInstalled, EnvLibrary, path)
}

func searchFolders() []string {
	var folders []string
	if exe, err := os.Executable(); err == nil {
		if target, err := filepath.EvalSymlinks(exe); err == nil {
			exe = target
		}
		dir := filepath.Dir(exe)
		folders = append(folders, dir, filepath.Join(filepath.Dir(dir), "lib"))
	}
	return append(folders, "/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
}

// libraryIn returns the library in a folder: libonnxruntime.so or, if there is none, the newest versioned one.
func libraryIn(folder string) (string, bool) {
	names, _ := filepath.Glob(filepath.Join(folder, "libonnxruntime.so*"))
	best := ""
	for _, name := range names {
		if filepath.Base(name) == "libonnxruntime.so" {
			best = name
			break
		}
		best = max(best, name)
	}
	if best == "" {
		return "", false
	}
	abs, err := filepath.Abs(best)
	return abs, err == nil
}
