package preview

import (
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// mtu is the largest RTP payload that fits into 1280 bytes with the headers of RTP, SRTP, UDP and IPv6.
const mtu = 1160

// packetizer sends VP8 frames on a shared track, timed by the stream's own clock.
type packetizer struct {
	track   *webrtc.TrackLocalStaticRTP
	payload codecs.VP8Payloader
	seq     uint16
	zero    uint32
}

func newPacketizer(track *webrtc.TrackLocalStaticRTP) *packetizer {
	return &packetizer{
		track: track, payload: codecs.VP8Payloader{EnablePictureID: true},
		seq: uint16(rand.Uint32()), zero: rand.Uint32(), // RFC 3550: start anywhere
	}
}

// send sends one frame. A viewer that has just left is not an error.
func (p *packetizer) send(frame []byte, pts time.Duration) error {
	parts := p.payload.Payload(mtu, frame)
	for i, part := range parts {
		pkt := &rtp.Packet{
			Header: rtp.Header{
				Version: 2, Marker: i == len(parts)-1, SequenceNumber: p.seq,
				Timestamp: p.zero + uint32(int64(pts)*9/100000),
			},
			Payload: part,
		}
		p.seq++
		if err := p.track.WriteRTP(pkt); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			return err
		}
	}
	return nil
}
