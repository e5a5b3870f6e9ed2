package preview_test

import (
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/oodcast/oodcast/publish/schema"
)

// player is a pion connection that offers what a test wants, and counts what it receives.
type player struct {
	pc      *webrtc.PeerConnection
	packets chan struct{} // of video; holds the first ones
}

func newPlayer(t *testing.T, setup func(*webrtc.PeerConnection) error) *player {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	if err := setup(pc); err != nil {
		t.Fatal(err)
	}
	p := &player{pc: pc, packets: make(chan struct{}, 8)}
	pc.OnTrack(func(tr *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			if _, _, err := tr.ReadRTP(); err != nil {
				return
			}
			select {
			case p.packets <- struct{}{}:
			default:
			}
		}
	})
	return p
}

// offer returns the player's offer after edit, with all its addresses.
func (p *player) offer(t *testing.T, options *webrtc.OfferOptions, edit func(string) string) string {
	t.Helper()
	o, err := p.pc.CreateOffer(options)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(o); err != nil {
		t.Fatal(err)
	}
	<-gathered
	return edit(p.pc.LocalDescription().SDP)
}

func (p *player) accept(t *testing.T, answer string) {
	t.Helper()
	err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
	if err != nil {
		t.Fatalf("%v\n%s", err, answer)
	}
}

func (p *player) receives(t *testing.T) {
	t.Helper()
	for len(p.packets) > 0 {
		<-p.packets
	}
	for range 3 {
		select {
		case <-p.packets:
		case <-time.After(60 * time.Second):
			t.Fatalf("nothing arrives; connection is %v", p.pc.ConnectionState())
		}
	}
}

