package mcap

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// magic begins and ends every file.
const magic = "\x89MCAP0\r\n"

// opcode is the type of a record.
type opcode byte

const (
	opHeader        opcode = 0x01
	opFooter        opcode = 0x02
	opSchema        opcode = 0x03
	opChannel       opcode = 0x04
	opMessage       opcode = 0x05
	opChunk         opcode = 0x06
	opMessageIndex  opcode = 0x07
	opChunkIndex    opcode = 0x08
	opStatistics    opcode = 0x0b
	opSummaryOffset opcode = 0x0e
	opDataEnd       opcode = 0x0f
)

// record is the body of a record; its methods append fields, little-endian.
type record struct{ b []byte }

func (r *record) u16(v uint16) { r.b = binary.LittleEndian.AppendUint16(r.b, v) }
func (r *record) u32(v uint32) { r.b = binary.LittleEndian.AppendUint32(r.b, v) }
func (r *record) u64(v uint64) { r.b = binary.LittleEndian.AppendUint64(r.b, v) }

// time appends nanoseconds since 1970; earlier times become 0.
func (r *record) time(t time.Time) { r.u64(nanos(t)) }

func nanos(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) }

// text appends a 32-bit length and the bytes of a string.
func (r *record) text(s string) {
	r.u32(uint32(len(s)))
	r.b = append(r.b, s...)
}

// dict appends a map of strings in the order of its keys, so that equal maps become equal bytes.
func (r *record) dict(m map[string]string) {
	var body record
	for _, k := range slices.Sorted(maps.Keys(m)) {
		body.text(k)
		body.text(m[k])
	}
	r.text(string(body.b))
}

// counts appends a map from channels to numbers.
func (r *record) counts(m map[uint16]uint64) {
	r.u32(uint32(10 * len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		r.u16(k)
		r.u64(m[k])
	}
}

// appendRecord appends opcode, length and body to dst.
func appendRecord(dst []byte, op opcode, body []byte) []byte {
	dst = append(dst, byte(op))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(body)))
	return append(dst, body...)
}
