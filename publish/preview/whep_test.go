package preview_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/vp8/vp8test"
)

// viewer is a WHEP player that decodes its stream.
type viewer struct {
	pc       *webrtc.PeerConnection
	location string
	etag     string
	answer   string
	pictures chan vp8test.Picture
	keys     chan bool
	ssrc     chan webrtc.SSRC
}

func offer(t *testing.T) (*webrtc.PeerConnection, string) {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo,
		webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	o, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(o); err != nil {
		t.Fatal(err)
	}
	<-gathered
	return pc, pc.LocalDescription().SDP
}

// resolve returns the address that a reference in an answer from base means.
func resolve(t *testing.T, base, reference string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err == nil {
		u, err = u.Parse(reference)
	}
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

const testToken = "correct-horse-battery"

// watch joins a camera.
func watch(t *testing.T, s *preview.Server, camera string) *viewer {
	t.Helper()
	pc, sdp := offer(t)
	v := &viewer{pc: pc, pictures: make(chan vp8test.Picture, 64), keys: make(chan bool, 65), ssrc: make(chan webrtc.SSRC, 1)}
	pc.OnTrack(func(tr *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		v.ssrc <- tr.SSRC()
		v.read(t, tr)
	})
	r := send(
		t, "POST", s.URL()+"whep/"+camera, "application/sdp", sdp,
		map[string]string{"Authorization": "Bearer " + testToken},
	)
	if r.code != http.StatusCreated {
		t.Fatalf("POST: %d %s", r.code, r.body)
	}
	v.location, v.etag, v.answer = resolve(t, s.URL()+"whep/"+camera, r.header.Get("Location")), r.header.Get("ETag"), r.body
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.body}); err != nil {
		t.Fatal(err)
	}
	return v
}

// read assembles packets into frames and decodes them until the track ends. On a busy machine the socket of this player
// may overflow: like any player, it then asks for a key frame until one arrives.
func (v *viewer) read(t *testing.T, tr *webrtc.TrackRemote) {
	dec, err := vp8test.NewDecoder()
	if err != nil {
		t.Error(err)
		return
	}
	defer dec.Close()
	var (
		frame  []byte
		last   uint16
		broken = true
		asked  = time.Now()
	)
	for {
		p, _, err := tr.ReadRTP()
		if err != nil {
			return
		}
		if !broken && int16(p.SequenceNumber-last) <= 0 {
			continue // sent again, too late for us
		}
		var part codecs.VP8Packet
		b, err := part.Unmarshal(p.Payload)
		if err != nil {
			t.Errorf("vp8 packet: %v", err)
			return
		}
		begins := part.S == 1 && part.PID == 0
		broken = broken || p.SequenceNumber != last+1
		if last = p.SequenceNumber; broken && (!begins || b[0]&1 != 0) {
			if time.Since(asked) > time.Second/2 {
				asked = time.Now()
				_ = v.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(tr.SSRC())}})
			}
			continue
		}
		if begins {
			broken, frame = false, frame[:0]
		}
		if frame = append(frame, b...); p.Marker {
			v.show(t, dec, frame)
		}
	}
}

// show decodes one whole frame.
func (v *viewer) show(t *testing.T, dec *vp8test.Decoder, frame []byte) {
	pic, err := dec.Decode(frame)
	if err != nil {
		t.Errorf("decode: %v", err)
		return
	}
	select {
	case v.pictures <- pic:
		v.keys <- frame[0]&1 == 0
	default: // the test is not looking
	}
}

func (v *viewer) picture(t *testing.T) vp8test.Picture {
	t.Helper()
	select {
	case p := <-v.pictures:
		return p
	case <-time.After(60 * time.Second):
		t.Fatalf("no picture; connection is %v", v.pc.ConnectionState())
		return vp8test.Picture{}
	}
}

type reply struct {
	code   int
	header http.Header
	body   string
}

