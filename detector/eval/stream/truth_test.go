package stream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oodcast/oodcast/detector/eval/stream"
)

func TestParseSpans(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		name, text, err string
		want            []stream.Span
	}{
		{"two", "# people\n6.0 19.9\n\n22.7\t45 # a man\n", "", []stream.Span{{6 * second, 19900 * second / 1000}, {22700 * second / 1000, 45 * second}}},
		{"touching", "0 1\n1 2", "", []stream.Span{{0, second}, {second, 2 * second}}},
		{"none", "# nothing\n", "contains no times", nil},
		{"words", "now then", `line 1: got "now then", want two times in seconds, later than the line before`, nil},
		{"three", "1 2 3", `line 1: got "1 2 3", want two times in seconds, later than the line before`, nil},
		{"empty", "2 2", `line 1: got "2 2", want two times in seconds, later than the line before`, nil},
		{"overlapping", "0 5\n4 6", `line 2: got "4 6", want two times in seconds, later than the line before`, nil},
		{"negative", "-1 2", `line 1: got "-1 2", want two times in seconds, later than the line before`, nil},
		{"not a number", "NaN 2", `line 1: got "NaN 2", want two times in seconds, later than the line before`, nil},
	} {
		got, err := stream.ParseSpans(strings.NewReader(c.text))
		if err != nil && err.Error() != c.err || err == nil && c.err != "" {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func FuzzParseSpans(f *testing.F) {
	for _, seed := range []string{"6.0 19.9\n22.7 45 # x", "1 2 3", "1e5 9e5", "0x1p-2 1", "NaN Inf"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spans, err := stream.ParseSpans(strings.NewReader(text))
		if (err == nil) != (len(spans) > 0) {
			t.Fatalf("%d spans and %v", len(spans), err)
		}
		last := time.Duration(0)
		for _, s := range spans {
			if s.From < last || s.To <= s.From {
				t.Fatalf("span %v after %v", s, last)
			}
			last = s.To
		}
	})
}
