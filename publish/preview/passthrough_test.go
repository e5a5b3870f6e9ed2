package preview_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/vp8/vp8test"
)

// tappedCoding is a tap that remembers what the camera sends.
type tappedCoding struct {
	ingest.Tap
	source *ingest.Supervisor
	mu     sync.Mutex
	coding ingest.Coding
}

func (t *tappedCoding) Coding(c ingest.Coding) {
	t.Tap.Coding(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.coding = c
}

func (t *tappedCoding) newest() ingest.Coding {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.coding
}

// connect lets a server show an RTSP camera, over reconnects, until the test ends. It returns when the camera's coding is known,
// or, if it sends no H.264, its pictures come.
func connect(t testing.TB, s *preview.Server, cam *camera, server *ingesttest.RTSPServer) *tappedCoding {
	t.Helper()
	cfg := ingest.DefaultConfig()
	cfg.Name, cfg.URI, cfg.ReadTimeout, cfg.OpenTimeout = cam.name, server.URL(), 20*time.Second, time.Minute
	cfg.Reconnect.Min, cfg.Reconnect.Max = 100*time.Millisecond, 200*time.Millisecond
	tap := &tappedCoding{Tap: s}
	src, err := source.New(cfg, ingest.NewPool(5), source.Settings{Tap: tap})
	if err != nil {
		t.Fatal(err)
	}
	sup := ingest.NewSupervisor(src, cfg.Reconnect, func(st ingest.Status) {
		cam.set(func(c *schema.Status) { c.State = string(st.State) })
	}, 1)
	tap.source = sup
	ctx, stop := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() {
		_ = sup.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
			s.Frame(f)
			return nil
		})
	})
	t.Cleanup(func() {
		stop()
		run.Wait()
	})
	eventually(t, "the camera's pictures", func() bool { return tap.newest().Profile != 0 || sup.Stats().Read > 30 })
	return tap
}

// eventually is wait for benchmarks, too.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(60 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// taker is a WHEP player that takes what its codecs say, and keeps what it gets.
type taker struct {
	pc     *webrtc.PeerConnection
	reply  reply
	answer string
	ask    atomic.Bool // for a key frame after every picture
	later  atomic.Bool // VP8 is decoded later

	mu struct {
		sync.Mutex
		h264    []byte      // access units, from the first key frame on
		times   []time.Time // when they were complete
		vp8     []vp8test.Picture
		order   []string // the codecs, one entry for each change
		faults  []string
		frames  [][]byte    // of VP8 that is decoded later
		arrived []time.Time // when they were complete
	}
}

// What players take.
var (
	takeVP8  = webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, PayloadType: 96}
	takeBase = takeH264("42e01f", 102)
	takeMain = takeH264("4d001f", 104)
	takeHigh = takeH264("64001f", 106)
)

func takeH264(profile string, payload webrtc.PayloadType) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90000,
			SDPFmtpLine:  "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=" + profile,
			RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}},
		},
		PayloadType: payload,
	}
}

// play posts an offer of these codecs to a path below whep/.
func play(t testing.TB, s *preview.Server, path string, takes ...webrtc.RTPCodecParameters) *taker {
	t.Helper()
	media := &webrtc.MediaEngine{}
	for _, c := range takes {
		if err := media.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
	}
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(roomy(t))).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	p := &taker{pc: pc}
	pc.OnTrack(func(tr *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { p.read(tr) })
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
	resp, err := fresh().Post(s.URL()+"whep/"+path, "application/sdp", strings.NewReader(pc.LocalDescription().SDP))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	p.reply, p.answer = reply{resp.StatusCode, resp.Header, body.String()}, body.String()
	if resp.StatusCode != http.StatusCreated {
		return p
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: p.answer}); err != nil {
		t.Fatal(err)
	}
	return p
}

// roomy returns settings with a socket that holds key frames on a busy machine.
func roomy(t testing.TB) webrtc.SettingEngine {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	mux := webrtc.NewICEUDPMux(nil, conn)
	t.Cleanup(func() { _ = mux.Close() })
	s := webrtc.SettingEngine{}
	s.SetICEUDPMux(mux)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetIncludeLoopbackCandidate(true)
	return s
}

