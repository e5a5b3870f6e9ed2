package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/oodcast/oodcast/publish/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// field is a smooth map with one anomalous hill and a little noise.
func field(w, h int) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	v := make([]float32, w*h)
	for y := range h {
		for x := range w {
			d := math.Hypot(float64(x-2*w/3), float64(y-h/2))
			v[y*w+x] = float32(rng.NormFloat64()*0.4 + 12*math.Exp(-d*d/40))
		}
	}
	return v
}

func encodings() []schema.AnomalyMap_Encoding {
	return []schema.AnomalyMap_Encoding{schema.AnomalyMap_ENCODING_U8, schema.AnomalyMap_ENCODING_U16}
}

func TestMapRoundTrip(t *testing.T) {
	dec, err := schema.NewDecoder()
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	for _, e := range encodings() {
		for _, compress := range []bool{false, true} {
			enc, err := schema.NewEncoder(compress)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range [][2]int{{128, 64}, {1, 1}, {3, 5}, {61, 33}} {
				t.Run(fmt.Sprintf("%v/compress=%v/%dx%d", e, compress, size[0], size[1]), func(t *testing.T) {
					w, h := size[0], size[1]
					values := field(w, h)
					in := &schema.AnomalyMap{Camera: "front", Seq: 7, Width: uint32(w), Height: uint32(h), Encoding: e}
					payload, _, err := enc.Encode(in, values)
					if err != nil {
						t.Fatal(err)
					}
					m, got, err := dec.Decode(payload)
					if err != nil {
						t.Fatal(err)
					}
					if !proto.Equal(m, in) {
						t.Errorf("decoded message differs:\n got %v\nwant %v", m, in)
					}
					levels := 255.0
					if e == schema.AnomalyMap_ENCODING_U16 {
						levels = 65535
					}
					// Half a quantisation step, plus the rounding of float32 at the end of the range.
					tol := float64(m.GetValueMax()-m.GetValueMin())/levels/2 + 1e-6*math.Abs(float64(m.GetValueMax()))
					for i := range values {
						if d := math.Abs(float64(got[i] - values[i])); d > tol {
							t.Fatalf("value %d = %v, want %v ± %v", i, got[i], values[i], tol)
						}
					}
				})
			}
		}
	}
}

