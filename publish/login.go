package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
	"github.com/nats-io/nats.go"
)

// Files in the state directory about the embedded server: the passwords of its users, made once, and where it listens now.
const (
	passwordSuffix = ".password"
	serverFile     = "nats.json"
)

// runningServer is the content of serverFile.
type runningServer struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

// loadLogins returns the passwords of the users of the embedded server, and makes those that do not exist.
func loadLogins(stateDir string) (map[string]string, error) {
	logins := map[string]string{}
	for _, name := range []string{viewerUser, controllerUser} {
		file := passwordFile(stateDir, name)
		b, err := readStateFile(file)
		if errors.Is(err, fs.ErrNotExist) || err == nil && strings.TrimSpace(string(b)) == "" {
			b = []byte(newSecret() + "\n")
			err = renameio.WriteFile(file, b, 0o600, renameio.WithTempDir(stateDir), renameio.WithStaticPermissions(0o600))
		}
		if err != nil {
			return nil, fmt.Errorf("password of the user %s of the embedded nats server: %w", name, err)
		}
		logins[name] = strings.TrimSpace(string(b))
	}
	return logins, nil
}

func passwordFile(stateDir, user string) string { return filepath.Join(stateDir, user+passwordSuffix) }

// noteServer writes where the embedded server listens, for clients on this machine.
func noteServer(stateDir, url string) error {
	b, err := json.Marshal(runningServer{url, os.Getpid()})
	if err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(stateDir, serverFile), append(b, '\n'), 0o600, renameio.WithTempDir(stateDir))
}

// findLogin returns the address of the running embedded server whose state directory c names, and a login for it, the
// controller's if it can be read. ok is false if no server runs there, or target is another server's address: a password
// goes to the server that made it and to no other. An empty target means the embedded server wherever it listens.
func (c Config) findLogin(target string) (address string, login nats.Option, ok bool) {
	b, err := os.ReadFile(filepath.Join(c.StateDir, serverFile))
	var running runningServer
	if c.StateDir == "" || err != nil || json.Unmarshal(b, &running) != nil || !alive(running.PID) {
		return "", nil, false
	}
	if target != "" && !sameServer(target, running.URL) {
		return "", nil, false
	}
	for _, name := range []string{controllerUser, viewerUser} {
		if b, err := os.ReadFile(passwordFile(c.StateDir, name)); err == nil {
			return running.URL, nats.UserInfo(name, strings.TrimSpace(string(b))), true
		}
	}
	return running.URL, nil, true
}

// alive reports whether a process with this id runs.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return pid > 0 && (err == nil || errors.Is(err, syscall.EPERM))
}

// sameServer reports whether two addresses name one port of this machine.
func sameServer(a, b string) bool {
	hostA, portA, okA := localAddress(a)
	hostB, portB, okB := localAddress(b)
	return okA && okB && portA == portB && (hostA == hostB || isLoopback(hostA) && isLoopback(hostB))
}

func localAddress(address string) (host, port string, ok bool) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.User != nil || u.Scheme != "nats" {
		return "", "", false
	}
	if port = u.Port(); port == "" {
		port = "4222"
	}
	return u.Hostname(), port, true
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// howToLogIn is what a client can do whom a server on this machine has refused.
func (c Config) howToLogIn() string {
	return fmt.Sprintf("no login for it in %q: name the state directory of oodcast run with --config FILE or "+
		"OODCAST_PUBLISH__STATE_DIR, or log in as %s or %s with the password from the file there",
		c.StateDir, viewerUser, controllerUser)
}