// read takes the packets of both codecs apart until the track ends. On a busy machine the socket may overflow: then pictures are
// left out up to the next key frame.
func (p *taker) read(tr *webrtc.TrackRemote) {
	dec, err := vp8test.NewDecoder()
	if err != nil {
		return
	}
	defer dec.Close()
	var last *rtp.Packet
	picture := assembly{}
	for {
		pkt, _, err := tr.ReadRTP()
		if err != nil {
			return
		}
		now := time.Now()
		if last != nil {
			if int16(pkt.SequenceNumber-last.SequenceNumber) <= 0 {
				continue // sent again, too late for us
			}
			p.compare(last, pkt)
		}
		picture.add(pkt, last != nil && pkt.SequenceNumber != last.SequenceNumber+1)
		last = pkt
		if !pkt.Marker {
			continue
		}
		p.show(&picture, dec, now)
		if p.ask.Load() {
			_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(tr.SSRC())}})
		}
	}
}

// compare checks that two packets belong to one RTP stream.
func (p *taker) compare(a, b *rtp.Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.SSRC != a.SSRC || b.SequenceNumber-a.SequenceNumber > 2000 || int32(b.Timestamp-a.Timestamp) < 0 {
		p.mu.faults = append(p.mu.faults, fmt.Sprintf("packet %d at %d of %d after %d at %d of %d",
			b.SequenceNumber, b.Timestamp, b.SSRC, a.SequenceNumber, a.Timestamp, a.SSRC))
	}
}

// assembly makes pictures of packets.
type assembly struct {
	h264   codecs.H264Packet
	codec  string
	data   []byte
	broken bool // something is missing since the last key frame
	fault  error
}

func (a *assembly) add(pkt *rtp.Packet, gap bool) {
	codec := "H264"
	if pkt.PayloadType == 96 {
		codec = "VP8"
	}
	if gap || codec != a.codec {
		a.broken, a.h264, a.data = true, codecs.H264Packet{}, nil
	}
	a.codec = codec
	var b []byte
	if codec == "VP8" {
		var part codecs.VP8Packet
		if b, a.fault = part.Unmarshal(pkt.Payload); a.broken && part.S == 1 && part.PID == 0 && len(b) > 0 && b[0]&1 == 0 {
			a.broken, a.data = false, nil
		}
	} else if b, a.fault = a.h264.Unmarshal(pkt.Payload); a.broken && bytes.HasPrefix(b, []byte{0, 0, 0, 1, 0x67}) {
		a.broken, a.data = false, nil
	}
	a.data = append(a.data, b...)
}

// show takes note of a whole picture.
func (p *taker) show(a *assembly, dec *vp8test.Decoder, now time.Time) {
	data := a.data
	a.data = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.mu.order); n == 0 || p.mu.order[n-1] != a.codec {
		p.mu.order = append(p.mu.order, a.codec)
	}
	fault := a.fault
	switch {
	case a.broken || len(data) == 0:
	case a.codec == "H264":
		p.mu.h264, p.mu.times = append(p.mu.h264, data...), append(p.mu.times, now)
	case p.later.Load():
		p.mu.frames, p.mu.arrived = append(p.mu.frames, data), append(p.mu.arrived, now)
	default:
		var pic vp8test.Picture
		if pic, fault = dec.Decode(data); fault == nil {
			p.mu.vp8 = append(p.mu.vp8, pic)
		}
	}
	if fault != nil {
		p.mu.faults = append(p.mu.faults, fault.Error())
	}
}

// got returns how many pictures came of each codec, and in which order the codecs came.
func (p *taker) got() (h264, vp8 int, order string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.times), len(p.mu.vp8), strings.Join(p.mu.order, " ")
}

// pictures returns how many pictures have come.
func (p *taker) pictures() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.times) + len(p.mu.vp8) + len(p.mu.frames)
}

