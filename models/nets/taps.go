package nets

import (
	"fmt"
	"strconv"
	"strings"
)

// tap is one entry of a feature list.
type tap struct {
	name   string
	stride int
}

// parseTaps reads NAME@STRIDE,… and checks that all strides are equal.
func parseTaps(spec string) ([]tap, error) {
	var taps []tap
	for part := range strings.SplitSeq(spec, ",") {
		name, after, ok := strings.Cut(strings.TrimSpace(part), "@")
		stride, err := strconv.Atoi(after)
		if !ok || name == "" || err != nil || stride < 1 {
			return nil, fmt.Errorf("nets: features: got %q, want NAME@STRIDE, such as %s", part, DefaultFeatures)
		}
		taps = append(taps, tap{name, stride})
		if stride != taps[0].stride {
			return nil, fmt.Errorf("nets: features: got strides %d and %d in %q, want the same for all",
				taps[0].stride, stride, spec)
		}
	}
	return taps, nil
}

// tapsStride returns the common stride of a feature list, or 0 if it is faulty.
func tapsStride(spec string) int {
	taps, err := parseTaps(spec)
	if err != nil {
		return 0
	}
	return taps[0].stride
}

// tapsChannels returns the number of features of a token; size returns the channels and the stride of a tap.
func tapsChannels(spec string, size func(name string) (channels, stride int)) int {
	taps, _ := parseTaps(spec)
	n := 0
	for _, t := range taps {
		w, _ := size(t.name)
		n += w
	}
	return n
}
