// Package visible makes text harmless that somebody else has chosen: a name, a message or an error that came from the bus, a
// camera, a bundle or a file system can neither act on a terminal nor forge a line of a log.
package visible

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// hidden reports whether a terminal acts on a rune instead of showing it: control characters, which begin escape sequences, and
// those that change the direction of text.
func hidden(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// escape writes a rune that must not reach a terminal, in a form that is also valid in a JSON string.
func escape(b []byte, r rune) []byte { return fmt.Appendf(b, `\u%04x`, r) }

// Text returns s on one line, with every control character escaped. It is for names, messages and other text that comes from
// a file system, a camera, a bundle or the bus.
func Text(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b []byte
	for _, r := range s { // an invalid byte becomes U+FFFD
		if hidden(r) {
			b = escape(b, r)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// Writer passes on text and escapes every control character but tabs and ends of lines. Nothing that a verb prints can act
// on a terminal, whoever has chosen the text. It is safe for concurrent use.
type Writer struct {
	mu   sync.Mutex
	to   io.Writer
	rest []byte // the beginning of a rune or of the end of a line, or empty
}

// NewWriter returns a writer that passes text on to to.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to} }

// Write escapes and writes p. It keeps back what only the next bytes can tell.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := append(w.rest, p...)
	out := make([]byte, 0, len(in)+16)
	for len(in) > 0 && (utf8.FullRune(in) && !bytes.Equal(in, []byte("\r"))) {
		r, n := utf8.DecodeRune(in)
		switch {
		case r == '\r' && in[1] == '\n', r == '\n', r == '\t':
			out = append(out, in[:n]...)
		case hidden(r):
			out = escape(out, r)
		default:
			out = utf8.AppendRune(out, r)
		}
		in = in[n:]
	}
	w.rest = bytes.Clone(in)
	if _, err := w.to.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Unwrap returns the writer below w if it is a Writer, for binary output and programs that draw; otherwise w itself.
func Unwrap(w io.Writer) io.Writer {
	if v, ok := w.(*Writer); ok {
		return v.to
	}
	return w
}
