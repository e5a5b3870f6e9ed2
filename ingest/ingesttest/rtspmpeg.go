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
func (s *RTSPServer) streamMPEG() (err error) {
	packets, err := net.ListenPacket("udp", anyPort)
	if err != nil {
		return err
	}
	defer func() { _ = packets.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, h := s.cfg.Width, s.cfg.Height
	encoder := map[string][]string{
		"H264": {"libx264", "-x264-params", "repeat-headers=1:slices=2"},
		"H265": {"libx265", "-x265-params", "repeat-headers=1:log-level=none"},
	}[s.cfg.Codec]
	if encoder == nil {
		return fmt.Errorf("codec %q", s.cfg.Codec)
	}
	args := append([]string{
		"-v", "error", "-threads", "1", "-probesize", "32", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", fmt.Sprintf("%dx%d", w, h),
		"-r", fmt.Sprint(s.cfg.FPS), "-i", "-", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-c:v",
	}, encoder...)
	args = append(args, "-f", "rtp", "-payload_type", "96", fmt.Sprintf("rtp://%v?pkt_size=1200", packets.LocalAddr()))
	cmd := exec.CommandContext(ctx, "ffmpeg", args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: \"make deps\" installs it", err)
	}
	s.wg.Go(func() { s.forward(packets) })
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
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-s.stop:
			return nil
		}
		s.mu.Lock()
		wanted := i > 0 || len(s.playersLocked()) > 0
		s.mu.Unlock()
		if !wanted {
			i-- // keep the first key frame for the first client
			continue
		}
		s.cfg.Picture(rgb, w, h, i)
		StampClock(rgb, w, time.Now())
		if _, err := in.Write(rgb); err != nil {
			return err
		}
	}
}

// forward sends the RTP packets that arrive at from to the clients, picture by picture, until from is closed.
func (s *RTSPServer) forward(from net.PacketConn) {
	var picture []*rtp.Packet
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