// add returns the set-up of a player with these sections, such as "audio recvonly".
func add(sections ...string) func(*webrtc.PeerConnection) error {
	return func(pc *webrtc.PeerConnection) error {
		for _, s := range sections {
			kind, direction, _ := strings.Cut(s, " ")
			_, err := pc.AddTransceiverFromKind(
				webrtc.NewRTPCodecType(kind),
				webrtc.RTPTransceiverInit{Direction: webrtc.NewRTPTransceiverDirection(direction)},
			)
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// rejected matches a section that the answer rejects.
var rejected = regexp.MustCompile(`(?m)^m=\w+ 0 `)

// TestOffers has players offer in the ways that are in use. All play, and the answer sends only.
func TestOffers(t *testing.T) {
	s := start(t, testConfig(), []schema.Camera{newCamera("front")})
	still(s, "front", 320, 240).Release()
	as := func(text string) string { return text }
	noPaths := func(text string) string {
		return regexp.MustCompile(`(?m)^a=(candidate|end-of-candidates).*\r\n`).ReplaceAllString(text, "")
	}
	with := func(line string) func(string) string {
		return func(text string) string { return noPaths(text) + "a=" + line + "\r\n" }
	}
	for _, c := range []struct {
		name  string
		setup func(*webrtc.PeerConnection) error
		edit  func(string) string
	}{
		{"video", add("video recvonly"), as},
		{"sendrecv", add("video sendrecv"), as},
		{"no direction", add("video recvonly"), func(text string) string { return strings.ReplaceAll(text, "a=recvonly\r\n", "") }},
		{"video and audio", add("video recvonly", "audio recvonly"), as},
		{"audio first", add("audio recvonly", "video recvonly"), as},
		{"audio first, without addresses", add("audio recvonly", "video recvonly"), noPaths},
		{"audio first, sendrecv", add("audio sendrecv", "video sendrecv"), as},
		{"two videos", add("video recvonly", "video recvonly"), as},
		{"small letters", add("video recvonly"), func(text string) string { return strings.ReplaceAll(text, " VP8/90000", " vp8/90000") }},
		{"unknown audio first", add("audio recvonly", "video recvonly"), func(text string) string {
			return regexp.MustCompile(`(?i)opus/48000/2|PCMU/8000|PCMA/8000|G722/8000`).ReplaceAllString(text, "L16/44100")
		}},
		{"mDNS", add("video recvonly"), with("candidate:1 1 udp 2113937151 4f0b2f4c-1111-4c3f-9d5d-0123456789ab.local 51472 typ host")},
		{"name", add("video recvonly"), with("candidate:1 1 udp 2113937151 camera.invalid 51472 typ host")},
		{"garbage", add("video recvonly"), with("candidate:nonsense")},
		{"port", add("video recvonly"), with("candidate:1 1 udp 2113937151 127.0.0.1 99999999 typ host")},
		{"tcp", add("video recvonly"), with("candidate:1 1 tcp 1518280447 127.0.0.1 9 typ host tcptype active")},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlayer(t, c.setup)
			r := send(t, "POST", s.URL()+"whep/front", "application/sdp", p.offer(t, nil, c.edit), nil)
			if r.code != http.StatusCreated {
				t.Fatalf("POST: %d %s", r.code, r.body)
			}
			if n := strings.Count(r.body, "a=sendonly"); n != 1 || strings.Contains(r.body, "a=sendrecv") || strings.Contains(r.body, "a=recvonly") {
				t.Errorf("answer:\n%s", r.body)
			}
			if rejected.MatchString(r.body) && c.name != "unknown audio first" {
				t.Errorf("the answer rejects a section, which a bundle may need:\n%s", r.body)
			}
			p.accept(t, r.body)
			p.receives(t)
			if r := send(t, "DELETE", resolve(t, s.URL()+"whep/front", r.header.Get("Location")), "", "", nil); r.code != 200 {
				t.Errorf("DELETE: %d", r.code)
			}
		})
	}
}

// TestLocation resolves the session's address below the paths of reverse proxies, with and without a slash.
func TestLocation(t *testing.T) {
	s := start(t, testConfig(), []schema.Camera{newCamera("front")})
	for _, path := range []string{"whep/front", "whep/front/"} {
		_, sdp := offer(t)
		r := send(t, "POST", s.URL()+path, "application/sdp", sdp, nil)
		got := resolve(t, "https://site.example/cams/"+path, r.header.Get("Location"))
		if !regexp.MustCompile(`^https://site\.example/cams/whep/front/[0-9a-f]{32}$`).MatchString(got) {
			t.Errorf("POST %s: %d, the session is at %s", path, r.code, got)
		}
	}
}

// TestICERestart restarts ICE as a player does whose network has changed: by new credentials, whatever If-Match says.
func TestICERestart(t *testing.T) {
	for _, tag := range []string{"*", ""} {
		t.Run(tag, func(t *testing.T) {
			s := start(t, testConfig(), []schema.Camera{newCamera("front")})
			still(s, "front", 320, 240).Release()
			p := newPlayer(t, add("audio recvonly", "video recvonly"))
			r := send(t, "POST", s.URL()+"whep/front", "application/sdp", p.offer(t, nil, func(text string) string { return text }), nil)
			p.accept(t, r.body)
			p.receives(t)
			place, before := resolve(t, s.URL()+"whep/front", r.header.Get("Location")), r.header.Get("ETag")
			restart(t, p, place, before, r.body, tag)
			if n := s.Viewers("front"); n != 1 {
				t.Errorf("Viewers() = %d, want 1", n)
			}
		})
	}
}

func restart(t *testing.T, p *player, place, before, answer, tag string) {
	t.Helper()
	const frag = "application/trickle-ice-sdpfrag"
	offer := p.offer(t, &webrtc.OfferOptions{ICERestart: true}, func(text string) string { return text })
	lines := regexp.MustCompile(`(?m)^a=(ice-ufrag|ice-pwd|candidate):.*$`)
	header := map[string]string{}
	if tag != "" {
		header["If-Match"] = tag
	}
	body := strings.Join(lines.FindAllString(offer, -1), "\r\n")
	r := send(t, "PATCH", place, frag, body, header)
	if r.code != http.StatusOK || r.header.Get("Content-Type") != frag || r.header.Get("ETag") == before || r.header.Get("ETag") == "" {
		t.Fatalf("PATCH: %d %v %s", r.code, r.header, r.body)
	}
	credentials := regexp.MustCompile(`(?m)^a=ice-(ufrag|pwd):.*$`)
	fresh := credentials.FindAllString(r.body, -1)
	if len(fresh) != 2 || strings.Contains(answer, fresh[0]) || !strings.Contains(r.body, "a=candidate:") {
		t.Fatalf("the answer to a restart:\n%s", r.body)
	}
	next := 0
	answer = credentials.ReplaceAllStringFunc(answer, func(string) string { next++; return fresh[(next-1)%2] })
	p.accept(t, answer)
	p.receives(t)
	if r := send(t, "PATCH", place, frag, body, etag(before)); r.code != http.StatusPreconditionFailed {
		t.Errorf("PATCH with the tag before the restart: %d", r.code)
	}
	if r := send(t, "PATCH", place, frag, body, etag(r.header.Get("ETag"))); r.code != http.StatusNoContent {
		t.Errorf("the same fragment again: %d %s, want no second restart", r.code, r.body)
	}
}

// TestJunkKeepsNobodyOut sends what is no offer, and then real offers, as fast as it can: viewers at other addresses join.
func TestJunkKeepsNobodyOut(t *testing.T) {
	cfg := testConfig()
	cfg.MaxViewers = 200
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	_, sdp := offer(t)
	for range 200 {
		if r := send(t, "POST", s.URL()+"whep/front", "application/sdp", "v=0\r\nhello", nil); r.code != http.StatusBadRequest {
			t.Fatalf("junk: %d", r.code)
		}
	}
	limited := false
	for i := 0; i < 120 && !limited; i++ {
		r := send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil)
		if limited = r.code == http.StatusTooManyRequests; !limited {
			send(t, "DELETE", resolve(t, s.URL()+"whep/front", r.header.Get("Location")), "", "", nil)
		}
	}
	t.Logf("limited: %v", limited) // not on a machine that is too slow
	r, err := from("127.0.0.2").Post(s.URL()+"whep/front", "application/sdp", strings.NewReader(sdp))
	if err != nil {
		t.Fatal(err)
	}
	if _ = r.Body.Close(); r.StatusCode != http.StatusCreated {
		t.Errorf("another address: %d", r.StatusCode)
	}
}

