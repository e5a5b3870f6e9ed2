package configs

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// reference matches ${NAME} and ${NAME:-default}, and the escaped form $${…}.
var reference = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}`)

// expand replaces references to environment variables in a value, so that secrets need not be in the file: ${NAME}, or
// ${NAME:-default} for a variable that may be unset or empty. $${…} yields ${…}.
func expand(value string) (string, error) {
	var missing error
	out := reference.ReplaceAllStringFunc(value, func(ref string) string {
		if strings.HasPrefix(ref, "$$") {
			return ref[1:]
		}
		m := reference.FindStringSubmatch(ref)
		v, ok := os.LookupEnv(m[1])
		if m[2] != "" && v == "" {
			return m[2][2:]
		}
		if !ok {
			missing = fmt.Errorf("environment variable %s is not set; ${%s:-…} provides a default", m[1], m[1])
		}
		return v
	})
	return out, missing
}
