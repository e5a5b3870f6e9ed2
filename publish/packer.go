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
	// maxMapPayload is the largest payload of a map in bytes, even if the server accepts more: large messages burden brokers.
	maxMapPayload = 128 << 10
	// headerRoom is the space reserved for the headers of a map in bytes; they count towards the server's limit.
	headerRoom = 512
)

// Reductions of a map that does not fit, in the order in which they are tried.
const (
	reducedBits  = "u8"          // 8 bits instead of 16
	reducedZstd  = "zstd"        // compressed although compression is off
	reducedCells = "downsampled" // 2×2 cells become one with their maximum, repeatedly if necessary
)

// packer turns maps into payloads of a limited size. It reuses its buffers and is not safe for concurrent use.
type packer struct {
	encoding    schema.AnomalyMap_Encoding
	compress    bool
	configured  *schema.Encoder // compresses if compress is set
	compressing *schema.Encoder // always compresses
}

// packing describes how a map was packed.
type packing struct {
	encoding string // Content-Encoding: "" or "zstd"
	reduced  string // one of the reductions above, or "" for none
}

// newPacker returns a packer for the values of Config.Encoding and Config.Compress.
func newPacker(encoding string, compress bool) (*packer, error) {
	p := &packer{encoding: schema.AnomalyMap_ENCODING_U16, compress: compress}
	if encoding == "u8" {
		p.encoding = schema.AnomalyMap_ENCODING_U8
	}
	var err error
	if p.configured, err = schema.NewEncoder(compress); err != nil {
		return nil, err
	}
	p.compressing, err = schema.NewEncoder(true)
	return p, err
}

// pack returns the payload of m in at most limit bytes, as configured or else reduced as little as possible. The error wraps
// nats.ErrMaxPayload if no reduction is enough. The payload is valid until the next call.
func (p *packer) pack(site string, m *detector.Map, limit int) ([]byte, packing, error) {
	msg, values := message.Map(site, p.encoding, m), m.Values
	payload, how, err := p.configured.Encode(msg, values)
	if err != nil || len(payload) <= limit {
		return payload, packing{encoding: how}, err
	}
	if p.encoding == schema.AnomalyMap_ENCODING_U16 {
		msg.Encoding = schema.AnomalyMap_ENCODING_U8
		if payload, how, err = p.configured.Encode(msg, values); err != nil || len(payload) <= limit {
			return payload, packing{how, reducedBits}, err
		}
	}
	if !p.compress {
		if payload, how, err = p.compressing.Encode(msg, values); err != nil || len(payload) <= limit {
			return payload, packing{how, reducedZstd}, err
		}
	}
	for msg.GetWidth() > 1 || msg.GetHeight() > 1 {
		values = halve(msg, values)
		if payload, how, err = p.compressing.Encode(msg, values); err != nil || len(payload) <= limit {
			return payload, packing{how, reducedCells}, err
		}
	}
	return nil, packing{}, fmt.Errorf("%dx%d cells, even reduced to one, exceed %d bytes: %w",
		m.Width, m.Height, limit, nats.ErrMaxPayload)
}

// halve merges blocks of about 2×2 cells into one cell with their largest value, so that no anomaly is lost, and adapts the
// size and the region of interest in msg: a new cell is judged if one of its old cells is. On a grid with an odd side, new
// cells share old ones, so that all new cells have the same size.
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
