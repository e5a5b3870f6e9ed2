package ingest

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// EncodeHint says how to write a password in an address.
const EncodeHint = "in a user name or a password, encode # as %23, / as %2F, ? as %3F, % as %25, @ as %40, : as %3A and a space " +
	"as %20, or use the keys user and password"

// maxLogin is the longest user part of an RTSP address that FFmpeg takes; it cuts off the rest.
const maxLogin = 127

// SplitAddress returns the host and the port of scheme://user:password@host:port/path; the port is empty if there is none.
// Unlike net/url, it accepts what cameras' passwords contain and FFmpeg understands. Errors do not quote the address, because
// any part of a badly typed one may be a secret.
func SplitAddress(s string) (host, port string, err error) {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return "", "", errors.New("no scheme://")
	}
	authority := authorityOf(rest)
	tail := rest[len(authority):]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if err := checkLogin(scheme, authority[:at]); err != nil {
			return "", "", err
		}
		authority = authority[at+1:]
	} else if before, _, ok := strings.Cut(tail, "@"); ok && (before[0] == '#' || before[0] == '?' && !strings.Contains(before, "=")) {
		return "", "", fmt.Errorf("a %c before its @: %s", before[0], EncodeHint)
	}
	if host, port, err = splitHost(authority, tail == ""); err != nil {
		return "", "", err
	}
	if host == "" && (port == "" || !listens(scheme)) {
		return "", "", errors.New("no host")
	}
	if strings.ContainsAny(host, "\"'<>\\^`{|}!$&()*+;=,") {
		return "", "", fmt.Errorf("a host with characters that no host name has: %s", EncodeHint)
	}
	return host, port, nil
}

// listens reports whether an address of this scheme without a host means to wait for a sender.
func listens(scheme string) bool {
	switch strings.ToLower(scheme) {
	case "udp", "srt", "tcp":
		return true
	}
	return false
}

// checkLogin checks a user part.
func checkLogin(scheme, login string) error {
	if _, err := url.PathUnescape(login); err != nil {
		return fmt.Errorf("a %% without two hexadecimal digits in its user part: %s", EncodeHint)
	}
	if s := strings.ToLower(scheme); (s == "rtsp" || s == "rtsps") && len(login) > maxLogin {
		return fmt.Errorf("a user part of %d characters, FFmpeg takes %d at most; each encoded character counts as three", len(login), maxLogin)
	}
	return nil
}

// splitHost splits host:port or [IPv6]:port; last says that nothing follows.
func splitHost(s string, last bool) (host, port string, err error) {
	host, rest := s, ""
	if inside, ok := strings.CutPrefix(s, "["); ok {
		if host, rest, ok = strings.Cut(inside, "]"); !ok || rest != "" && rest[0] != ':' {
			return "", "", fmt.Errorf("brackets that are not those of an IPv6 address: %s", EncodeHint)
		}
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if host, rest = s[:i], s[i:]; strings.Contains(host, ":") {
			return "", "", fmt.Errorf("several colons: an IPv6 address needs [brackets], and %s", EncodeHint)
		}
	}
	if strings.ContainsAny(host, "[]") {
		return "", "", fmt.Errorf("brackets that are not those of an IPv6 address: %s", EncodeHint)
	}
	if rest == "" {
		return host, "", nil
	}
	n, err := strconv.ParseUint(rest[1:], 10, 16)
	switch {
	case err == nil && n > 0:
		return host, rest[1:], nil
	case last:
		return "", "", fmt.Errorf("a port that is no number from 1 to 65535: %s; YAML takes an unquoted # for a comment, so quote "+
			"the address", EncodeHint)
	default:
		return "", "", fmt.Errorf("a port that is no number from 1 to 65535: %s", EncodeHint)
	}
}

// EscapeLogin encodes a user name or a password for the user part of an address. With sparing it encodes only what FFmpeg and
// our own messages need, because FFmpeg takes no more than 127 characters; else everything but letters, digits and -._~.
func EscapeLogin(s string, sparing bool) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0,
			sparing && c > ' ' && c < 0x7f && strings.IndexByte("#/?%@:\"',;|", c) < 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// WithLogin returns the address with a user part. It is an error if the address cannot have one, or has one already.
func WithLogin(address, user, password string) (string, error) {
	scheme, rest, found := strings.Cut(address, "://")
	switch strings.ToLower(scheme) {
	case "rtsp", "rtsps", "http", "https", "rtmp", "rtmps":
	default:
		found = false
	}
	if !found {
		return "", errors.New("set, but only rtsp, http and rtmp addresses have a login; a GStreamer pipeline has user-id= and user-pw=")
	}
	if strings.Contains(authorityOf(rest), "@") {
		return "", errors.New("set, but the address has a user part already: want one of them")
	}
	login := EscapeLogin(user, true) + ":" + EscapeLogin(password, true)
	if password == "" {
		login = EscapeLogin(user, true)
	}
	return scheme + "://" + login + "@" + rest, nil
}

// authorityOf returns what is between :// and the path, the query or the fragment.
func authorityOf(rest string) string {
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		return rest[:end]
	}
	return rest
}
