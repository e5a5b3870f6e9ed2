package ingest

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// Kind is the kind of source that a URI names.
type Kind string

// The kinds of sources.
const (
	Path      Kind = "path"      // a video file, a picture or a folder of pictures, as the file system decides
	Stream    Kind = "stream"    // a network address that FFmpeg reads
	Camera    Kind = "camera"    // a local capture device
	GStreamer Kind = "gstreamer" // a GStreamer pipeline that ends in appsink
)

// URI is a parsed source address.
type URI struct {
	Kind Kind
	// Target is what the reader opens: a path, an address with its credentials (never log it), the number or path of a
	// device, or a pipeline.
	Target string
}

// Live reports whether frames come at the source's own pace and are lost unless they are taken in time.
func (u URI) Live() bool { return u.Kind != Path }

// isStream reports whether FFmpeg reads addresses of a scheme.
func isStream(scheme string) bool {
	switch strings.ToLower(scheme) {
	case "rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp", "srt", "tcp":
		return true
	}
	return false
}

// ParseURI parses a source address. It accesses neither the file system nor the network.
func ParseURI(s string) (URI, error) {
	scheme, rest, found := strings.Cut(s, ":")
	switch {
	case s == "":
		return URI{}, fmt.Errorf("%w: the address is empty, want a file, a folder, rtsp://…, http://…, camera:0 or gst:…",
			ErrUnsupported)
	case found && scheme == "camera":
		if rest == "" {
			return URI{}, fmt.Errorf("%w: %q names no device, want camera:0 or camera:/dev/video0", ErrUnsupported, s)
		}
		return URI{Camera, rest}, nil
	case found && scheme == "gst":
		if strings.TrimSpace(rest) == "" {
			return URI{}, fmt.Errorf("%w: %q names no pipeline, want gst:… ! appsink", ErrUnsupported, s)
		}
		return URI{GStreamer, rest}, nil
	case found && isStream(scheme):
		return parseStream(s, scheme, rest)
	case !strings.Contains(s, "://"):
		return URI{Path, s}, nil
	case strings.EqualFold(scheme, "file"):
		u, err := url.Parse(s)
		if err != nil || u.Path == "" {
			return URI{}, fmt.Errorf("%w: %q, want file:///path, with %% encoded as %%25", ErrUnsupported, s)
		}
		return URI{Path, u.Path}, nil
	default:
		return URI{}, fmt.Errorf("%w: %q, want a file, a folder, rtsp://…, http://…, camera:0 or gst:…",
			ErrUnsupported, RedactURI(s))
	}
}

// parseStream parses scheme:rest. Its errors do not quote the address, because a password may be anywhere in a badly typed one.
func parseStream(s, scheme, rest string) (URI, error) {
	switch {
	case !strings.HasPrefix(rest, "//"):
		return URI{}, fmt.Errorf("%w: no // after %s:, want %[2]s://HOST/…", ErrUnsupported, scheme)
	case strings.ContainsAny(s, " \t\r\n"):
		return URI{}, fmt.Errorf("%w: the %s address contains white space, want %%20", ErrUnsupported, scheme)
	case strings.ContainsFunc(s, unicode.IsControl):
		return URI{}, fmt.Errorf("%w: the %s address contains a control character", ErrUnsupported, scheme)
	}
	if _, _, err := SplitAddress(s); err != nil {
		return URI{}, fmt.Errorf("%w: the %s address has %w", ErrUnsupported, scheme, err)
	}
	return URI{Stream, s}, nil
}

// secretParam matches query and pipeline parameters that hold secrets.
var secretParam = regexp.MustCompile(`(?i)((?:^|[?&;\s!])[a-z0-9_.-]*` +
	`(?:passw(?:or)?d|pwd|pass|token|secret|key|auth|sig(?:nature)?|` +
	`user(?:name)?(?:-?id)?|user-?pw|login|usr|credentials?)` +
	`\s*=\s*)("[^"]*"|'[^']*'|[^&;\s!"']+)`)

// RedactURI replaces user names, passwords and secret parameters in s, a stream address or a text that contains some, by
// "***". Where an @ may either end a password or belong to a path, it hides too much rather than too little.
func RedactURI(s string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, "://")
		if i < 0 {
			break
		}
		i += len("://")
		b.WriteString(s[:i])
		s = s[i:]
		end := addressEnd(s)
		b.WriteString(redactUserinfo(s[:end]))
		s = s[end:]
	}
	b.WriteString(s)
	return secretParam.ReplaceAllString(b.String(), "${1}***")
}

// nextAddress matches the beginning of an address. Passwords do occur with "://", hence the names.
var nextAddress = regexp.MustCompile(`(?i)\b(?:rtsps?|https?|rtmps?|udp|srt|tcp|ftp|file)://`)

// addressEnd returns where an address without its scheme ends in s: at white space, or at a quotation mark. Passwords do occur
// with quotation marks, so an @ behind one counts as part of the address.
func addressEnd(s string) int {
	end := strings.IndexAny(s, " \t\r\n")
	if end < 0 {
		end = len(s)
	}
	quote := strings.IndexAny(s[:end], "\"'")
	if quote < 0 {
		return end
	}
	if next := nextAddress.FindStringIndex(s[quote:end]); next != nil {
		end = quote + next[0] // another address, quoted too
	}
	at := strings.LastIndexByte(s[:end], '@')
	if at < quote {
		return quote
	}
	if after := strings.IndexAny(s[at:end], "\"'"); after >= 0 {
		return at + after
	}
	return end
}

// redactUserinfo hides the user part of an address without its scheme. Passwords do occur with an unencoded / ? # or @, so
// the user part may reach to the last @, past the apparent end of the host.
func redactUserinfo(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	host, _, _ := strings.Cut(strings.NewReplacer("?", "/", "#", "/").Replace(s), "/")
	if !strings.Contains(host, "@") && !strings.Contains(s[:at], ":") {
		return s // host/path@2
	}
	return "***" + s[at:]
}
