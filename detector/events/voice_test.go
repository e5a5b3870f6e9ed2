package events

import (
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// An event names the voice and the class at its peak, and others when the peak rises elsewhere. Maps without them name none.
func TestEventNamesTheVoiceAtItsPeak(t *testing.T) {
	for _, with := range []bool{true, false} {
		tr := NewTracker(DefaultConfig())
		var last Event
		for i := range 40 {
			m := &detector.Map{
				Camera: "yard", Captured: time.Unix(1000, 0).Add(time.Duration(i) * 100 * time.Millisecond),
				Width: 80, Height: 40, Values: make([]float32, 80*40), Threshold: 4,
			}
			if with {
				m.Voices = make([]detector.Voice, len(m.Values))
				m.Seen, m.Classes = make([]uint16, len(m.Values)), []string{"road", "car", "bus"}
			}
			for y := 10; y < 20; y++ {
				for x := 10; x < 20; x++ {
					m.Values[y*80+x] = 5
				}
			}
			peak, voice, class := 12*80+13, detector.VoiceUnclaimed, uint16(1)
			if i >= 20 {
				peak, voice, class = 17*80+18, detector.VoiceMotion, 2
			}
			m.Values[peak] = 6 + float32(i)/100
			if with {
				m.Voices[peak], m.Seen[peak] = voice, class
			}
			tr.Update(m)
			if open := tr.Open(); len(open) > 0 {
				last = open[0]
			}
			want, seen := "", ""
			if with {
				want, seen = voice.String(), m.Classes[class]
			}
			if category := Category(want); with && voice == detector.VoiceMotion && len(tr.Open()) > 0 && last.Category != category {
				t.Fatalf("map %d: category %q, want %q", i, last.Category, category)
			}
			if len(tr.Open()) > 0 && (last.Voice != want || last.SeenAs != seen) {
				t.Fatalf("map %d: voice %q, seen as %q; want %q, %q", i, last.Voice, last.SeenAs, want, seen)
			}
		}
		if last.ID == "" {
			t.Fatal("no event")
		}
	}
}
