package configs

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// reference matches ${NAME} and ${NAME:-default}; $${…} stands for itself.
var reference = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}`)

// expand puts environment variables into a value, so that secrets need not be in the file: ${NAME}, or ${NAME:-default}
// for one that may be unset or empty.
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
			missing = fmt.Errorf("environment variable %s is not set; ${%s:-…} gives a default", m[1], m[1])
		}
		return v
	})
	return out, missing
}
