package mcap

import (
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// chunkBytes is how much is gathered before it is written.
const chunkBytes = 1 << 20

// ErrClosed is returned by everything but Close after Close.
var ErrClosed = errors.New("mcap: the writer is closed")

// Options choose how a file is written.
type Options struct {
	Library string // who writes, for people who look for faults
	Profile string // what readers may expect: "ros2", or "" for nothing
	Plain   bool   // do not compress
}

// Writer writes a file. It is not safe for concurrent use. After an error nothing more can be written.
type Writer struct {
	out    io.Writer
	at     uint64      // bytes written
	crc    hash.Hash32 // of them
	zstd   *zstd.Encoder
	closed bool
	failed error

	schemas, channels     []byte // their records, for the summary
	schemaIDs, channelIDs map[uint16]bool
	chunk                 chunk
	index                 []byte // chunk index records
	chunks                uint32

	messages    uint64
	counts      map[uint16]uint64
	first, last time.Time
}

// chunk is what is gathered.
type chunk struct {
	records     []byte
	index       map[uint16]*record // message index entries: time, offset
	first, last time.Time
}

// NewWriter begins a file.
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	m := &Writer{
		out: w, crc: crc32.NewIEEE(), schemaIDs: map[uint16]bool{}, channelIDs: map[uint16]bool{}, counts: map[uint16]uint64{},
	}
	m.chunk.index = map[uint16]*record{}
	if !o.Plain {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("mcap: %w", err)
		}
		m.zstd = z
	}
	var r record
	r.text(o.Profile)
	r.text(o.Library)
	return m, m.write(appendRecord([]byte(magic), opHeader, r.b))
}

// AddSchema says how messages look: encoding is "protobuf" with a FileDescriptorSet as data, "jsonschema" and so on. It
// returns the schema's number, from 1.
func (m *Writer) AddSchema(name, encoding string, data []byte) (uint16, error) {
	if err := m.usable(); err != nil {
		return 0, err
	}
	if len(m.schemaIDs) >= 1<<16-1 {
		return 0, errors.New("mcap: more schemas than numbers")
	}
	id := uint16(len(m.schemaIDs) + 1)
	var r record
	r.u16(id)
	r.text(name)
	r.text(encoding)
	r.text(string(data))
	m.chunk.records = appendRecord(m.chunk.records, opSchema, r.b)
	m.schemas = appendRecord(m.schemas, opSchema, r.b)
	m.schemaIDs[id] = true
	return id, nil
}

// AddChannel makes a topic with messages of a schema, 0 for none. It returns the channel's number, from 0.
func (m *Writer) AddChannel(schema uint16, topic, encoding string, metadata map[string]string) (uint16, error) {
	if err := m.usable(); err != nil {
		return 0, err
	}
	if schema != 0 && !m.schemaIDs[schema] {
		return 0, fmt.Errorf("mcap: topic %s: no schema %d", topic, schema)
	}
	if len(m.channelIDs) >= 1<<16 {
		return 0, errors.New("mcap: more topics than numbers")
	}
	id := uint16(len(m.channelIDs))
	var r record
	r.u16(id)
	r.u16(schema)
	r.text(topic)
	r.text(encoding)
	r.dict(metadata)
	m.chunk.records = appendRecord(m.chunk.records, opChannel, r.b)
	m.channels = appendRecord(m.channels, opChannel, r.b)
	m.channelIDs[id] = true
	return id, nil
}

// Write appends a message that was recorded at logged and published at published.
func (m *Writer) Write(channel uint16, seq uint32, logged, published time.Time, data []byte) error {
	if err := m.usable(); err != nil {
		return err
	}
	if !m.channelIDs[channel] {
		return fmt.Errorf("mcap: no channel %d", channel)
	}
	c := &m.chunk
	entry := c.index[channel]
	if entry == nil {
		entry = &record{}
		c.index[channel] = entry
	}
	entry.time(logged)
	entry.u64(uint64(len(c.records)))
	c.first, c.last = span(c.first, c.last, logged)
	m.first, m.last = span(m.first, m.last, logged)
	m.messages++
	m.counts[channel]++

	var r record
	r.u16(channel)
	r.u32(seq)
	r.time(logged)
	r.time(published)
	r.b = append(r.b, data...)
	c.records = appendRecord(c.records, opMessage, r.b)
	if len(c.records) >= chunkBytes {
		return m.Flush()
	}
	return nil
}

