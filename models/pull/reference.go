package pull

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// ErrReference means that a text is no reference to weights. It is a mistake of the user.
var ErrReference = errors.New("pull: no reference to weights")

// Reference names weights. Exactly one of Repo, URL and Path is set.
type Reference struct {
	Repo     string // OWNER/REPO of a hub
	Revision string // branch, tag or commit; "main" unless the reference states one
	File     string // file of the repository; "" stands for its weights

	URL  *url.URL // an address; its fragment is empty
	Path string   // a file of this machine

	SHA256 string // of the file with the weights, lower case hexadecimal; "" without a pin
}

var (
	repoPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
	sha256Pattern = regexp.MustCompile(`^[0-9a-f]{64}$`)
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// IsReference reports whether a text begins like a reference rather than like a path, or is a name of the [Catalogue].
func IsReference(s string) bool {
	if _, ok := Find(s); ok {
		return true
	}
	for _, scheme := range []string{"hf:", "https:", "http:", "file:"} {
		if strings.HasPrefix(s, scheme) {
			return true
		}
	}
	return false
}

// Parse reads a reference. A name of the [Catalogue] stands for the reference there.
func Parse(s string) (Reference, error) {
	if n, ok := Find(s); ok {
		switch len(n.References) {
		case 0:
			return Reference{}, bad(s, n.Fetch+" fetches it to "+n.Path)
		case 1:
			s = n.References[0]
		default:
			return Reference{}, bad(s, "it has several files: pull each of "+strings.Join(n.References, ", "))
		}
	}
	body, pin, pinned := strings.Cut(s, "#")
	var r Reference
	var err error
	if pinned {
		sum, ok := strings.CutPrefix(pin, "sha256=")
		if !ok {
			return r, bad(s, "after # comes sha256= and 64 hexadecimal digits")
		}
		if r, err = r.Pinned(sum); err != nil {
			return r, err
		}
	}
	switch scheme, rest, _ := strings.Cut(body, ":"); scheme {
	case "hf":
		err = r.hub(rest)
	case "https", "http":
		err = r.address(body)
	case "file":
		r.Path = strings.TrimPrefix(rest, "//")
		if r.Path == "" || strings.ContainsRune(r.Path, 0) {
			err = errors.New("after file: comes a path")
		}
	default:
		err = errors.New("it begins with hf:, https: or file:, or is a name that oodcast models list --available shows")
	}
	if err != nil {
		return Reference{}, bad(s, err.Error())
	}
	return r, nil
}

// Pinned returns the reference to the same weights, if they have the given SHA-256.
func (r Reference) Pinned(sum string) (Reference, error) {
	sum = strings.ToLower(sum)
	switch {
	case !sha256Pattern.MatchString(sum):
		return r, fmt.Errorf("%w: the checksum %q: want 64 hexadecimal digits", ErrReference, sum)
	case r.SHA256 != "" && r.SHA256 != sum:
		return r, fmt.Errorf("%w: it states two checksums, %s and %s", ErrReference, r.SHA256, sum)
	}
	r.SHA256 = sum
	return r, nil
}

func bad(s, why string) error {
	if u, err := url.Parse(s); err == nil && u.User != nil {
		s = u.Redacted()
	}
	return fmt.Errorf("%w: %q: %s", ErrReference, s, why)
}

// hub reads OWNER/REPO[@REVISION][:FILE].
func (r *Reference) hub(s string) error {
	s, r.File, _ = strings.Cut(s, ":")
	r.Revision = "main"
	repo, revision, stated := strings.Cut(s, "@")
	if stated {
		r.Revision = revision
	}
	switch {
	case !repoPattern.MatchString(repo) || strings.Contains(repo, "..") || strings.Contains(repo, "--"):
		return errors.New("after hf: comes OWNER/REPO")
	case !validFile(r.Revision):
		return errors.New("after @ comes a branch, a tag or a commit")
	case r.File != "" && !validFile(r.File):
		return errors.New("after the second colon comes a file of the repository")
	}
	r.Repo = repo
	return nil
}

// validFile reports whether a path of a repository can be a path of the cache.
func validFile(name string) bool {
	return name != "." && len(name) <= 512 && fs.ValidPath(name) && path.Clean(name) == name &&
		!strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) || strings.ContainsRune(`\:*?"<>|`, c) })
}

// address reads an address. Over plain HTTP anyone on the way could change the file: only a pinned one, or a server on this
// machine, may have it.
func (r *Reference) address(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("it is no address")
	case u.Hostname() == "":
		return errors.New("the address names no host")
	case u.Scheme == "http" && r.SHA256 == "" && !local(u.Hostname()):
		return errors.New("over plain http, the file must be pinned with #sha256=…")
	}
	r.URL = u
	return nil
}

// local reports whether a host is this machine.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// String returns the reference as Parse reads it, without a password.
func (r Reference) String() string {
	var s string
	switch {
	case r.Repo != "":
		s = "hf:" + r.Repo + "@" + r.Revision
		if r.File != "" {
			s += ":" + r.File
		}
	case r.URL != nil:
		s = r.URL.Redacted()
	default:
		s = "file:" + r.Path
	}
	if r.SHA256 != "" {
		s += "#sha256=" + r.SHA256
	}
	return s
}

// label returns the reference for messages, without what only the user should know.
func (r Reference) label() string {
	if r.URL != nil {
		return public(r.URL)
	}
	return r.String()
}

// public returns an address without what only the user should know: his password, and a query, which may hold a signature.
func public(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
