package preview_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/publish/schema"
)

// rawSection is a section of an offer as browsers write it.
func rawSection(kind, port, payloads, mid, direction, maps string) string {
	return fmt.Sprintf("m=%s %s UDP/TLS/RTP/SAVPF %s\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n"+
		"a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\na=fingerprint:sha-256 %s\r\na=setup:actpass\r\na=mid:%s\r\n"+
		"a=%s\r\na=rtcp-mux\r\na=rtcp-rsize\r\n%s", kind, port, payloads, strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), mid, direction, maps)
}

func rawOffer(bundle string, sections ...string) string {
	return "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE " + bundle + "\r\na=msid-semantic: WMS\r\n" + strings.Join(sections, "")
}

const (
	rawVP8  = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n"
	rawH264 = "a=rtpmap:97 H264/90000\r\na=fmtp:97 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
	rawOpus = "a=rtpmap:111 opus/48000/2\r\n"
	rawData = "a=sctp-port:5000\r\n"
)

// TestRawOffers answers offers in all the forms that players write, and refuses with a reason what is no offer to receive VP8.
// An answer has as many sections as its offer, in the same order.
func TestRawOffers(t *testing.T) {
	cfg := testConfig()
	cfg.MaxViewers = 100
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	video := func(mid, direction string) string { return rawSection("video", "9", "96", mid, direction, rawVP8) }
	audio := func(mid string) string { return rawSection("audio", "9", "111", mid, "recvonly", rawOpus) }
	plain := rawOffer("0", video("0", "recvonly"))
	data := strings.ReplaceAll(rawSection("application", "9", "webrtc-datachannel", "1", "sendrecv", rawData), "UDP/TLS/RTP/SAVPF", "UDP/DTLS/SCTP")
	var many strings.Builder
	for i := range 600 {
		fmt.Fprintf(&many, "a=candidate:%d 1 udp 2113937151 10.0.%d.%d 51472 typ host\r\n", i, i/250, i%250+1)
	}
	for _, c := range []struct {
		name, offer string
		want        int
	}{
		{"video", plain, 201},
		{"sendrecv", rawOffer("0", video("0", "sendrecv")), 201},
		{"sendonly", rawOffer("0", video("0", "sendonly")), 400},
		{"inactive", rawOffer("0", video("0", "inactive")), 400},
		{"no direction", strings.ReplaceAll(plain, "a=recvonly\r\n", ""), 201},
		{"direction of the session", strings.Replace(strings.ReplaceAll(plain, "a=recvonly\r\n", ""), "a=msid", "a=sendonly\r\na=msid", 1), 400},
		{"small letters", strings.ReplaceAll(plain, "VP8", "vp8"), 201},
		{"mixed letters", strings.ReplaceAll(plain, "VP8", "Vp8"), 201},
		{"H.264 alone", rawOffer("0", rawSection("video", "9", "97", "0", "recvonly", rawH264)), 400},
		{"H.264 and VP8", rawOffer("0", rawSection("video", "9", "97 96", "0", "recvonly", rawH264+rawVP8)), 201},
		{"VP8 mapped but not offered", rawOffer("0", rawSection("video", "9", "97", "0", "recvonly", rawH264+rawVP8)), 400},
		{"H.264, then VP8", rawOffer("0 1", rawSection("video", "9", "97", "0", "recvonly", rawH264), video("1", "recvonly")), 201},
		{"another number", rawOffer("0", rawSection("video", "9", "120 124", "0", "recvonly", "a=rtpmap:120 VP8/90000\r\na=rtpmap:124 rtx/90000\r\na=fmtp:124 apt=120\r\n")), 201},
		{"audio first", rawOffer("0 1", audio("0"), video("1", "recvonly")), 201},
		{"audio last", rawOffer("0 1", video("0", "recvonly"), audio("1")), 201},
		{"audio alone", rawOffer("0", audio("0")), 400},
		{"max-bundle", rawOffer("0 1", audio("0"), strings.ReplaceAll(strings.ReplaceAll(video("1", "recvonly"), "m=video 9", "m=video 0"), "a=rtcp-mux", "a=bundle-only\r\na=rtcp-mux")), 201},
		{"disabled video", rawOffer("0 1", audio("0"), strings.ReplaceAll(video("1", "recvonly"), "m=video 9", "m=video 0")), 400},
		{"two videos", rawOffer("0 1", video("0", "recvonly"), video("1", "recvonly")), 201},
		{"data channel", rawOffer("0 1", video("0", "recvonly"), data), 201},
		{"name of a section", rawOffer("video", video("video", "recvonly")), 201},
		{"line feeds", strings.ReplaceAll(plain, "\r\n", "\n"), 201},
		{"passive", strings.ReplaceAll(plain, "actpass", "active"), 201},
		{"other profile", strings.ReplaceAll(plain, "UDP/TLS/RTP/SAVPF", "RTP/SAVPF"), 201},
		{"mDNS", plain + "a=candidate:1 1 udp 2113937151 4f0b2f4c-1111-4c3f-9d5d-0123456789ab.local 51472 typ host generation 0 network-cost 999\r\na=end-of-candidates\r\n", 201},
		{"name", plain + "a=candidate:1 1 udp 2113937151 no.such.host.invalid 51472 typ host\r\n", 201},
		{"only garbage", plain + "a=candidate:nonsense\r\na=candidate:\r\na=candidate:1 1 udp x 127.0.0.1 9 typ host\r\n", 201},
		{"link-local", plain + "a=candidate:1 1 udp 2113937151 fe80::1 51472 typ host\r\n", 201},
		{"tcp", plain + "a=candidate:1 1 tcp 1518280447 127.0.0.1 9 typ host tcptype active\r\n", 201},
		{"many", plain + many.String(), 201},
		{"no fingerprint", regexp.MustCompile(`a=fingerprint.*\r\n`).ReplaceAllString(plain, ""), 400},
		{"no ufrag", strings.ReplaceAll(plain, "a=ice-ufrag:abcd\r\n", ""), 400},
		{"no bundle", strings.ReplaceAll(plain, "a=group:BUNDLE 0\r\n", ""), 201},
		{"no names of sections", strings.NewReplacer("a=mid:0\r\n", "", "a=group:BUNDLE 0\r\n", "").Replace(plain), 201},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := send(t, "POST", s.URL()+"whep/front", "application/sdp", c.offer, nil)
			if r.code != c.want {
				t.Fatalf("POST = %d %s, want %d", r.code, r.body, c.want)
			}
			if r.code != http.StatusCreated {
				return
			}
			sections := regexp.MustCompile(`(?m)^m=(\w+)`)
			if got, want := sections.FindAllString(r.body, -1), sections.FindAllString(c.offer, -1); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the answer has sections %v, want %v", got, want)
			}
			if strings.Count(r.body, "a=sendonly") != 1 || !strings.Contains(r.body, "a=candidate:") || strings.Contains(r.body, "a=sendrecv\r\n") && c.name != "data channel" {
				t.Errorf("answer:\n%s", r.body)
			}
			if strings.Contains(r.body, "a=mid:") != strings.Contains(c.offer, "a=mid:") {
				t.Errorf("sections are named in one of offer and answer:\n%s", r.body)
			}
			send(t, "DELETE", resolve(t, s.URL()+"whep/front", r.header.Get("Location")), "", "", nil)
		})
	}
}