// decodeH264 decodes with the program ffmpeg what a player got, scaled to w x h.
func (p *taker) decodeH264(t testing.TB, w, h int) []*ingest.Frame {
	t.Helper()
	p.mu.Lock()
	stream := bytes.Clone(p.mu.h264)
	p.mu.Unlock()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-flags", "low_delay", "-f", "h264", "-i", "-", "-fps_mode", "passthrough",
		"-s", fmt.Sprintf("%dx%d", w, h), "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
	cmd.Stdin = bytes.NewReader(stream)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("ffmpeg: %v: %s", err, &complaints)
	}
	var frames []*ingest.Frame
	for pix := range slices.Chunk(out, 3*w*h) {
		f := ingest.NewFrame(w, h)
		copy(f.Pix, pix)
		frames = append(frames, f)
	}
	return frames
}

// checkBars checks a picture of ingesttest.Bars: red grows to the right, green downwards.
func checkBars(t *testing.T, f *ingest.Frame) {
	t.Helper()
	at := func(x, y int) []byte { return f.Pix[3*(y*f.Width+x):][:3] }
	near := func(got byte, want int) bool { return int(got) > want-24 && int(got) < want+24 }
	good := 0
	for _, x := range []int{40, 160, 280} { // the bar may hide one of them
		if c := at(x, 200); near(c[0], 255*x/320) && near(c[1], 255*200/240) && near(c[2], 96) {
			good++
		}
	}
	if good < 2 {
		t.Errorf("colours are %v, %v, %v", at(40, 200), at(160, 200), at(280, 200))
	}
}

