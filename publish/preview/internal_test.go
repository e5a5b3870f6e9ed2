package preview

import (
	"testing"

	"github.com/oodcast/oodcast/publish/schema"
)

func TestBanner(t *testing.T) {
	for _, c := range []struct {
		state string
		frame bool
		want  string
	}{
		{schema.StateLive, true, ""},
		{schema.StateLive, false, "WAITING"},
		{schema.StateConnecting, false, "WAITING"},
		{schema.StateStalled, true, "NO SIGNAL"},
		{schema.StateDown, false, "NO SIGNAL"},
		{schema.StateEnded, true, "ENDED"},
	} {
		if got := bannerFor(schema.Status{State: c.state}, c.frame); got != c.want {
			t.Errorf("bannerFor(%s, %v) = %q, want %q", c.state, c.frame, got, c.want)
		}
	}
}

func TestHub(t *testing.T) {
	var h hub[int]
	h.send(0)
	c, stop := h.listen(2)
	for i := range 5 {
		h.send(i)
	}
	if a, b := <-c, <-c; a != 3 || b != 4 {
		t.Errorf("got %d, %d, want the newest, 3, 4", a, b)
	}
	stop()
	stop()
	if h.len() != 0 {
		t.Error("still listening")
	}
}
