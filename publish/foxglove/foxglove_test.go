package foxglove_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/foxglove"
	"github.com/oodcast/oodcast/publish/mcap/mcaptest"
	"github.com/oodcast/oodcast/publish/schema"
)

var update = flag.Bool("update", false, "write testdata/recording.mcap; then run testdata/read.mjs")

// begin is the capture time of the first map.
var begin = time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)

// hill is a map of 6 × 4 cells of 20 × 25 pixels with its peak at (4, 1).
func hill(n int) client.Map {
	at := begin.Add(time.Duration(n) * 100 * time.Millisecond)
	m := client.Map{
		AnomalyMap: &schema.AnomalyMap{
			Stamp: timestamppb.New(at), FrameId: "front_optical_frame", Seq: uint64(n), Site: "default", Camera: "front",
			Width: 6, Height: 4, ImageWidth: 120, ImageHeight: 100, CellWidth: 20, CellHeight: 25, Threshold: 4, Peak: 8,
		},
		Captured: at, Values: make([]float32, 24),
	}
	for i := range m.Values {
		m.Values[i] = float32(i%6) / 2
	}
	m.Values[1*6+4] = 8
	return m
}

// half is hill with only the right half of the picture in the region of interest.
func half(n int) client.Map {
	m := hill(n)
	m.Roi = []byte{0b00_111000, 0b1000_1110, 0b111000_11}
	return m
}

func message(kind string, revision int, n int) schema.Event {
	return schema.Event{
		ID: "front-1", Revision: revision, Type: kind, Site: "default", Camera: "front", Start: begin,
		Time: begin.Add(time.Duration(n) * 100 * time.Millisecond), Box: schema.Box{X: 0.5, Y: 0.25, Width: 0.25, Height: 0.5},
		Peak: 8, Mean: 6, Threshold: 4, Area: 0.125, DurationMS: int64(100 * n), Timesteps: []int{1, 2}, Bundle: "roadscene",
		PeakTime: begin,
	}
}

