package main

import (
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
)

// The floor and the ceiling of the automatic |T| can be changed while the camera runs: the reply shows the effective values,
// the maps respect them, and invalid values change nothing.
func TestControlBounds(t *testing.T) {
	_, nc := yard(t)
	sub, c := maps(t, nc), client.New(nc)
	set := func(u schema.Update) (schema.Status, error) { return c.Set(t.Context(), "yard", u) }
	bounds := func(least, most int) schema.Update { return schema.Update{TimestepsMin: &least, TimestepsMax: &most} }

	st, err := c.Get(t.Context(), "yard")
	if err != nil || st.TimestepsMin != 1 || st.TimestepsMax != 25 || st.TimestepsOffered != 25 {
		t.Fatalf("at the start: %+v, %v", st, err)
	}
	u := bounds(3, 3) // independent of the load
	u.Timesteps, u.LatencyBudget = &schema.Timesteps{Auto: true}, new(schema.Duration(time.Minute))
	if st, err = set(u); err != nil || !st.Timesteps.Auto || st.TimestepsMin != 3 || st.TimestepsMax != 3 {
		t.Fatalf("after the change: %+v, %v", st, err)
	}
	for kept := 0; kept < 5; {
		m, _ := next(t, sub, 60*time.Second)
		if m.GetModel().GetTimestepsReason() == "" {
			continue // scored before the change
		}
		if n := len(m.GetModel().GetTimesteps()); n != 3 {
			t.Fatalf("|T|=%d, want 3", n)
		}
		kept++
	}
	for _, wrong := range []struct {
		u    schema.Update
		want string
	}{
		{bounds(4, 3), "timesteps_min: got 4, more than timesteps_max, 3"},
		{bounds(0, 26), "timesteps_max: got 26, want 1..25"},
		{bounds(-1, 3), "timesteps_min: got -1, want 1..25"},
	} {
		if _, err := set(wrong.u); err == nil || !strings.Contains(err.Error(), wrong.want) {
			t.Errorf("error %v, want %q", err, wrong.want)
		}
	}
	if st, err = c.Get(t.Context(), "yard"); err != nil || st.TimestepsMin != 3 || st.TimestepsMax != 3 {
		t.Errorf("after rejected changes: %+v, %v", st, err)
	}
	if st, err = set(bounds(0, 0)); err != nil || st.TimestepsMin != 1 || st.TimestepsMax != 25 {
		t.Errorf("reset: %+v, %v", st, err)
	}
}
