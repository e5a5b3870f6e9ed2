package preview

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"github.com/oodcast/oodcast/ingest"
)

const fuzzOffer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=rtpmap:96 vp8/90000\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"

// FuzzReadOffer reads offers. Those that are accepted ask for one video and can be written again, also for a restart.
func FuzzReadOffer(f *testing.F) {
	f.Add(fuzzOffer)
	f.Add(strings.ReplaceAll(fuzzOffer, "a=mid:0\r\n", "a=mid:0\r\na=sendrecv\r\n"))
	h264 := strings.ReplaceAll(fuzzOffer, "96\r\na=ice", "97 96\r\na=ice") + "a=rtpmap:97 h264/90000\r\n" +
		"a=fmtp:97 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
	f.Add(h264)
	camera := ingest.Coding{Profile: 66, Constraints: 0xC0, Level: 31}
	if o, err := readOffer(h264, camera); err != nil || o.h264 == nil {
		f.Fatalf("readOffer() = %v, %v: want H.264", o, err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := readOffer(text, camera)
		if err != nil {
			return
		}
		if o.h264 == nil && o.vp8 == nil {
			t.Error("accepted without a codec")
		}
		again, err := restartOffer(o, fragment{ufrag: "a", password: "b", candidates: []string{"1 1 udp 1 127.0.0.1 9 typ host"}})
		if err != nil {
			t.Skip("text that the SDP package reads and does not write again")
		}
		for _, offer := range []*offer{o, again} {
			receives := 0
			for _, m := range offer.MediaDescriptions {
				if d := direction(m, &sdp.SessionDescription{}); m.MediaName.Media != "application" && d == "recvonly" {
					receives++
				} else if m.MediaName.Media != "application" && d != "inactive" {
					t.Errorf("a section is %s", d)
				}
			}
			if receives != 1 {
				t.Errorf("%d sections receive", receives)
			}
		}
	})
}

// FuzzFragment reads the bodies of PATCH requests. What is accepted has usable candidates only.
func FuzzFragment(f *testing.F) {
	f.Add("a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=video 9 X 0\r\na=mid:0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n")
	f.Add("hello")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := readFragment(text)
		if err != nil {
			return
		}
		for _, c := range got.candidates {
			if !usable(c) || strings.ContainsAny(c, "\r\n") {
				t.Errorf("candidate %q", c)
			}
		}
	})
}

// FuzzMarshal writes texts as JSON: what a client reads is the plain text.
func FuzzMarshal(f *testing.F) {
	f.Add("a\x1b]0;\u202e\\u001b<&>\u2028\r\n\"é\x7f\u009b\xff")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := marshal(map[string]string{text: text})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		want := plain(strings.NewReplacer("\r", " ", "\b", " ", "\f", " ").Replace(strings.ToValidUTF8(text, "\ufffd")))
		for k, v := range got {
			if plain(v) != v || k != v {
				t.Errorf("%q becomes %q", text, v)
			}
			if strings.ToValidUTF8(text, "") == text && v != want {
				t.Errorf("%q becomes %q, want %q", text, v, want)
			}
		}
	})
}
