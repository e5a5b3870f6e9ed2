package visible

import (
	"bytes"
	"io"
	"testing"
)

func TestVisibleWriter(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain ä€日 \t|T|\n", "plain ä€日 \t|T|\n"},
		{"a\x1b[2Jb", `a\u001b[2Jb`},
		{"a\u009bb\x7f\x00", `a\u009bb\u007f\u0000`},
		{"one\r\ntwo\rover\n", "one\r\ntwo" + `\u000d` + "over\n"},
		{"\u202eabc", `\u202eabc`},
		{"bad \x9b byte", "bad \ufffd byte"},
	} {
		var whole, pieces bytes.Buffer
		if _, err := io.WriteString(NewWriter(&whole), tt.in); err != nil || whole.String() != tt.want {
			t.Errorf("%q becomes %q, %v, want %q", tt.in, whole.String(), err, tt.want)
		}
		w := NewWriter(&pieces)
		for i := range len(tt.in) {
			if n, err := w.Write([]byte{tt.in[i]}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if pieces.String() != tt.want {
			t.Errorf("%q, byte by byte, becomes %q, want %q", tt.in, pieces.String(), tt.want)
		}
	}
}