func TestCompressionOnlyWhenItShrinks(t *testing.T) {
	enc, err := schema.NewEncoder(true)
	if err != nil {
		t.Fatal(err)
	}
	flat := make([]float32, 128*64)
	_, how, err := enc.Encode(&schema.AnomalyMap{Width: 128, Height: 64, Encoding: 2}, flat)
	if err != nil || how != "zstd" {
		t.Errorf("flat map: encoding %q, %v, want zstd", how, err)
	}
	_, how, err = enc.Encode(&schema.AnomalyMap{Width: 128, Height: 64, Encoding: 2}, field(128, 64))
	if err != nil || how != "" {
		t.Errorf("noisy 16-bit map: encoding %q, %v, want none", how, err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	enc, err := schema.NewEncoder(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		v := []float32{0, float32(bad)}
		if _, _, err := enc.Encode(
			&schema.AnomalyMap{Width: 2, Height: 1, Encoding: 1}, v,
		); !errors.Is(err, schema.ErrNotFinite) {
			t.Errorf("Encode(%v) = %v, want ErrNotFinite", bad, err)
		}
	}
	_, _, err = enc.Encode(&schema.AnomalyMap{Width: 2, Height: 2, Encoding: 1}, make([]float32, 3))
	if want := "map of 2x2 cells has 3 values"; err == nil || err.Error() != want {
		t.Errorf("Encode(short) = %v, want %q", err, want)
	}
}

func TestValuesRefuses(t *testing.T) {
	valid := func() *schema.AnomalyMap {
		return &schema.AnomalyMap{Width: 2, Height: 2, Encoding: 1, Step: 2, ValueMax: 1, Data: []byte{1, 2, 3, 4}}
	}
	for _, c := range []struct {
		name string
		edit func(*schema.AnomalyMap)
		want string
	}{
		{"no cells", func(m *schema.AnomalyMap) { m.Width = 0 }, "map of 0x2 cells: want 1..4194304 cells"},
		{
			"overflow", func(m *schema.AnomalyMap) { m.Width, m.Height = 1<<31, 1<<31 },
			"map of 2147483648x2147483648 cells: want 1..4194304 cells",
		},
		{
			"short", func(m *schema.AnomalyMap) { m.Data = m.Data[:3] },
			"map of 2x2 cells has 3 bytes in rows of 2, want 4 in rows of 2",
		},
		{"step", func(m *schema.AnomalyMap) { m.Step = 3 }, "map of 2x2 cells has 4 bytes in rows of 3, want 4 in rows of 2"},
		{"encoding", func(m *schema.AnomalyMap) { m.Encoding = 0 }, "map encoding ENCODING_UNSPECIFIED: want u8 or u16"},
		{"range", func(m *schema.AnomalyMap) { m.ValueMin = 2 }, "map value range 2..1"},
		{"nan", func(m *schema.AnomalyMap) { m.ValueMax = float32(math.NaN()) }, "map value range 0..NaN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := valid()
			c.edit(m)
			if _, err := schema.Values(m); err == nil || err.Error() != c.want {
				t.Errorf("Values() = %v, want %q", err, c.want)
			}
		})
	}
	if v, err := schema.Values(valid()); err != nil || len(v) != 4 {
		t.Errorf("Values(valid) = %v, %v", v, err)
	}
}

func TestParseUpdate(t *testing.T) {
	threshold, paused := float32(3.5), true
	for _, c := range []struct {
		in   string
		want schema.Update
		err  string
	}{
		{`{"timesteps":5}`, schema.Update{Timesteps: &schema.Timesteps{N: 5}}, ""},
		{`{"timesteps":[0,4,9]}`, schema.Update{Timesteps: &schema.Timesteps{List: []int{0, 4, 9}}}, ""},
		{
			`{"timesteps":"auto","latency_budget":"120ms"}`,
			schema.Update{Timesteps: &schema.Timesteps{Auto: true}, LatencyBudget: new(schema.Duration(120 * time.Millisecond))},
			"",
		},
		{`{"timesteps_min":2,"timesteps_max":0}`, schema.Update{TimestepsMin: new(2), TimestepsMax: new(0)}, ""},
		{`{"timesteps_max":2.5}`, schema.Update{}, "timesteps_max: got a number 2.5, want a whole number"},
		{`{"threshold":3.5,"paused":true}`, schema.Update{Threshold: &threshold, Paused: &paused}, ""},
		{
			`{"timesteps":"many"}`,
			schema.Update{},
			`timesteps: got "many", want a whole number, a list of timesteps or "auto"`,
		},
		{`{"timesteps":2.5}`, schema.Update{}, `timesteps: got 2.5, want a whole number, a list of timesteps or "auto"`},
		{`{"threshold":"high"}`, schema.Update{}, "threshold: got a string, want a number"},
		{`{"threshold":1e300}`, schema.Update{}, "threshold: got a number 1e300, want a number"},
		{`{"latency_budget":120}`, schema.Update{}, `duration: got 120, want a string such as "120ms"`},
		{`{"latency_budget":"-1s"}`, schema.Update{}, `duration: got "-1s", want a string such as "120ms"`},
		{`{"step":5}`, schema.Update{}, `unknown field "step"`},
		{
			`{}`,
			schema.Update{},
			"request sets nothing: want one or more of timesteps, latency_budget, timesteps_min, timesteps_max, threshold, paused",
		},
		{`[]`, schema.Update{}, "request is a JSON array, want an object"},
		{``, schema.Update{}, `request is not JSON: want an object such as {"timesteps": 5}`},
		{`{"timesteps":5}x`, schema.Update{}, "request has data after its JSON object"},
		{strings.Repeat(" ", 20000), schema.Update{}, "request has 20000 bytes, more than 16384"},
	} {
		got, err := schema.ParseUpdate([]byte(c.in))
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("ParseUpdate(%.60s) = %v, want %q", c.in, err, c.err)
			}
			continue
		}
		if err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("ParseUpdate(%s) = %v, %s", c.in, err, cmp.Diff(c.want, got))
		}
		b, err := json.Marshal(got)
		if err != nil || string(b) != c.in {
			t.Errorf("Marshal = %s, %v, want %s", b, err, c.in)
		}
	}
}

