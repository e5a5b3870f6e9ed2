package preview

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain replaces what would control a terminal or hide the order of a text: control characters, marks of writing
// direction, line separators. Cameras, and whoever writes on the bus, choose the texts that people read here.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\u2028', r == '\u2029':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs):
			return unicode.ReplacementChar
		default:
			return r
		}
	}, text)
}

// marshal returns v as JSON in which all texts are plain.
func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		n := 1
		switch {
		case b[i] != '\\' && b[i] < utf8.RuneSelf:
		case b[i] != '\\':
			_, n = utf8.DecodeRune(b[i:])
		case b[i+1] == 'u':
			n = 6
		default:
			n = 2
		}
		out = append(out, plainPart(b[i:i+n])...)
		i += n
	}
	return out, nil
}

// plainPart makes one rune of JSON plain, or one escape.
func plainPart(part []byte) []byte {
	switch {
	case part[0] != '\\':
		return []byte(plain(string(part)))
	case bytes.IndexByte([]byte(`"\/`), part[1]) >= 0:
		return part
	case part[1] != 'u': // \b \f \n \r \t
		return []byte{' '}
	}
	code, err := strconv.ParseUint(string(part[2:]), 16, 16)
	if text := plain(string(rune(code))); err != nil || text != string(rune(code)) {
		return []byte(text)
	}
	return part // <, > and &
}
