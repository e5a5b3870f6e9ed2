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

// chunkBytes is the size of a chunk before compression.
const chunkBytes = 1 << 20

// ErrClosed is returned by all methods except Close after Close.
var ErrClosed = errors.New("mcap: the writer is closed")

// Options are the options of a file.
type Options struct {
	Library string // name of the writing program, for debugging
	Profile string // profile of the file, such as "ros2", or "" for none
	Plain   bool   // do not compress
}

// Writer writes a file. It is not safe for concurrent use, and unusable after an error.
type Writer struct {
	out    io.Writer
	offset uint64      // bytes written
	crc    hash.Hash32 // of the bytes written
	zstd   *zstd.Encoder
	closed bool
	failed error

	schemas, channels     []byte // schema and channel records, for the summary
	schemaIDs, channelIDs map[uint16]bool
	chunk                 chunk
	index                 []byte // chunk index records
	chunks                uint32

	messages    uint64
	counts      map[uint16]uint64
	first, last time.Time
}

// chunk is the chunk that is being collected.
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

// AddSchema adds the schema of messages. The encoding is, for example, "jsonschema", or "protobuf" with a FileDescriptorSet as
// data. It returns the schema's number, from 1.
func (m *Writer) AddSchema(name, encoding string, data []byte) (uint16, error) {
	if err := m.checkOpen(); err != nil {
		return 0, err
	}
	if len(m.schemaIDs) >= 1<<16-1 {
		return 0, errors.New("mcap: too many schemas")
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

// AddChannel adds a topic whose messages have a schema, or none if schema is 0. It returns the channel's number, from 0.
func (m *Writer) AddChannel(schema uint16, topic, encoding string, metadata map[string]string) (uint16, error) {
	if err := m.checkOpen(); err != nil {
		return 0, err
	}
	if schema != 0 && !m.schemaIDs[schema] {
		return 0, fmt.Errorf("mcap: topic %s: no schema %d", topic, schema)
	}
	if len(m.channelIDs) >= 1<<16 {
		return 0, errors.New("mcap: too many topics")
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
	if err := m.checkOpen(); err != nil {
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
	c.first, c.last = extend(c.first, c.last, logged)
	m.first, m.last = extend(m.first, m.last, logged)
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

// extend extends the range first..last to include t; a zero first is an empty range.
func extend(first, last, t time.Time) (earliest, latest time.Time) {
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

// Flush writes the current chunk.
func (m *Writer) Flush() error {
	if err := m.checkOpen(); err != nil {
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
	start := m.offset
	if err := m.write(appendRecord(nil, opChunk, r.b)); err != nil {
		return err
	}
	length := m.offset - start
	offsets := map[uint16]uint64{}
	indexStart := m.offset
	for _, id := range slices.Sorted(maps.Keys(c.index)) {
		offsets[id] = m.offset
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
	x.u64(m.offset - indexStart)
	x.text(compression)
	x.u64(uint64(len(body)))
	x.u64(uint64(len(c.records)))
	m.index = appendRecord(m.index, opChunkIndex, x.b)
	m.chunks++
	m.chunk = chunk{records: c.records[:0], index: map[uint16]*record{}}
	return nil
}

// times appends the times of the first and the last message, or 0 if there is none.
func times(r *record, first, last time.Time) {
	if first.IsZero() {
		r.u64(0)
		r.u64(0)
		return
	}
	r.time(first)
	r.time(last)
}

// Close writes the current chunk, the summary and the end of the file. Closing twice is harmless.
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

// summary returns everything after the data: the index and the footer.
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
		r.u64(m.offset + uint64(len(out)))
		r.u64(uint64(len(group.records)))
		offsets = appendRecord(offsets, opSummaryOffset, r.b)
		out = append(out, group.records...)
	}
	var footer record
	footer.u64(m.offset)
	footer.u64(m.offset + uint64(len(out)))
	out = append(out, offsets...)
	// The checksum covers the summary and the footer, up to the checksum itself.
	out = appendRecord(out, opFooter, append(footer.b, 0, 0, 0, 0))
	out = out[:len(out)-4]
	var crc record
	crc.u32(crc32.ChecksumIEEE(out))
	return append(append(out, crc.b...), magic...)
}

// checkOpen returns an error if the writer is closed or has failed.
func (m *Writer) checkOpen() error {
	if m.closed {
		return ErrClosed
	}
	return m.failed
}

func (m *Writer) write(b []byte) error {
	n, err := m.out.Write(b)
	m.offset += uint64(n)
	if err != nil {
		m.failed = fmt.Errorf("mcap: %w", err)
		return m.failed
	}
	_, _ = m.crc.Write(b) // never fails
	return nil
}
