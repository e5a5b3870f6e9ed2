package mcap_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/mcap"
	"github.com/oodcast/oodcast/publish/mcap/mcaptest"
)

// record writes n messages of 600 bytes on two topics; the second topic has no schema.
func record(t *testing.T, w io.Writer, o mcap.Options, n int) *mcap.Writer {
	t.Helper()
	m, err := mcap.NewWriter(w, o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.AddSchema("lab.Reading", "jsonschema", []byte(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.AddChannel(s, "/a", "json", map[string]string{"unit": "m", "by": "test"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.AddChannel(0, "/b", "cbor", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := m.Write([]uint16{a, b}[i%2], uint32(i/2), at(i), at(i-1), body(i)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func at(i int) time.Time { return time.Unix(1700000000, int64(i)*1e6) }

func body(i int) []byte { return fmt.Appendf(nil, "%600d", i) }

func check(t *testing.T, file []byte, n int, ended bool) mcaptest.Recording {
	t.Helper()
	r, err := mcaptest.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Messages) != n || r.Ended != ended {
		t.Fatalf("%d messages, ended %v, want %d, %v", len(r.Messages), r.Ended, n, ended)
	}
	for i, m := range r.Messages {
		if m.Channel.Topic != []string{"/a", "/b"}[i%2] || m.Sequence != uint32(i/2) || !bytes.Equal(m.Data, body(i)) ||
			m.Logged != uint64(at(i).UnixNano()) || m.Published != uint64(at(i-1).UnixNano()) {
			t.Fatalf("message %d is %+v", i, m)
		}
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("plain=%v", plain), func(t *testing.T) {
			var file bytes.Buffer
			const n = 5000 // 3 MB: four chunks
			m := record(t, &file, mcap.Options{Library: "test", Profile: "lab", Plain: plain}, n)
			for range 2 {
				if err := m.Close(); err != nil {
					t.Fatal(err)
				}
			}
			r := check(t, file.Bytes(), n, true)
			if r.Library != "test" || r.Profile != "lab" || r.Chunks != 4 || (r.Compression == "zstd") == plain {
				t.Errorf("%q %q, %d chunks, compression %q", r.Library, r.Profile, r.Chunks, r.Compression)
			}
			a := r.Messages[0]
			if a.Schema.Name != "lab.Reading" || a.Schema.Encoding != "jsonschema" || a.Channel.Encoding != "json" ||
				a.Channel.Metadata["unit"] != "m" || r.Messages[1].Schema.Name != "" {
				t.Errorf("schema %+v, channel %+v", a.Schema, a.Channel)
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	var file bytes.Buffer
	m, err := mcap.NewWriter(&file, mcap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, file.Bytes(), 0, true)
}

// TestWithoutClose reads a file whose writer was not closed: it contains everything that was flushed.
func TestWithoutClose(t *testing.T) {
	var file bytes.Buffer
	m := record(t, &file, mcap.Options{}, 10)
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := m.Write(0, 5, at(10), at(9), body(10)); err != nil {
		t.Fatal(err)
	}
	check(t, file.Bytes(), 10, false)
}

// full is a disk with room for a number of bytes.
type full struct{ room int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestRefuses(t *testing.T) {
	m := record(t, &full{room: 1000}, mcap.Options{Plain: true}, 100)
	for _, err := range []error{m.Flush(), m.Flush(), m.Write(0, 0, at(0), at(0), nil), m.Close()} {
		if !errors.Is(err, errFull) {
			t.Errorf("error on a full disk: %v, want %v", err, errFull)
		}
	}
	if err := m.Flush(); !errors.Is(err, mcap.ErrClosed) {
		t.Errorf("Flush() after Close() = %v", err)
	}
	m = record(t, io.Discard, mcap.Options{}, 0)
	if err := m.Write(7, 0, at(0), at(0), nil); err == nil || err.Error() != "mcap: no channel 7" {
		t.Errorf("Write(7) = %v", err)
	}
	if _, err := m.AddChannel(9, "/x", "json", nil); err == nil || err.Error() != "mcap: topic /x: no schema 9" {
		t.Errorf("AddChannel(9) = %v", err)
	}
	if _, err := mcap.NewWriter(&full{}, mcap.Options{}); !errors.Is(err, errFull) {
		t.Errorf("NewWriter() = %v", err)
	}
}