func TestSubjects(t *testing.T) {
	s := schema.Subjects{Prefix: "oodcast", Site: "default"}
	for got, want := range map[string]string{
		s.Of("front", schema.KindMap):  "oodcast.v1.default.front.map",
		s.Event("front", "start"):      "oodcast.v1.default.front.event.start",
		s.Control("front", "get"):      "oodcast.v1.default.front.ctl.get",
		s.Of("*", schema.KindSnapshot): "oodcast.v1.default.*.snapshot",
	} {
		if got != want {
			t.Errorf("subject %q, want %q", got, want)
		}
	}
	for name, ok := range map[string]bool{
		"front": true, "cam_0": true, "": false, "0cam": false, "Front": false, "a.b": false, "a*": false, "_x": false,
		strings.Repeat("a", 64): false,
	} {
		if err := schema.CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v, want ok=%v", name, err, ok)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, compress := range []bool{false, true} {
		enc, err := schema.NewEncoder(compress)
		if err != nil {
			f.Fatal(err)
		}
		for _, e := range encodings() {
			b, _, err := enc.Encode(&schema.AnomalyMap{Width: 8, Height: 4, Encoding: e}, make([]float32, 32))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(bytes.Clone(b))
		}
	}
	dec, err := schema.NewDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = dec.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		m, values, err := dec.Decode(b)
		if err != nil {
			return
		}
		if len(values) != int(m.GetWidth()*m.GetHeight()) {
			t.Errorf("%d values for %dx%d", len(values), m.GetWidth(), m.GetHeight())
		}
		for _, v := range values {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("value %v", v)
			}
		}
	})
}

func FuzzParseUpdate(f *testing.F) {
	for _, s := range []string{`{"timesteps":5}`, `{"timesteps":[1,2],"threshold":1}`, `{"latency_budget":"1s"}`, `{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := schema.ParseUpdate(b)
		if err != nil {
			if strings.ContainsRune(err.Error(), '\n') || len(err.Error()) > 400 {
				t.Errorf("error %q, want one short line", err)
			}
			return
		}
		out, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := schema.ParseUpdate(out); err != nil || !cmp.Equal(u, again) {
			t.Errorf("%s changes when parsed again: %v", out, err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, e := range encodings() {
		for _, compress := range []bool{false, true} {
			b.Run(fmt.Sprintf("cells=128x64/%v/compress=%v", e, compress), func(b *testing.B) {
				enc, err := schema.NewEncoder(compress)
				if err != nil {
					b.Fatal(err)
				}
				values := field(128, 64)
				m := &schema.AnomalyMap{Width: 128, Height: 64, Encoding: e}
				var n int
				b.ReportAllocs()
				for b.Loop() {
					p, _, err := enc.Encode(m, values)
					if err != nil {
						b.Fatal(err)
					}
					n = len(p)
				}
				b.ReportMetric(float64(n), "bytes/map")
			})
		}
	}
}

// TestTraceParent checks the format of W3C Trace Context, and that only messages of the same frame have the same header.
func TestTraceParent(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)
	first := schema.TraceParent("default", "front", at)
	if !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`).MatchString(first) {
		t.Errorf("traceparent %q", first)
	}
	if again := schema.TraceParent("default", "front", at.In(time.FixedZone("", 3600))); again != first {
		t.Errorf("one frame has %q and %q", first, again)
	}
	for _, other := range []string{
		schema.TraceParent("default", "rear", at), schema.TraceParent("lab", "front", at),
		schema.TraceParent("default", "front", at.Add(1)),
	} {
		if other == first {
			t.Errorf("two frames have the same header %q", other)
		}
	}
}