func send(t *testing.T, method, url, contentType, body string, header map[string]string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for k, h := range header {
		if k == "Host" {
			req.Host = h
		}
		req.Header.Set(k, h)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 60 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// still pushes one frame with a grey gradient and returns it. The test owns a reference.
func still(s *preview.Server, camera string, w, h int) *ingest.Frame {
	f := ingest.NewFrame(w, h)
	f.Camera, f.Captured = camera, time.Now()
	for y := range h {
		for x := range w {
			for c := range 3 {
				f.Pix[3*(y*w+x)+c] = byte(40 + 170*x/w)
			}
		}
	}
	s.Frame(f.Retain())
	return f
}

// TestWHEP has two viewers who join a camera at different times while its picture stands still: both must see the picture
// at once, and leave no trace.
func TestWHEP(t *testing.T) {
	s := start(t, testConfig(), []schema.Camera{newCamera("front")})
	f := still(s, "front", 640, 360)
	defer f.Release()
	for i := range 2 {
		v := watch(t, s, "front")
		if !strings.Contains(v.answer, "a=sendonly") || strings.Contains(v.answer, ".local") {
			t.Errorf("answer:\n%s", v.answer)
		}
		p := v.picture(t)
		if !<-v.keys {
			t.Error("the first picture is no key frame")
		}
		if p.Width != 640 || p.Height != 360 {
			t.Errorf("picture is %dx%d", p.Width, p.Height)
		}
		for _, at := range []int{80, 320, 560} { // the gradient, in limited range
			want := 16 + (40+170*at/640)*219/255
			if got := int(p.I420[100*640+at]); got < want-6 || got > want+6 {
				t.Errorf("luma at x=%d is %d, want %d ± 6", at, got, want)
			}
		}
		if got := s.Viewers("front"); got != i+1 {
			t.Errorf("Viewers() = %d, want %d", got, i+1)
		}
		if i == 1 { // the second one leaves of its own accord
			if r := send(t, "DELETE", v.location, "", "", nil); r.code != 200 {
				t.Errorf("DELETE: %d %s", r.code, r.body)
			}
			wait(t, "the viewer to be gone", func() bool { return s.Viewers("front") == 1 })
			if r := send(t, "DELETE", v.location, "", "", nil); r.code != 404 {
				t.Errorf("second DELETE: %d", r.code)
			}
		}
	}
}

// TestAllInterfaces serves the network, with an additional address for viewers behind NAT.
func TestAllInterfaces(t *testing.T) {
	cfg := testConfig()
	cfg.Listen, cfg.Token = "0.0.0.0:0", testToken
	cfg.WebRTC.ListenUDP, cfg.WebRTC.AdditionalHosts = ":0", []string{"203.0.113.7"}
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	still(s, "front", 320, 240).Release()
	v := watch(t, s, "front")
	if !strings.Contains(v.answer, " 203.0.113.7 ") {
		t.Errorf("the answer does not offer the additional host:\n%s", v.answer)
	}
	if !strings.Contains(v.answer, " 127.0.0.1 ") {
		t.Errorf("the answer does not offer the loopback interface:\n%s", v.answer)
	}
	v.picture(t)
}

// TestKeyframeOnRequest asks for key frames faster than the server makes them.
func TestKeyframeOnRequest(t *testing.T) {
	cam := newCamera("street")
	s := start(t, testConfig(), []schema.Camera{cam})
	feed(t, s, cam, 15)
	v := watch(t, s, "street")
	v.picture(t)
	ssrc := <-v.ssrc
	keys, begin := 0, time.Now()
	for i := 0; time.Since(begin) < 3*time.Second || keys < 2; i++ {
		if time.Since(begin) > time.Minute {
			t.Fatalf("%d key frames in a minute, want 2 or more", keys)
		}
		var ask rtcp.Packet = &rtcp.PictureLossIndication{MediaSSRC: uint32(ssrc)}
		if i%2 == 1 {
			ask = &rtcp.FullIntraRequest{
				MediaSSRC: uint32(ssrc), FIR: []rtcp.FIREntry{{SSRC: uint32(ssrc), SequenceNumber: uint8(i)}},
			}
		}
		if err := v.pc.WriteRTCP([]rtcp.Packet{ask}); err != nil {
			t.Fatal(err)
		}
		v.picture(t)
		if <-v.keys {
			keys++
		}
	}
	took := time.Since(begin)
	if most := int(took/(500*time.Millisecond)) + 2; keys > most { // one in 500 ms, and those of the join
		t.Errorf("%d key frames in %v, want at most %d", keys, took, most)
	}
}

// TestResize changes the size of the frames while a viewer watches.
func TestResize(t *testing.T) {
	s := start(t, testConfig(), []schema.Camera{newCamera("front")})
	still(s, "front", 320, 240).Release()
	v := watch(t, s, "front")
	v.picture(t)
	still(s, "front", 1921, 1081).Release()
	wait(t, "the new size", func() bool {
		p := v.picture(t)
		return p.Width == 960 && p.Height == 540
	})
}

func TestMaxViewers(t *testing.T) {
	cfg := testConfig()
	cfg.MaxViewers = 1
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	watch(t, s, "front")
	_, sdp := offer(t)
	r := send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil)
	if r.code != 503 || r.header.Get("Retry-After") == "" {
		t.Errorf("second viewer: %d %v %s", r.code, r.header, r.body)
	}
	if r := send(t, "GET", s.URL()+"api/v1/cameras/front/stream.mjpg", "", "", nil); r.code != 503 {
		t.Errorf("second viewer over MJPEG: %d", r.code)
	}
}

// A viewer over MJPEG takes a slot from WebRTC and gives it back.
func TestMaxViewersMJPEG(t *testing.T) {
	cfg := testConfig()
	cfg.MaxViewers = 1
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	resp, err := fresh().Get(s.URL() + "api/v1/cameras/front/stream.mjpg")
	if err != nil {
		t.Fatal(err)
	}
	_, sdp := offer(t)
	if r := send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil); r.code != 503 {
		t.Errorf("second viewer: %d %s", r.code, r.body)
	}
	_ = resp.Body.Close()
	wait(t, "a free slot", func() bool {
		return send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil).code == 201
	})
}

