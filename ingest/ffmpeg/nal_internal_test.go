package ffmpeg

import (
	"bytes"
	"os/exec"
	"testing"
	"time"
)

// stream encodes four pictures, each a key frame, as Annex B.
func stream(t testing.TB, args ...string) []byte {
	t.Helper()
	args = append([]string{
		"-v", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5", "-frames:v", "4", "-c:v", "libx264", "-g", "1", "-pix_fmt", "yuv420p",
	}, args...)
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append(args, "-f", "h264", "-")...).Output()
	if err != nil || len(out) == 0 {
		t.Fatalf("ffmpeg: %v: \"make deps\" installs it", err)
	}
	return out
}

// units splits a stream before each delimiter.
func units(s []byte) [][]byte {
	var all [][]byte
	delimiter := []byte{0, 0, 0, 1, nalDelimiter}
	for part := range bytes.SplitSeq(s, delimiter) {
		if len(part) > 0 {
			all = append(all, append(bytes.Clone(delimiter), part...))
		}
	}
	return all
}

// TestParameterSetsAreRepeated has a stream whose parameter sets come but once: its later key frames get them, behind the
// delimiter.
func TestParameterSetsAreRepeated(t *testing.T) {
	w := &watch{}
	for i, unit := range units(stream(t, "-x264-params", "aud=1")) {
		h := readHead(unit)
		if !h.idr || len(h.sps) == 0 || len(h.pps) == 0 || h.after != 6 && h.after != 7 {
			t.Fatalf("head of unit %d: %+v", i, h)
		}
		if changed := w.learn(h); changed != (i == 0) {
			t.Errorf("unit %d: changed %v", i, changed)
		}
		bare := bytes.Replace(bytes.Replace(unit, h.sps, nil, 1), h.pps, nil, 1)
		b := readHead(bare)
		if b.sps != nil || b.pps != nil || !b.idr {
			t.Fatalf("bare head: %+v", b)
		}
		if again := readHead(w.copy(bare, b)); !bytes.Equal(again.sps, h.sps) || !bytes.Equal(again.pps, h.pps) || !again.idr || again.after < 6 {
			t.Errorf("unit %d has sets % x and % x, want % x and % x", i, again.sps, again.pps, h.sps, h.pps)
		}
		if !bytes.Equal(w.copy(unit, h), unit) {
			t.Errorf("unit %d has its sets and was changed", i)
		}
	}
}

// TestKeyFramesTooFarApart has a stream whose key frames are too far apart for once: it suits again after some that are not, or
// when it is another stream.
func TestKeyFramesTooFarApart(t *testing.T) {
	w, h := &watch{}, readHead(stream(t))
	w.learn(h)
	at := time.Now()
	w.count(true, at)
	if f := w.format(0, 0); f != (Format{}) {
		t.Errorf("after one key frame: %+v", f)
	}
	w.count(true, at.Add(slowest))
	if f := w.format(0, 0); f.Unfit != "" || f.Profile == 0 {
		t.Errorf("after two key frames: %+v", f)
	}
	w.told = w.format(0, 0)
	w.count(false, at.Add(2*slowest+time.Millisecond))
	w.count(true, at.Add(2*slowest+2*time.Millisecond))
	if f := w.format(0, 0); f.Unfit != unfitSlow {
		t.Errorf("after a long pause: %+v", f)
	}
	at = at.Add(2 * slowest)
	for i := range regular - 1 { // the first one came late
		if f := w.format(0, 0); f.Unfit != unfitSlow {
			t.Errorf("after %d key frames in time: %+v", i, f)
		}
		at = at.Add(time.Second)
		w.count(true, at)
	}
	if f := w.format(0, 0); f.Unfit != "" {
		t.Errorf("when they come in time again: %+v", f)
	}
	at = at.Add(2 * slowest)
	w.count(true, at)
	w.told = w.format(0, 0)
	other := readHead(stream(t, "-vf", "scale=96:64"))
	if !w.learn(other) {
		t.Error("another size is no change")
	}
	w.count(true, at.Add(time.Second))
	w.count(true, at.Add(2*time.Second))
	if f := w.format(0, 0); f.Unfit != "" || f.Profile == 0 {
		t.Errorf("as another stream: %+v", f)
	}
}

// FuzzUnit has arbitrary bytes where a camera sends access units.
func FuzzUnit(f *testing.F) {
	f.Add(stream(f, "-x264-params", "aud=1"))
	f.Add(stream(f, "-profile:v", "baseline"))
	f.Add([]byte{0, 0, 1})
	f.Add([]byte{0, 0, 0, 1, 0x67, 0, 0, 1, 0x68, 0, 0, 1})
	f.Fuzz(func(t *testing.T, unit []byte) {
		w := &watch{}
		h := readHead(unit)
		w.learn(h)
		w.count(h.idr, time.Now())
		out := w.copy(unit, h)
		if h.after > len(unit) || !bytes.HasSuffix(out, unit[h.after:]) || !bytes.HasPrefix(out, unit[:h.after]) {
			t.Errorf("the copy is another unit: %d of %d bytes", len(out), len(unit))
		}
		if len(out) > 2*len(unit)+8 {
			t.Errorf("%d bytes became %d", len(unit), len(out))
		}
		for _, set := range [][]byte{h.sps, h.pps} {
			if len(set) > 0 && (!bytes.HasPrefix(set, []byte{0, 0, 1}) || set[len(set)-1] == 0) {
				t.Errorf("parameter set % x", set)
			}
		}
		if f := w.format(0, 0); f != (Format{}) && !w.complete() {
			t.Errorf("format %+v without parameter sets", f)
		}
	})
}
