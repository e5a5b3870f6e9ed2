package schema

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"
)

// Limits of the messages that a Decoder accepts.
const (
	MaxCells   = 1 << 22  // cells of a map
	maxPayload = 16 << 20 // bytes of a message after decompression
)

// ErrNotFinite is returned for a map that contains NaN or infinity. Such a map is the result of a faulty computation and is
// never published.
var ErrNotFinite = errors.New("schema: map has a value that is not finite")

// Encoder turns maps into payloads. It reuses its buffers and is not safe for concurrent use.
type Encoder struct {
	zstd       *zstd.Encoder
	raw, small []byte
}

// NewEncoder returns an Encoder. With compress, it compresses a payload if that saves at least a tenth.
func NewEncoder(compress bool) (*Encoder, error) {
	if !compress {
		return &Encoder{}, nil
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	return &Encoder{zstd: z}, nil
}

// Encode stores the Width·Height values, which are row-major, in m with m.Encoding. It returns the payload and its
// Content-Encoding ("" or "zstd"). The payload is valid until the next call.
func (e *Encoder) Encode(m *AnomalyMap, values []float32) (payload []byte, contentEncoding string, err error) {
	if err := Quantise(m, values); err != nil {
		return nil, "", err
	}
	e.raw, err = proto.MarshalOptions{}.MarshalAppend(e.raw[:0], m)
	if err != nil {
		return nil, "", fmt.Errorf("marshal map: %w", err)
	}
	if e.zstd == nil {
		return e.raw, "", nil
	}
	e.small = e.zstd.EncodeAll(e.raw, e.small[:0])
	if len(e.small) > len(e.raw)*9/10 {
		return e.raw, "", nil
	}
	return e.small, "zstd", nil
}

// Quantise stores values in m.Data with m.Encoding, and sets Step, ValueMin and ValueMax. The largest error is half a step of
// (ValueMax−ValueMin)/255 or /65535.
func Quantise(m *AnomalyMap, values []float32) error {
	n := int(m.GetWidth()) * int(m.GetHeight())
	if n == 0 || n > MaxCells || len(values) != n {
		return fmt.Errorf("map of %dx%d cells has %d values", m.GetWidth(), m.GetHeight(), len(values))
	}
	lo, hi := values[0], values[0]
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return ErrNotFinite
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	m.ValueMin, m.ValueMax = lo, hi
	span := float64(hi) - float64(lo)
	scale := func(levels float64) float64 {
		if span == 0 {
			return 0
		}
		return levels / span
	}
	switch m.GetEncoding() {
	case AnomalyMap_ENCODING_U8:
		m.Step = m.GetWidth()
		m.Data = resize(m.GetData(), n)
		k := scale(math.MaxUint8)
		for i, v := range values {
			m.Data[i] = byte((float64(v)-float64(lo))*k + 0.5)
		}
	case AnomalyMap_ENCODING_U16:
		m.Step = 2 * m.GetWidth()
		m.Data = resize(m.GetData(), 2*n)
		k := scale(math.MaxUint16)
		for i, v := range values {
			binary.LittleEndian.PutUint16(m.Data[2*i:], uint16((float64(v)-float64(lo))*k+0.5))
		}
	default:
		return fmt.Errorf("map encoding %v: want u8 or u16", m.GetEncoding())
	}
	return nil
}

func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// Decoder turns payloads into maps. It is safe for concurrent use.
type Decoder struct{ zstd *zstd.Decoder }

// NewDecoder returns a Decoder.
func NewDecoder() (*Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPayload))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return &Decoder{zstd: z}, nil
}

// Close frees the decoder. Closing twice is harmless.
func (d *Decoder) Close() error {
	d.zstd.Close()
	return nil
}

// zstdMagic starts every zstd frame; no AnomalyMap starts with these bytes.
const zstdMagic = "\x28\xb5\x2f\xfd"

// Decode returns the message and its Width·Height values. It detects compression from the payload itself, so it also reads a
// payload that lost its headers on the way.
func (d *Decoder) Decode(payload []byte) (*AnomalyMap, []float32, error) {
	if bytes.HasPrefix(payload, []byte(zstdMagic)) {
		var err error
		if payload, err = d.zstd.DecodeAll(payload, nil); err != nil {
			return nil, nil, fmt.Errorf("decompress map: %w", err)
		}
	}
	if len(payload) > maxPayload {
		return nil, nil, fmt.Errorf("map message has %d bytes, more than %d", len(payload), maxPayload)
	}
	m := &AnomalyMap{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return nil, nil, fmt.Errorf("unmarshal map: %w", err)
	}
	values, err := Values(m)
	return m, values, err
}

// Values returns the Width·Height values in m, row-major. It returns an error if m is inconsistent.
func Values(m *AnomalyMap) ([]float32, error) {
	w, h := uint64(m.GetWidth()), uint64(m.GetHeight())
	if w == 0 || h == 0 || w > MaxCells || h > MaxCells || w*h > MaxCells {
		return nil, fmt.Errorf("map of %dx%d cells: want 1..%d cells", w, h, MaxCells)
	}
	lo, hi := float64(m.GetValueMin()), float64(m.GetValueMax())
	if math.IsNaN(hi-lo) || math.IsInf(hi-lo, 0) || hi < lo {
		return nil, fmt.Errorf("map value range %v..%v", lo, hi)
	}
	var bytesEach uint64
	switch m.GetEncoding() {
	case AnomalyMap_ENCODING_U8:
		bytesEach = 1
	case AnomalyMap_ENCODING_U16:
		bytesEach = 2
	default:
		return nil, fmt.Errorf("map encoding %v: want u8 or u16", m.GetEncoding())
	}
	if want := w * h * bytesEach; uint64(len(m.GetData())) != want || uint64(m.GetStep()) != w*bytesEach {
		return nil, fmt.Errorf("map of %dx%d cells has %d bytes in rows of %d, want %d in rows of %d",
			w, h, len(m.GetData()), m.GetStep(), want, w*bytesEach)
	}
	values := make([]float32, w*h)
	data := m.GetData()
	if bytesEach == 1 {
		k := (hi - lo) / math.MaxUint8
		for i := range values {
			values[i] = float32(lo + float64(data[i])*k)
		}
		return values, nil
	}
	k := (hi - lo) / math.MaxUint16
	for i := range values {
		values[i] = float32(lo + float64(binary.LittleEndian.Uint16(data[2*i:]))*k)
	}
	return values, nil
}