// span widens first..last to hold t; a zero first means that nothing is held yet.
func span(first, last, t time.Time) (earliest, latest time.Time) {
	if first.IsZero() {
		return t, t
	}
	if t.Before(first) {
		first = t
	}
	if t.After(last) {
		last = t
	}
	return first, last
}

// Flush writes what was gathered.
func (m *Writer) Flush() error {
	if err := m.usable(); err != nil {
		return err
	}
	c := &m.chunk
	if len(c.records) == 0 {
		return nil
	}
	var r record
	times(&r, c.first, c.last)
	r.u64(uint64(len(c.records)))
	r.u32(crc32.ChecksumIEEE(c.records))
	compression, body := "", c.records
	if m.zstd != nil {
		compression, body = "zstd", m.zstd.EncodeAll(c.records, nil)
	}
	r.text(compression)
	r.u64(uint64(len(body)))
	r.b = append(r.b, body...)
	start := m.at
	if err := m.write(appendRecord(nil, opChunk, r.b)); err != nil {
		return err
	}
	length := m.at - start
	offsets := map[uint16]uint64{}
	indexStart := m.at
	for _, id := range slices.Sorted(maps.Keys(c.index)) {
		offsets[id] = m.at
		var x record
		x.u16(id)
		x.text(string(c.index[id].b))
		if err := m.write(appendRecord(nil, opMessageIndex, x.b)); err != nil {
			return err
		}
	}
	var x record
	times(&x, c.first, c.last)
	x.u64(start)
	x.u64(length)
	x.counts(offsets)
	x.u64(m.at - indexStart)
	x.text(compression)
	x.u64(uint64(len(body)))
	x.u64(uint64(len(c.records)))
	m.index = appendRecord(m.index, opChunkIndex, x.b)
	m.chunks++
	m.chunk = chunk{records: c.records[:0], index: map[uint16]*record{}}
	return nil
}

// times appends the times of the first and last message, 0 when there is none.
func times(r *record, first, last time.Time) {
	if first.IsZero() {
		r.u64(0)
		r.u64(0)
		return
	}
	r.time(first)
	r.time(last)
}

// Close writes what was gathered, the summary and the end of the file. Closing twice is harmless.
func (m *Writer) Close() error {
	if m.closed {
		return nil
	}
	err := m.Flush()
	m.closed = true
	if m.zstd != nil {
		err = errors.Join(err, m.zstd.Close())
	}
	if err != nil {
		return err
	}
	var end record
	end.u32(m.crc.Sum32())
	if err := m.write(appendRecord(nil, opDataEnd, end.b)); err != nil {
		return err
	}
	return m.write(m.summary())
}

// summary is everything behind the data: what is where, and the footer.
func (m *Writer) summary() []byte {
	var stats record
	stats.u64(m.messages)
	stats.u16(uint16(len(m.schemaIDs)))
	stats.u32(uint32(len(m.channelIDs)))
	stats.u32(0) // attachments
	stats.u32(0) // metadata
	stats.u32(m.chunks)
	times(&stats, m.first, m.last)
	stats.counts(m.counts)

	var out, offsets []byte
	for _, group := range []struct {
		op      opcode
		records []byte
	}{
		{opSchema, m.schemas},
		{opChannel, m.channels},
		{opStatistics, appendRecord(nil, opStatistics, stats.b)},
		{opChunkIndex, m.index},
	} {
		if len(group.records) == 0 {
			continue
		}
		var r record
		r.b = append(r.b, byte(group.op))
		r.u64(m.at + uint64(len(out)))
		r.u64(uint64(len(group.records)))
		offsets = appendRecord(offsets, opSummaryOffset, r.b)
		out = append(out, group.records...)
	}
	var footer record
	footer.u64(m.at)
	footer.u64(m.at + uint64(len(out)))
	out = append(out, offsets...)
	// The checksum covers the footer too, up to itself.
	out = appendRecord(out, opFooter, append(footer.b, 0, 0, 0, 0))
	out = out[:len(out)-4]
	var crc record
	crc.u32(crc32.ChecksumIEEE(out))
	return append(append(out, crc.b...), magic...)
}

// usable tells why nothing can be written any more.
func (m *Writer) usable() error {
	if m.closed {
		return ErrClosed
	}
	return m.failed
}

func (m *Writer) write(b []byte) error {
	n, err := m.out.Write(b)
	m.at += uint64(n)
	if err != nil {
		m.failed = fmt.Errorf("mcap: %w", err)
		return m.failed
	}
	_, _ = m.crc.Write(b) // never fails
	return nil
}