// record records a short scene: maps, an event that starts and ends, a picture, and a camera that goes down.
func record(t *testing.T, o foxglove.Options) []byte {
	t.Helper()
	var file bytes.Buffer
	clock := begin
	o.Now = func() time.Time { clock = clock.Add(time.Millisecond); return clock }
	o.Library = "oodcast test"
	r, err := foxglove.NewRecorder(&file, o)
	if err != nil {
		t.Fatal(err)
	}
	start := message("start", 1, 1)
	start.Polygon = [][2]float64{{0.5, 0.25}, {0.75, 0.25}, {0.75, 0.75}}
	for _, err := range []error{
		r.Status(schema.Status{Camera: "front", State: "live", Since: begin, Time: begin, Timesteps: schema.Timesteps{N: 2}}),
		r.Map(hill(0)),
		r.Score(schema.Score{Camera: "front", Captured: begin, Peak: 8, Mean: 1.5, Threshold: 4, Timesteps: []int{1, 2}}),
		r.Event(start),
		r.Map(half(1)),
		r.Event(message("update", 2, 2)),
		r.Map(hill(2)),
		r.Event(message("end", 3, 3)),
		r.Map(hill(3)),
		r.Snapshot(client.Snapshot{Camera: "front", Captured: begin, JPEG: []byte("\xff\xd8 picture \xff\xd9")}),
		r.Status(schema.Status{Camera: "front", State: "down", Reason: "timed out", Since: begin, Time: begin.Add(time.Second)}),
		r.Close(), r.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return file.Bytes()
}

// TestSchemas compares our messages with those in Foxglove's own package, see testdata/schemas.mjs.
func TestSchemas(t *testing.T) {
	b, err := os.ReadFile("testdata/schemas.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]map[string]string
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	messages := foxglove.File_foxglove_proto.Messages()
	for i := range messages.Len() {
		m := messages.Get(i)
		got[string(m.FullName())] = fields(m)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-official +ours:\n%s", d)
	}
}

func fields(m protoreflect.MessageDescriptor) map[string]string {
	out := map[string]string{}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		kind := f.Kind().String()
		switch f.Kind() {
		case protoreflect.MessageKind:
			kind = string(f.Message().FullName())
			if f.Message().ParentFile() == m.ParentFile() {
				kind = string(f.Message().Name())
			}
		case protoreflect.EnumKind:
			kind = string(f.Enum().Name())
		}
		switch {
		case f.IsList():
			kind = "repeated " + kind
		case f.HasOptionalKeyword():
			kind = "optional " + kind
		}
		out[string(f.Name())] = fmt.Sprintf("%d %s", f.Number(), kind)
	}
	for i := range m.Enums().Len() {
		values := m.Enums().Get(i).Values()
		for j := range values.Len() {
			out[string(values.Get(j).Name())] = fmt.Sprint(values.Get(j).Number())
		}
	}
	return out
}

// TestRecording compares a recording of the scene with the one that Foxglove's libraries have read.
func TestRecording(t *testing.T) {
	const golden = "testdata/recording.mcap"
	file := record(t, foxglove.Options{Grid: true})
	if *update {
		if err := os.WriteFile(golden, file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want, err := mcaptest.Read(before)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mcaptest.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	// The bytes of the file are not compared, because another version of zstd may compress them differently. Nor is the JSON,
	// whose fields package schema defines.
	if d := cmp.Diff(protobufs(want), protobufs(got)); d != "" {
		t.Errorf("-%s +now:\n%s", golden, d)
	}
}

// protobufs removes the bytes of JSON messages and their schemas from a recording.
func protobufs(r mcaptest.Recording) mcaptest.Recording {
	for id, s := range r.Schemas {
		if s.Encoding != "protobuf" {
			s.Data = nil
			r.Schemas[id] = s
		}
	}
	for i, m := range r.Messages {
		if m.Schema.Encoding != "protobuf" {
			r.Messages[i].Data, r.Messages[i].Schema.Data = nil, nil
		}
	}
	return r
}

// official is the output of testdata/read.mjs: the recording as Foxglove's libraries read it.
type official struct {
	SHA256   string `json:"sha256"`
	Library  string `json:"library"`
	Total    string `json:"messages_in_statistics"`
	Messages []struct {
		Topic    string          `json:"topic"`
		Schema   string          `json:"schema"`
		Encoding string          `json:"encoding"`
		Logged   string          `json:"log_time"`
		Time     string          `json:"publish_time"`
		Message  json.RawMessage `json:"message"`
	} `json:"messages"`
}

func readOfficial(t *testing.T) official {
	t.Helper()
	b, err := os.ReadFile("testdata/recording.json")
	if err != nil {
		t.Fatal(err)
	}
	var o official
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("testdata/recording.mcap")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(file); o.SHA256 != hex.EncodeToString(sum[:]) {
		t.Fatal("testdata/recording.json belongs to another recording: run testdata/read.mjs")
	}
	return o
}

// TestReadByFoxglove compares the recording as Foxglove's libraries read it with what was recorded.
func TestReadByFoxglove(t *testing.T) {
	o := readOfficial(t)
	if o.Library != "oodcast test" || o.Total != fmt.Sprint(len(o.Messages)) {
		t.Errorf("library %q, %s messages in the statistics, %d in the file", o.Library, o.Total, len(o.Messages))
	}
	topics := map[string][]json.RawMessage{}
	for i, m := range o.Messages {
		topics[m.Topic+" "+m.Schema+" "+m.Encoding] = append(topics[m.Topic+" "+m.Schema+" "+m.Encoding], m.Message)
		if want := fmt.Sprint(begin.Add(time.Duration(i+1) * time.Millisecond).UnixNano()); m.Logged != want {
			t.Errorf("message %d was logged at %s, want %s", i, m.Logged, want)
		}
	}
	counts := map[string]int{}
	for topic, messages := range topics {
		counts[topic] = len(messages)
	}
	if d := cmp.Diff(map[string]int{
		"/front/anomaly/map foxglove.RawImage protobuf":           4,
		"/front/anomaly/grid foxglove.Grid protobuf":              4,
		"/front/anomaly/boxes foxglove.ImageAnnotations protobuf": 4,
		"/front/image/boxes foxglove.ImageAnnotations protobuf":   4,
		"/front/image foxglove.CompressedImage protobuf":          1,
		"/front/log foxglove.Log protobuf":                        4,
		"/front/anomaly/score oodcast.v1.Score json":              1,
		"/front/anomaly/event oodcast.v1.Event json":              3,
		"/front/status oodcast.v1.Status json":                    2,
	}, counts); d != "" {
		t.Errorf("topics -want +got:\n%s", d)
	}
	for n, raw := range topics["/front/anomaly/map foxglove.RawImage protobuf"] {
		checkImage(t, raw, [...]client.Map{hill(0), half(1), hill(2), hill(3)}[n])
	}
	for n, raw := range topics["/front/anomaly/grid foxglove.Grid protobuf"] {
		checkGrid(t, raw, [...]client.Map{hill(0), half(1), hill(2), hill(3)}[n])
	}
	for n, want := range []string{"", "60,25 90,25 90,75", "60,25 90,25 90,75 60,75", ""} {
		checkBoxes(t, topics["/front/image/boxes foxglove.ImageAnnotations protobuf"][n], want)
	}
	for n, want := range []string{"", "3,1 4.5,1 4.5,3", "3,1 4.5,1 4.5,3 3,3", ""} {
		checkBoxes(t, topics["/front/anomaly/boxes foxglove.ImageAnnotations protobuf"][n], want)
	}
	var lines []string
	for _, raw := range topics["/front/log foxglove.Log protobuf"] {
		l := decode[struct{ Level, Message, Name string }](t, raw)
		lines = append(lines, l.Level+" "+l.Name+": "+l.Message)
	}
	if d := cmp.Diff([]string{
		"INFO front: camera live",
		"WARNING front: event front-1 start: peak 8.0, 12.50 % of the image at 62%,50%",
		"INFO front: event front-1 end: peak 8.0, lasted 300ms",
		"ERROR front: camera down: timed out",
	}, lines); d != "" {
		t.Errorf("log -want +got:\n%s", d)
	}
	picture := decode[struct {
		Data   string
		Format string
		Frame  string `json:"frame_id"`
	}](t, topics["/front/image foxglove.CompressedImage protobuf"][0])
	if string(decodeBase64(t, picture.Data)) != "\xff\xd8 picture \xff\xd9" || picture.Format != "jpeg" || picture.Frame != "front_optical_frame" {
		t.Errorf("picture %+v", picture)
	}
	if s := decode[schema.Score](t, topics["/front/anomaly/score oodcast.v1.Score json"][0]); s.Peak != 8 || s.Mean != 1.5 {
		t.Errorf("score %+v", s)
	}
}

func decode[T any](t *testing.T, raw json.RawMessage) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

func decodeBase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stamp is a time in the JSON of Foxglove's protobuf library.
type stamp struct {
	Seconds string
	Nanos   int
}

func (s stamp) equal(at time.Time) bool {
	return s.Seconds == fmt.Sprint(at.Unix()) && s.Nanos == at.Nanosecond()
}

func checkImage(t *testing.T, raw json.RawMessage, m client.Map) {
	t.Helper()
	img := decode[struct {
		Timestamp           stamp
		Width, Height, Step int
		Encoding, Data      string
		Frame               string `json:"frame_id"`
	}](t, raw)
	if !img.Timestamp.equal(m.Captured) || img.Width != 6 || img.Height != 4 || img.Step != 24 || img.Encoding != "32FC1" ||
		img.Frame != "front_optical_frame" {
		t.Errorf("image %+v", img)
	}
	data := decodeBase64(t, img.Data)
	for i, want := range m.Values {
		got := math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		if inside := m.Judged(i%6, i/6); inside && got != want || !inside && !math.IsNaN(float64(got)) {
			t.Errorf("pixel %d is %v, want %v (judged: %v)", i, got, want, inside)
		}
	}
}

func checkGrid(t *testing.T, raw json.RawMessage, m client.Map) {
	t.Helper()
	type vector struct{ X, Y, Z, W float64 }
	g := decode[struct {
		Timestamp stamp
		Pose      struct{ Position, Orientation vector }
		Columns   int    `json:"column_count"`
		Size      vector `json:"cell_size"`
		Row       int    `json:"row_stride"`
		Cell      int    `json:"cell_stride"`
		Fields    []struct {
			Name   string
			Offset int
			Type   string
		}
		Data string
	}](t, raw)
	cellH := 25.0 / 20 / 6 // the grid is 1 m wide
	if !g.Timestamp.equal(m.Captured) || g.Columns != 6 || g.Row != 48 || g.Cell != 8 || len(g.Fields) != 2 ||
		math.Abs(g.Size.X-1.0/6) > 1e-12 || math.Abs(g.Size.Y-cellH) > 1e-12 ||
		g.Pose.Position.X != -0.5 || math.Abs(g.Pose.Position.Y+2*cellH) > 1e-12 || g.Pose.Position.Z != 1 ||
		g.Pose.Orientation != (vector{W: 1}) || g.Fields[0].Name != "value" || g.Fields[0].Type != "FLOAT32" ||
		g.Fields[1].Offset != 4 {
		t.Errorf("grid %+v", g)
	}
	data := decodeBase64(t, g.Data)
	for i, want := range m.Values {
		value := math.Float32frombits(binary.LittleEndian.Uint32(data[8*i:]))
		level := math.Float32frombits(binary.LittleEndian.Uint32(data[8*i+4:]))
		if m.Judged(i%6, i/6) && (value != want || level != want/8) { // the threshold is 4
			t.Errorf("cell %d is %v at level %v, want %v", i, value, level, want)
		}
	}
}

func checkBoxes(t *testing.T, raw json.RawMessage, want string) {
	t.Helper()
	a := decode[struct {
		Points []struct {
			Type   string
			Points []struct{ X, Y float64 }
		}
		Texts []struct{ Text string }
	}](t, raw)
	got := ""
	for _, p := range a.Points {
		if p.Type != "LINE_LOOP" {
			t.Errorf("type %s", p.Type)
		}
		for i, c := range p.Points {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("%g,%g", c.X, c.Y)
		}
	}
	if got != want || len(a.Texts) != len(a.Points) || want != "" && a.Texts[0].Text != "8.0" {
		t.Errorf("outline %q with %v, want %q", got, a.Texts, want)
	}
}
