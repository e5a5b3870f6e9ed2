package publish

import (
	"fmt"
	"math"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish/message"
	"github.com/oodcast/oodcast/publish/schema"
)

const (
	// maxMapPayload is what we allow a map, bytes, whatever the server takes: brokers suffer from large messages.
	maxMapPayload = 128 << 10
	// headerRoom is more than the headers of a map take; they count towards the server's limit.
	headerRoom = 512
)

// What is done to a map that does not fit, in the order in which it is tried.
const (
	reducedBits  = "u8"          // 8 bits instead of 16
	reducedZstd  = "zstd"        // compressed, though that is switched off
	reducedCells = "downsampled" // the largest of 2×2 cells, as often as it takes
)

// packer makes payloads that fit. It reuses its buffers and is not safe for concurrent use.
type packer struct {
	encoding schema.AnomalyMap_Encoding
	compress bool
	asSet    *schema.Encoder
	squeeze  *schema.Encoder // compresses whenever that saves something
}

// packed says what became of a map.
type packed struct {
	encoding string // Content-Encoding: "" or "zstd"
	reduced  string // what had to be done beyond what is set, "" if nothing
}

// newPacker returns a packer for Config.Encoding and Config.Compress.
func newPacker(encoding string, compress bool) (*packer, error) {
	p := &packer{encoding: schema.AnomalyMap_ENCODING_U16, compress: compress}
	if encoding == "u8" {
		p.encoding = schema.AnomalyMap_ENCODING_U8
	}
	var err error
	if p.asSet, err = schema.NewEncoder(compress); err != nil {
		return nil, err
	}
	p.squeeze, err = schema.NewEncoder(true)
	return p, err
}

// pack returns the payload of m in at most limit bytes: as set, or reduced as little as possible. It wraps
// nats.ErrMaxPayload when nothing helps. The payload is valid until the next call.
func (p *packer) pack(site string, m *detector.Map, limit int) ([]byte, packed, error) {
	msg, values := message.Map(site, p.encoding, m), m.Values
	payload, how, err := p.asSet.Encode(msg, values)
	if err != nil || len(payload) <= limit {
		return payload, packed{encoding: how}, err
	}
	if p.encoding == schema.AnomalyMap_ENCODING_U16 {
		msg.Encoding = schema.AnomalyMap_ENCODING_U8
		if payload, how, err = p.asSet.Encode(msg, values); err != nil || len(payload) <= limit {
			return payload, packed{how, reducedBits}, err
		}
	}
	if !p.compress {
		if payload, how, err = p.squeeze.Encode(msg, values); err != nil || len(payload) <= limit {
			return payload, packed{how, reducedZstd}, err
		}
	}
	for msg.GetWidth() > 1 || msg.GetHeight() > 1 {
		values = halve(msg, values)
		if payload, how, err = p.squeeze.Encode(msg, values); err != nil || len(payload) <= limit {
			return payload, packed{how, reducedCells}, err
		}
	}
	return nil, packed{}, fmt.Errorf("%dx%d cells, even one of them, in %d bytes: %w",
		m.Width, m.Height, limit, nats.ErrMaxPayload)
}

// halve joins about 2×2 cells into one with the largest of their values, so that no anomaly is lost, and adapts the size
// and the region of interest in msg: a cell is judged when one of those in it is. Where the grid is odd the new cells
// overlap old ones: all stay equally large.
func halve(msg *schema.AnomalyMap, values []float32) []float32 {
	w, h := int(msg.GetWidth()), int(msg.GetHeight())
	nw, nh := max(w/2, 1), max(h/2, 1)
	out := make([]float32, nw*nh)
	var roi []byte
	if len(msg.GetRoi()) > 0 {
		roi = make([]byte, (nw*nh+7)/8)
	}
	for i := range out {
		x, y := i%nw, i/nw
		out[i] = float32(math.Inf(-1))
		for row := y * h / nh; row < ((y+1)*h+nh-1)/nh; row++ {
			for cell := row*w + x*w/nw; cell < row*w+((x+1)*w+nw-1)/nw; cell++ {
				out[i] = max(out[i], values[cell])
				if roi != nil && msg.GetRoi()[cell/8]>>(cell%8)&1 == 1 {
					roi[i/8] |= 1 << (i % 8)
				}
			}
		}
	}
	msg.Width, msg.Height, msg.Roi = uint32(nw), uint32(nh), roi
	msg.CellWidth = float32(msg.GetImageWidth()) / float32(nw)
	msg.CellHeight = float32(msg.GetImageHeight()) / float32(nh)
	return out
}