// TestHandshakeTimeout has a viewer that sends an offer and never connects.
func TestHandshakeTimeout(t *testing.T) {
	cfg := testConfig()
	cfg.MaxViewers, cfg.WebRTC.HandshakeTimeout = 1, time.Second
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	_, sdp := offer(t)
	if r := send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil); r.code != 201 {
		t.Fatalf("POST: %d %s", r.code, r.body)
	}
	wait(t, "a free slot", func() bool {
		return send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil).code == 201
	})
}

func TestWHEPProtocol(t *testing.T) {
	s := start(t, testConfig(), []schema.Camera{newCamera("front")})
	base := strings.TrimSuffix(s.URL(), "/")
	v := watch(t, s, "front")
	session := strings.TrimPrefix(v.location, base)
	const frag = "application/trickle-ice-sdpfrag"
	_, sdp := offer(t)
	for _, c := range []struct {
		name, method, path, contentType, body string
		header                                map[string]string
		want                                  int
	}{
		{"options", "OPTIONS", "/whep/front", "", "", nil, 204},
		{"head", "HEAD", "/whep/front", "", "", nil, 200},
		{"head of a session", "HEAD", session, "", "", nil, 204},
		{"options of a session", "OPTIONS", session + "/", "", "", nil, 204},
		{"get", "GET", "/whep/front", "", "", nil, 200},
		{"get with a slash", "GET", "/whep/front/", "", "", nil, 200},
		{"get of a session", "GET", session, "", "", nil, 204},
		{"get of nobody", "GET", "/whep/front/nobody", "", "", nil, 404},
		{"put", "PUT", "/whep/front", "application/sdp", sdp, nil, 405},
		{"delete of the endpoint", "DELETE", "/whep/front", "", "", nil, 405},
		{"post to a session", "POST", session, "application/sdp", sdp, nil, 405},
		{"post with a slash", "POST", "/whep/front/", "application/sdp", sdp, nil, 201},
		{"small letters", "POST", "/whep/front", "application/sdp", strings.ReplaceAll(sdp, "VP8/90000", "vp8/90000"), nil, 201},
		{"line feeds", "POST", "/whep/front", "application/sdp", strings.ReplaceAll(sdp, "\r\n", "\n"), nil, 201},
		{"sends to us", "POST", "/whep/front", "application/sdp", strings.ReplaceAll(sdp, "recvonly", "sendonly"), nil, 400},
		{"wrong type", "POST", "/whep/front", "text/plain", sdp, nil, 415},
		{"no type", "POST", "/whep/front", "", sdp, nil, 415},
		{"type with charset", "POST", "/whep/front", "application/sdp; charset=utf-8", sdp, nil, 201},
		{"garbage", "POST", "/whep/front", "application/sdp", "hello", nil, 400},
		{"empty", "POST", "/whep/front", "application/sdp", "", nil, 400},
		{"audio only", "POST", "/whep/front", "application/sdp", strings.ReplaceAll(sdp, "m=video", "m=audio"), nil, 400},
		{"no vp8", "POST", "/whep/front", "application/sdp", strings.ReplaceAll(sdp, "VP8/90000", "H265/90000"), nil, 400},
		{"half", "POST", "/whep/front", "application/sdp", sdp[:len(sdp)/2], nil, 400},
		{"huge", "POST", "/whep/front", "application/sdp", strings.Repeat("v=0\r\n", 20000), nil, 413},
		{"no camera", "POST", "/whep/rear", "application/sdp", sdp, nil, 404},
		{"trickle", "PATCH", session, frag, candidate("127.0.0.1"), etag(v.etag), 204},
		{"trickle to a slash", "PATCH", session + "/", frag, candidate("127.0.0.1"), etag(v.etag), 204},
		{"trickle, one of two tags", "PATCH", session, frag, candidate("127.0.0.1"), etag(`"x", W/` + v.etag), 204},
		{"trickle without a tag", "PATCH", session, frag, candidate("127.0.0.1"), nil, 204},
		{"trickle to any tag", "PATCH", session, frag, candidate("127.0.0.1"), etag("*"), 204},
		{"trickle mDNS", "PATCH", session, frag, candidate("4f0b2f4c-1111-4c3f-9d5d-0123456789ab.local"), nil, 204},
		{"trickle a name", "PATCH", session, frag, candidate("camera.invalid"), nil, 204},
		{"trickle garbage", "PATCH", session, frag, "a=candidate:nonsense\r\n", etag(v.etag), 204},
		{"trickle end", "PATCH", session, frag, "a=mid:0\r\na=end-of-candidates\r\n", etag(v.etag), 204},
		{"trickle nothing", "PATCH", session, frag, "", nil, 204},
		{"no fragment", "PATCH", session, frag, "hello", nil, 400},
		{"half a restart", "PATCH", session, frag, "a=ice-ufrag:fresh\r\n", etag("*"), 400},
		{"wrong etag", "PATCH", session, frag, candidate("127.0.0.1"), etag(`"x"`), 412},
		{"patch type", "PATCH", session, "application/json", "{}", etag(v.etag), 415},
		{"patch nobody", "PATCH", "/whep/front/nobody", frag, "", map[string]string{"If-Match": v.etag}, 404},
		{"delete nobody", "DELETE", "/whep/front/nobody", "", "", nil, 404},
		{
			"other site", "POST", "/whep/front", "application/sdp", sdp,
			map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
			403,
		},
		{"foreign name", "POST", "/whep/front", "application/sdp", sdp, map[string]string{"Host": "evil.example"}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := send(t, c.method, base+c.path, c.contentType, c.body, c.header)
			if r.code != c.want {
				t.Errorf("%s %s = %d %s, want %d", c.method, c.path, r.code, r.body, c.want)
			}
			if c.want >= 400 && c.want != http.StatusMethodNotAllowed && !strings.Contains(r.body, `"error":"`) {
				t.Errorf("no reason: %q", r.body)
			}
		})
	}
	if r := send(t, "HEAD", base+"/whep/front", "", "", nil); r.header.Get("Content-Type") != "application/sdp" {
		t.Errorf("HEAD: %v", r.header)
	}
	if r := send(t, "OPTIONS", base+"/whep/front", "", "", nil); r.header.Get("Accept-Post") != "application/sdp" {
		t.Errorf("OPTIONS: %v", r.header)
	}
}

