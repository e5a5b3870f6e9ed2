package events

import (
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// An event names the voice at its peak, and another one when the peak rises elsewhere. Maps without voices name none.
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
			}
			for y := 10; y < 20; y++ {
				for x := 10; x < 20; x++ {
					m.Values[y*80+x] = 5
				}
			}
			peak, voice := 12*80+13, detector.VoiceUnclaimed
			if i >= 20 {
				peak, voice = 17*80+18, detector.VoiceContrast
			}
			m.Values[peak] = 6 + float32(i)/100
			if with {
				m.Voices[peak] = voice
			}
			tr.Update(m)
			if open := tr.Open(); len(open) > 0 {
				last = open[0]
			}
			want := ""
			if with {
				want = voice.String()
			}
			if len(tr.Open()) > 0 && last.Voice != want {
				t.Fatalf("map %d: voice %q, want %q", i, last.Voice, want)
			}
		}
		if last.ID == "" {
			t.Fatal("no event")
		}
	}
}