// metric returns the value of one of a registry's metrics of a camera, 0 if it is not there.
func metric(t testing.TB, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			all := true
			for _, want := range labels {
				has := false
				for _, l := range m.GetLabel() {
					has = has || l.GetName()+"="+l.GetValue() == want
				}
				all = all && has
			}
			if all {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// TestPassthrough has cameras and viewers of all sorts. A viewer who takes the camera's H.264 gets it, without anything being
// encoded for it; all others get VP8.
func TestPassthrough(t *testing.T) {
	const front = "camera=front"
	for _, c := range []struct {
		name   string
		camera ingesttest.RTSPConfig
		path   string
		off    bool
		takes  []webrtc.RTPCodecParameters
		want   string
	}{
		{name: "baseline", camera: ingesttest.RTSPConfig{Codec: "H264", Profile: "baseline"}, takes: []webrtc.RTPCodecParameters{takeVP8, takeBase}, want: "H264"},
		{name: "main", camera: ingesttest.RTSPConfig{Codec: "H264", Profile: "main"}, takes: []webrtc.RTPCodecParameters{takeBase, takeVP8, takeMain}, want: "H264"},
		{name: "high", camera: ingesttest.RTSPConfig{Codec: "H264", Profile: "high"}, takes: []webrtc.RTPCodecParameters{takeVP8, takeBase, takeMain, takeHigh}, want: "H264"},
		{name: "H.264 only", camera: ingesttest.RTSPConfig{Codec: "H264"}, takes: []webrtc.RTPCodecParameters{takeBase}, want: "H264"},
		{name: "main for a viewer of high", camera: ingesttest.RTSPConfig{Codec: "H264", Profile: "main"}, takes: []webrtc.RTPCodecParameters{takeHigh, takeVP8}, want: "H264"},
		{name: "high for a viewer of main", camera: ingesttest.RTSPConfig{Codec: "H264", Profile: "high"}, takes: []webrtc.RTPCodecParameters{takeMain, takeVP8}, want: "VP8"},
		{name: "B-frames", camera: ingesttest.RTSPConfig{Codec: "H264", Profile: "main", BFrames: 2}, takes: []webrtc.RTPCodecParameters{takeMain, takeVP8}, want: "VP8"},
		{name: "B-frames and H.264 only", camera: ingesttest.RTSPConfig{Codec: "H264", Profile: "main", BFrames: 2}, takes: []webrtc.RTPCodecParameters{takeMain}},
		{name: "HEVC", camera: ingesttest.RTSPConfig{Codec: "H265"}, takes: []webrtc.RTPCodecParameters{takeBase, takeVP8}, want: "VP8"},
		{name: "overlay", camera: ingesttest.RTSPConfig{Codec: "H264"}, path: "?overlay=1", takes: []webrtc.RTPCodecParameters{takeBase, takeVP8}, want: "VP8"},
		{name: "off", camera: ingesttest.RTSPConfig{Codec: "H264"}, off: true, takes: []webrtc.RTPCodecParameters{takeBase, takeVP8}, want: "VP8"},
		{name: "VP8 only", camera: ingesttest.RTSPConfig{Codec: "H264"}, takes: []webrtc.RTPCodecParameters{takeVP8}, want: "VP8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg, cam, reg := testConfig(), newCamera("front"), prometheus.NewRegistry()
			if c.off {
				cfg.Passthrough = "off"
			}
			c.camera.FPS = 20
			s := start(t, cfg, []schema.Camera{cam}, preview.WithRegistry(reg))
			connect(t, s, cam, ingesttest.StartRTSP(t, c.camera))
			p := play(t, s, "front"+c.path, c.takes...)
			if c.want == "" {
				if p.reply.code != http.StatusBadRequest {
					t.Errorf("POST: %d %s, want 400", p.reply.code, p.answer)
				}
				return
			}
			if p.reply.code != http.StatusCreated {
				t.Fatalf("POST: %d %s", p.reply.code, p.answer)
			}
			eventually(t, "pictures", func() bool {
				h264, vp8, _ := p.got()
				return max(h264, vp8) >= 40
			})
			h264, vp8, order := p.got()
			if order != c.want {
				t.Errorf("got %s (%d and %d pictures), want %s; the answer is\n%s", order, h264, vp8, c.want, p.answer)
			}
			encoded, passed := metric(t, reg, "oodcast_preview_bytes_total", front), metric(t, reg, "oodcast_webrtc_passthrough_viewers", front)
			viewers := metric(t, reg, "oodcast_webrtc_viewers", front)
			if c.want == "VP8" {
				if encoded == 0 || passed != 0 || viewers != 1 {
					t.Errorf("%v bytes encoded, %v of %v viewers passed through", encoded, passed, viewers)
				}
				return
			}
			sent := metric(t, reg, "oodcast_webrtc_passthrough_pictures_total", front, "result=sent")
			if encoded != 0 || passed != 1 || viewers != 1 || sent < 40 {
				t.Errorf("%v bytes encoded, %v of %v viewers passed through, %v pictures", encoded, passed, viewers, sent)
			}
			checkPictures(t, p, 35)
			if r := send(t, "DELETE", resolve(t, s.URL()+"whep/front", p.reply.header.Get("Location")), "", "", nil); r.code != 200 {
				t.Errorf("DELETE: %d", r.code)
			}
			if n := metric(t, reg, "oodcast_webrtc_passthrough_viewers", front); n != 0 || s.Listening("front") {
				t.Errorf("%v viewers afterwards, listening: %v", n, s.Listening("front"))
			}
		})
	}
}

// checkPictures decodes what a player got of a camera of 320x240 at 20 frames per second.
func checkPictures(t *testing.T, p *taker, atLeast int) {
	t.Helper()
	frames := p.decodeH264(t, 320, 240)
	if len(frames) < atLeast {
		t.Fatalf("%d pictures can be decoded, want %d", len(frames), atLeast)
	}
	var before time.Time
	for _, f := range frames {
		at := ingesttest.ReadClock(f)
		if step := at.Sub(before); !before.IsZero() && (step <= 0 || step > 20*time.Second) {
			t.Errorf("a picture of %v after one of %v", at, before)
		}
		before = at
	}
	checkBars(t, frames[len(frames)-1])
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, fault := range p.mu.faults {
		t.Error(fault)
	}
}

// TestPassthroughCameraAway has a camera lose its power while a viewer gets its H.264. The viewer gets VP8 that says so, and
// H.264 again when the camera is back, all in one session and one RTP stream.
func TestPassthroughCameraAway(t *testing.T) {
	cam := newCamera("front")
	s := start(t, testConfig(), []schema.Camera{cam})
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", FPS: 20})
	connect(t, s, cam, server)
	p := play(t, s, "front", takeBase, takeVP8)
	eventually(t, "H.264", func() bool { h264, _, _ := p.got(); return h264 > 20 })
	server.Die()
	eventually(t, "VP8", func() bool { _, vp8, _ := p.got(); return vp8 > 3 })
	server.Revive(t)
	eventually(t, "H.264 again", func() bool { _, _, order := p.got(); return order == "H264 VP8 H264" })
	n, _, _ := p.got()
	eventually(t, "more H.264", func() bool { h264, _, _ := p.got(); return h264 > n+20 })
	checkPictures(t, p, n+20)
}

// TestPassthroughStall has a camera that stops sending and keeps its connection.
func TestPassthroughStall(t *testing.T) {
	t.Parallel()
	cam := newCamera("front")
	s := start(t, testConfig(), []schema.Camera{cam})
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", FPS: 20})
	connect(t, s, cam, server)
	p := play(t, s, "front", takeBase, takeVP8)
	eventually(t, "H.264", func() bool { h264, _, _ := p.got(); return h264 > 20 })
	server.SetFault(ingesttest.Stall)
	eventually(t, "VP8", func() bool { _, vp8, _ := p.got(); return vp8 > 2 })
	server.SetFault(ingesttest.None)
	eventually(t, "H.264 again", func() bool { _, _, order := p.got(); return order == "H264 VP8 H264" })
}

// TestPassthroughResize has a camera change the size of its pictures.
func TestPassthroughResize(t *testing.T) {
	t.Parallel()
	cam := newCamera("front")
	s := start(t, testConfig(), []schema.Camera{cam})
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", FPS: 20})
	connect(t, s, cam, server)
	p := play(t, s, "front", takeBase, takeVP8)
	eventually(t, "H.264", func() bool { h264, _, _ := p.got(); return h264 > 20 })
	server.Resize(480, 272)
	n, _, _ := p.got()
	eventually(t, "H.264 of another size", func() bool { h264, _, _ := p.got(); return h264 > n+40 })
	if h264, vp8, order := p.got(); order != "H264" {
		t.Errorf("got %s: %d and %d pictures", order, h264, vp8)
	}
	if frames := p.decodeH264(t, 480, 272); len(frames) < 50 {
		t.Errorf("%d pictures can be decoded", len(frames))
	}
}

// TestPassthroughInVain has a viewer that goes on asking for key frames whatever it gets, as one does whose line is too slow.
// It gets VP8 in the end, and stays there.
func TestPassthroughInVain(t *testing.T) {
	t.Parallel()
	cam := newCamera("front")
	s := start(t, testConfig(), []schema.Camera{cam})
	connect(t, s, cam, ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", FPS: 20}))
	p := play(t, s, "front", takeBase, takeVP8)
	p.ask.Store(true)
	eventually(t, "VP8", func() bool { _, vp8, _ := p.got(); return vp8 > 40 })
	if h264, vp8, order := p.got(); order != "H264 VP8" {
		t.Errorf("got %s: %d and %d pictures", order, h264, vp8)
	}
}

// TestPassthroughSideBySide has viewers of both kinds.
func TestPassthroughSideBySide(t *testing.T) {
	t.Parallel()
	cam := newCamera("front")
	s := start(t, testConfig(), []schema.Camera{cam}, preview.WithLogger(slog.New(slog.DiscardHandler)))
	connect(t, s, cam, ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", FPS: 20}))
	a, b := play(t, s, "front", takeBase, takeVP8), play(t, s, "front?overlay=1", takeBase, takeVP8)
	eventually(t, "both codecs", func() bool {
		h264, _, _ := a.got()
		_, vp8, _ := b.got()
		return h264 > 20 && vp8 > 20
	})
	_, _, first := a.got()
	_, _, second := b.got()
	if first != "H264" || second != "VP8" || s.Viewers("front") != 2 {
		t.Errorf("the first gets %s, the second %s; %d viewers", first, second, s.Viewers("front"))
	}
}