// TestHalfOpenMakeRoom fills all places with viewers that never connect: others get a place long before their time is
// over.
func TestHalfOpenMakeRoom(t *testing.T) {
	cfg := testConfig()
	cfg.MaxViewers, cfg.WebRTC.HandshakeTimeout = 2, time.Minute
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	still(s, "front", 320, 240).Release()
	watching := watch(t, s, "front")
	watching.picture(t)
	_, sdp := offer(t)
	if r := send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil); r.code != http.StatusCreated {
		t.Fatal(r.code)
	}
	begin := time.Now()
	wait(t, "a place", func() bool {
		return send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil).code == http.StatusCreated
	})
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("a place after %v", d)
	}
	if n := s.Viewers("front"); n != 1 {
		t.Errorf("Viewers() = %d: the one that watches must stay", n)
	}
}

// TestSilentViewerMakesRoom cuts off a viewer without a word, as a crash of its browser does: while others wait it has its
// place for a few seconds, not until ICE gives up after 18.
func TestSilentViewerMakesRoom(t *testing.T) {
	cfg := testConfig()
	cfg.MaxViewers = 1
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	still(s, "front", 320, 240).Release()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEUDPMux(webrtc.NewICEUDPMux(nil, conn))
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err == nil {
		err = add("video recvonly")(pc)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	p := &player{pc: pc}
	r := send(t, "POST", s.URL()+"whep/front", "application/sdp", p.offer(t, nil, func(text string) string { return text }), nil)
	p.accept(t, r.body)
	wait(t, "the viewer", func() bool { return s.Viewers("front") == 1 })
	_, sdp := offer(t)
	if r := send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil); r.code != http.StatusServiceUnavailable {
		t.Fatalf("while the viewer watches: %d", r.code)
	}
	_ = conn.Close()
	begin := time.Now()
	wait(t, "its place", func() bool {
		return send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil).code == http.StatusCreated
	})
	if d := time.Since(begin); d > 14*time.Second {
		t.Errorf("its place is free after %v", d)
	}
}
