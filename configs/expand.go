package configs

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/oodcast/oodcast/ingest"
)

// reference matches ${NAME} and ${NAME:-default}, and the escaped form $${…}.
var reference = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}`)

// expand replaces references to environment variables in a value, so that secrets need not be in the file: ${NAME}, or
// ${NAME:-default} for a variable that may be unset or empty. $${…} yields ${…}. In the user part of an address, and as the
// value of a parameter of its query, the variable's content is encoded, so that it may hold any characters.
func expand(value string) (string, error) {
	var missing error
	var out strings.Builder
	mask := reference.ReplaceAllStringFunc(value, func(ref string) string { return strings.Repeat("x", len(ref)) })
	last := 0
	for _, m := range reference.FindAllStringSubmatchIndex(value, -1) {
		begin, end := m[0], m[1]
		out.WriteString(value[last:begin])
		last = end
		if strings.HasPrefix(value[begin:end], "$$") {
			out.WriteString(value[begin+1 : end])
			continue
		}
		name := value[m[2]:m[3]]
		v, ok := os.LookupEnv(name)
		switch {
		case m[4] >= 0 && v == "":
			v = value[m[4]+2 : m[5]]
		case !ok:
			missing = fmt.Errorf("environment variable %s is not set; ${%s:-…} provides a default", name, name)
		}
		out.WriteString(encodeAt(mask, begin, end, v))
	}
	out.WriteString(value[last:])
	return out.String(), missing
}

// encodeAt returns v encoded for its place in a value, mask[begin:end]; in mask, letters stand for all references.
func encodeAt(mask string, begin, end int, v string) string {
	address := strings.LastIndex(mask[:begin], "://")
	if address < 0 {
		return v
	}
	sparing := false // FFmpeg's addresses have a bound, and what else is special in other places does not matter there
	for _, scheme := range []string{"rtsp://", "rtsps://", "http://", "https://", "rtmp://", "rtmps://"} {
		sparing = sparing || strings.HasPrefix(strings.ToLower(mask), scheme)
	}
	address += len("://")
	authority := mask[address:]
	if i := strings.IndexAny(authority, "/?# \t\r\n"); i >= 0 {
		authority = authority[:i]
	}
	login := mask[address : address+max(0, strings.LastIndexByte(authority, '@'))]
	switch at := begin - address; {
	case login == mask[begin:end] && at == 0: // user:password in one variable
		user, password, both := strings.Cut(v, ":")
		if !both {
			return ingest.EscapeLogin(v, sparing)
		}
		return ingest.EscapeLogin(user, sparing) + ":" + ingest.EscapeLogin(password, sparing)
	case at < len(login):
		return ingest.EscapeLogin(v, sparing)
	case mask[begin-1] == '=' && strings.Contains(mask[address:begin], "?") && !strings.ContainsAny(mask[address:begin], "# \t\r\n") &&
		(end == len(mask) || strings.IndexByte("&#\"' \t\r\n", mask[end]) >= 0):
		return ingest.EscapeLogin(v, false)
	}
	return v
}