func etag(v string) map[string]string { return map[string]string{"If-Match": v} }

// candidate is a fragment with one address.
func candidate(address string) string {
	return "a=mid:0\r\na=candidate:1 1 udp 2130706431 " + address + " 9 typ host\r\n"
}

// TestNoSignal shows a slate until the camera delivers.
func TestNoSignal(t *testing.T) {
	cam := newCamera("front")
	cam.set(func(s *schema.Status) { s.State = schema.StateConnecting })
	s := start(t, testConfig(), []schema.Camera{cam})
	v := watch(t, s, "front")
	if p := v.picture(t); p.Width != 640 || p.Height != 360 {
		t.Errorf("slate is %dx%d", p.Width, p.Height)
	}
	f := still(s, "front", 320, 240)
	defer f.Release()
	wait(t, "the camera's picture", func() bool { return v.picture(t).Width == 320 })
}

func TestPortTaken(t *testing.T) {
	s := start(t, testConfig(), nil)
	cfg := testConfig()
	cfg.Listen = strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/")
	other, err := preview.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = other.Run(t.Context())
	if want := fmt.Sprintf(
		"http on %s: the port is taken: give another one with --http HOST:PORT", cfg.Listen,
	); !errors.Is(err, preview.ErrPortTaken) || err.Error() != want {
		t.Errorf("Run() = %v, want %q", err, want)
	}
}

// FuzzOffer throws SDP at a server. Whatever it answers, it must stay able to answer.
func FuzzOffer(f *testing.F) {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo); err != nil {
		f.Fatal(err)
	}
	o, err := pc.CreateOffer(nil)
	if err != nil {
		f.Fatal(err)
	}
	_ = pc.GracefulClose()
	f.Add(o.SDP)
	f.Add(strings.ReplaceAll(o.SDP, "sendrecv", "recvonly"))
	f.Add("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n")
	s, err := preview.New(testConfig(), []schema.Camera{newCamera("front")})
	if err != nil {
		f.Fatal(err)
	}
	ctx := f.Context()
	go func() { _ = s.Run(ctx) }()
	<-s.Ready()
	client := &http.Client{Timeout: 60 * time.Second}
	f.Fuzz(func(t *testing.T, sdp string) {
		r, err := client.Post(s.URL()+"whep/front", "application/sdp", bytes.NewReader([]byte(sdp)))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if r.StatusCode == http.StatusInternalServerError {
			b, _ := io.ReadAll(r.Body)
			t.Errorf("500: %s", b)
		}
		if place := r.Header.Get("Location"); place != "" {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.URL()+"whep/"+place, nil)
			if d, err := client.Do(req); err == nil {
				_ = d.Body.Close()
			}
		}
	})
}
