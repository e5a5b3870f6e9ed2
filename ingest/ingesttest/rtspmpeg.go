package ingesttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"

	"github.com/pion/rtp"
)

// streamMPEG lets the program ffmpeg encode one picture per tick as H.264 or H.265 and forwards the RTP packets that come
// back. The only faults that it supports are Stall and NoKeys.
func (s *RTSPServer) streamMPEG() error {
	packets, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer func() { _ = packets.Close() }()
	_ = packets.SetReadBuffer(4 << 20) // for a busy machine; the system may give less
	s.wg.Go(func() { s.forward(packets) })
	for i := 0; err == nil && !s.stopping(); {
		i, err = s.encodeMPEG(i, packets.LocalAddr())
	}
	return err
}

// encoder returns the arguments that make ffmpeg encode as configured.
func (c RTSPConfig) encoder() ([]string, error) {
	args := []string{"-g", fmt.Sprint(c.KeyInterval)}
	if c.Profile == "" {
		args = append(args, "-preset", "ultrafast")
	} else {
		args = append(args, "-preset", "superfast", "-profile:v", c.Profile) // ultrafast has nothing of the higher profiles
	}
	if c.BFrames > 0 {
		args = append(args, "-bf", fmt.Sprint(c.BFrames), "-x264opts", "b-adapt=0:rc-lookahead=0:sync-lookahead=0")
	} else {
		args = append(args, "-tune", "zerolatency")
	}
	switch c.Codec {
	case "H264":
		return append(args, "-c:v", "libx264", "-x264-params", "repeat-headers=1:slices=2:scenecut=0"), nil
	case "H265":
		return append(args, "-c:v", "libx265", "-x265-params", "repeat-headers=1:log-level=none"), nil
	}
	return nil, fmt.Errorf("codec %q", c.Codec)
}

func (s *RTSPServer) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// encodeMPEG draws and encodes pictures of one size, from picture i on, and returns the number of the next one.
func (s *RTSPServer) encodeMPEG(i int, to net.Addr) (next int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.mu.Lock()
	w, h := s.mu.width, s.mu.height
	s.mu.Unlock()
	encoder, err := s.cfg.encoder()
	if err != nil {
		return i, err
	}
	args := append([]string{
		"-v", "error", "-threads", "1", "-probesize", "32", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", fmt.Sprintf("%dx%d", w, h),
		"-r", fmt.Sprint(s.cfg.FPS), "-i", "-", "-pix_fmt", "yuv420p",
	}, encoder...)
	args = append(args, "-f", "rtp", "-payload_type", "96", fmt.Sprintf("rtp://%v?pkt_size=1200", to))
	cmd := exec.CommandContext(ctx, "ffmpeg", args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		return i, err
	}
	if err := cmd.Start(); err != nil {
		return i, fmt.Errorf("%w: \"make deps\" installs it", err)
	}
	defer func() {
		_ = in.Close()
		cancel() // its last pictures are not needed
		if waitErr := cmd.Wait(); err != nil && waitErr != nil {
			err = errors.Join(err, errors.New(complaints.String()))
		}
	}()
	tick := time.NewTicker(time.Duration(float64(time.Second) / s.cfg.FPS))
	defer tick.Stop()
	rgb := make([]byte, 3*w*h)
	for ; ; i++ {
		select {
		case <-tick.C:
		case <-s.stop:
			return i, nil
		}
		s.mu.Lock()
		wanted, resized := i > 0 || len(s.playersLocked()) > 0, w != s.mu.width || h != s.mu.height
		s.mu.Unlock()
		if resized {
			return i, nil
		}
		if !wanted {
			i-- // keep the first key frame for the first client
			continue
		}
		s.cfg.Picture(rgb, w, h, i)
		StampClock(rgb, w, time.Now())
		if _, err := in.Write(rgb); err != nil {
			return i, err
		}
	}
}

// renumber makes one RTP stream of those of successive encoders.
type renumber struct {
	step         uint32 // of the timestamp, from picture to picture
	from         uint32 // the encoder's SSRC
	seq, their   uint16 // ours and theirs of the last packet: what gets lost on the way to us stays lost
	offset, last uint32 // of the timestamp
	begun        bool
}

func (r *renumber) packet(p *rtp.Packet) {
	if p.SSRC != r.from {
		r.their = p.SequenceNumber - 1
		if r.begun {
			r.offset = r.last + r.step - p.Timestamp
		}
	}
	r.seq += p.SequenceNumber - r.their
	r.begun, r.from, r.their = true, p.SSRC, p.SequenceNumber
	p.Timestamp += r.offset
	p.SSRC, p.SequenceNumber, r.last = 4242, r.seq, p.Timestamp
}

// forward sends the RTP packets that arrive at from to the clients, picture by picture, until from is closed.
func (s *RTSPServer) forward(from net.PacketConn) {
	var picture []*rtp.Packet
	numbers := renumber{step: uint32(90000 / s.cfg.FPS)}
	buf := make([]byte, 1<<16)
	for {
		n, _, err := from.ReadFrom(buf)
		if err != nil {
			return
		}
		p := &rtp.Packet{}
		if p.Unmarshal(bytes.Clone(buf[:n])) != nil {
			continue
		}
		numbers.packet(p)
		if picture = append(picture, p); !p.Marker {
			continue
		}
		s.mu.Lock()
		fault := s.mu.fault
		s.mu.Unlock()
		s.report(fault)
		if fault != Stall && (fault != NoKeys || !beginsWithKey(picture)) {
			s.send(picture, None, nil)
		}
		picture = nil
	}
}

// beginsWithKey reports whether an H.264 picture is a key frame: it contains parameter sets or a slice that refers to no other
// picture, alone or in a packet of several (RFC 6184).
func beginsWithKey(picture []*rtp.Packet) bool {
	const slice, parameters, several, fragment = 5, 7, 24, 28
	for _, p := range picture {
		if len(p.Payload) < 4 {
			continue
		}
		kind := p.Payload[0] & 31
		switch kind {
		case several:
			kind = p.Payload[3] & 31
		case fragment:
			kind = p.Payload[1] & 31
		}
		if kind == slice || kind == parameters {
			return true
		}
	}
	return false
}
