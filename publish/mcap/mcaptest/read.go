// Package mcaptest reads MCAP files in tests. It is strict: faults that other readers ignore are errors.
package mcaptest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Recording is the content of a file.
type Recording struct {
	Profile, Library string
	Schemas          map[uint16]Schema
	Channels         map[uint16]Channel
	Messages         []Message
	Chunks           int
	Compression      string
	Ended            bool // the file has an index and a footer
}

// Schema is the schema of messages.
type Schema struct {
	Name, Encoding string
	Data           []byte
}

// Channel is a topic.
type Channel struct {
	Schema          uint16
	Topic, Encoding string
	Metadata        map[string]string
}

// Message is a message with its channel and schema.
type Message struct {
	Channel           Channel
	Schema            Schema
	Sequence          uint32
	Logged, Published uint64 // nanoseconds since 1970
	Data              []byte
}

const magic = "\x89MCAP0\r\n"

// Read reads a file from the beginning to the end, and checks its checksums, indexes and statistics. It reads a file without
// an end, left by a process that died, as far as possible.
func Read(file []byte) (Recording, error) {
	r := &reader{file: file, starts: map[uint64]byte{}, indexed: map[string]uint64{}}
	r.Schemas, r.Channels = map[uint16]Schema{}, map[uint16]Channel{}
	if !strings.HasPrefix(string(file), magic) {
		return r.Recording, errors.New("magic missing at the beginning")
	}
	at := len(magic)
	for at < len(file) && !r.Ended {
		op, body, size := next(file[at:])
		if size == 0 {
			return r.Recording, fmt.Errorf("record at %d is truncated", at)
		}
		r.starts[uint64(at)] = op
		if err := r.record(op, body, at, size); err != nil {
			return r.Recording, fmt.Errorf("record %#x at %d: %w", op, at, err)
		}
		at += size
	}
	if r.Ended && string(file[at:]) != magic {
		return r.Recording, errors.New("magic missing at the end")
	}
	return r.Recording, nil
}

type reader struct {
	Recording
	file         []byte
	starts       map[uint64]byte   // opcode by offset
	indexed      map[string]uint64 // messages in message indexes, by chunk and channel
	chunk        []byte            // records of the last chunk
	chunkIndexes int
	dataEnd      int
}

// next returns the first record of b, or size 0 if b has no complete record.
func next(b []byte) (op byte, body []byte, size int) {
	if len(b) < 9 {
		return 0, nil, 0
	}
	n := binary.LittleEndian.Uint64(b[1:])
	if n > uint64(len(b)-9) {
		return 0, nil, 0
	}
	return b[0], b[9 : 9+n], 9 + int(n)
}

func (r *reader) record(op byte, body []byte, at, size int) error {
	c := &cursor{b: body}
	switch op {
	case 0x01:
		r.Profile, r.Library = c.text(), c.text()
	case 0x03, 0x04:
		return r.declare(op, c)
	case 0x06:
		return r.readChunk(c)
	case 0x07:
		return r.messageIndex(c)
	case 0x08:
		return r.chunkIndex(c)
	case 0x0b:
		if got, want := c.u64(), uint64(len(r.Messages)); got != want {
			return fmt.Errorf("statistics count %d messages, want %d", got, want)
		}
		if s, ch := int(c.u16()), int(c.u32()); s != len(r.Schemas) || ch != len(r.Channels) {
			return fmt.Errorf("statistics count %d schemas and %d channels", s, ch)
		}
	case 0x0e:
		op, start, length := c.u8(), c.u64(), c.u64()
		if r.starts[start] != op || start+length > uint64(at) {
			return fmt.Errorf("the offset of group %#x is wrong", op)
		}
	case 0x0f:
		if got, want := c.u32(), crc32.ChecksumIEEE(r.file[:at]); got != want {
			return fmt.Errorf("checksum of the data is %#x, want %#x", want, got)
		}
		r.dataEnd = at + size
	case 0x02:
		return r.footer(c, at, size)
	default:
		return errors.New("unknown")
	}
	return c.err
}

// declare reads a schema or a channel. Those in the summary must repeat earlier ones.
func (r *reader) declare(op byte, c *cursor) error {
	id := c.u16()
	if op == 0x03 {
		s := Schema{c.text(), c.text(), []byte(c.text())}
		if old, ok := r.Schemas[id]; id == 0 || ok && (old.Name != s.Name || string(old.Data) != string(s.Data)) {
			return fmt.Errorf("schema %d is declared twice", id)
		}
		r.Schemas[id] = s
		return c.err
	}
	ch := Channel{Schema: c.u16(), Topic: c.text(), Encoding: c.text(), Metadata: map[string]string{}}
	for m := (&cursor{b: []byte(c.text())}); len(m.b) > 0 && m.err == nil; {
		key := m.text()
		ch.Metadata[key] = m.text()
	}
	if _, ok := r.Schemas[ch.Schema]; ch.Schema != 0 && !ok {
		return fmt.Errorf("channel %s has an unknown schema", ch.Topic)
	}
	if old, ok := r.Channels[id]; ok && old.Topic != ch.Topic {
		return fmt.Errorf("channel %d is declared twice", id)
	}
	r.Channels[id] = ch
	return c.err
}

func (r *reader) readChunk(c *cursor) error {
	first, last, size, crc := c.u64(), c.u64(), c.u64(), c.u32()
	r.Compression = c.text()
	body := c.take(int(c.u64()))
	if c.err != nil {
		return c.err
	}
	if r.Compression == "zstd" {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		defer z.Close()
		if body, err = z.DecodeAll(body, nil); err != nil {
			return err
		}
	}
	if uint64(len(body)) != size || crc32.ChecksumIEEE(body) != crc {
		return errors.New("chunk does not match its size or checksum")
	}
	r.chunk = body
	r.Chunks++
	for at := 0; at < len(body); {
		op, rec, n := next(body[at:])
		if n == 0 {
			return errors.New("record in a chunk is truncated")
		}
		m := &cursor{b: rec}
		if op != 0x05 {
			if err := r.declare(op, m); err != nil {
				return err
			}
			at += n
			continue
		}
		ch, ok := r.Channels[m.u16()]
		if !ok {
			return errors.New("message on an unknown channel")
		}
		msg := Message{
			Channel: ch, Schema: r.Schemas[ch.Schema], Sequence: m.u32(), Logged: m.u64(), Published: m.u64(), Data: m.b,
		}
		if msg.Logged < first || msg.Logged > last {
			return errors.New("message outside the times of its chunk")
		}
		r.Messages = append(r.Messages, msg)
		at += n
	}
	return nil
}

// messageIndex checks that each entry points to a message with its channel and time in the preceding chunk.
func (r *reader) messageIndex(c *cursor) error {
	id := c.u16()
	for e := (&cursor{b: []byte(c.text())}); len(e.b) > 0; {
		logged, offset := e.u64(), e.u64()
		if e.err != nil || offset >= uint64(len(r.chunk)) {
			return errors.New("entry is truncated or points nowhere")
		}
		op, rec, _ := next(r.chunk[offset:])
		m := &cursor{b: rec}
		if op != 0x05 || m.u16() != id || m.u32() == 1<<32-1 || m.u64() != logged {
			return errors.New("entry points to something else")
		}
		r.indexed[fmt.Sprint(r.Chunks)]++
	}
	return c.err
}

func (r *reader) chunkIndex(c *cursor) error {
	c.u64()
	c.u64()
	start, length := c.u64(), c.u64()
	if r.starts[start] != 0x06 {
		return errors.New("it does not point to a chunk")
	}
	if _, _, n := next(r.file[start:]); uint64(n) != length {
		return errors.New("the length of the chunk is wrong")
	}
	for o := (&cursor{b: []byte(c.text())}); len(o.b) > 0 && o.err == nil; {
		if o.u16(); r.starts[o.u64()] != 0x07 {
			return errors.New("it does not point to a message index")
		}
	}
	r.chunkIndexes++
	return c.err
}

func (r *reader) footer(c *cursor, at, size int) error {
	start, offsets, crc := c.u64(), c.u64(), c.u32()
	if int(start) != r.dataEnd || r.starts[offsets] != 0x0e {
		return errors.New("it does not point to a summary")
	}
	if got := crc32.ChecksumIEEE(r.file[start : at+size-4]); got != crc {
		return fmt.Errorf("checksum of the summary is %#x, want %#x", got, crc)
	}
	total := uint64(0)
	for _, n := range r.indexed {
		total += n
	}
	if r.chunkIndexes != r.Chunks || total != uint64(len(r.Messages)) {
		return fmt.Errorf("%d chunks and %d messages in the index, want %d and %d",
			r.chunkIndexes, total, r.Chunks, len(r.Messages))
	}
	r.Ended = true
	return c.err
}

// cursor removes values from the front of b. Beyond the end it returns zeros and sets err.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.err = nil, errors.New("truncated")
		return make([]byte, max(min(n, 8), 0))
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) u8() byte     { return c.take(1)[0] }
func (c *cursor) u16() uint16  { return binary.LittleEndian.Uint16(c.take(2)) }
func (c *cursor) u32() uint32  { return binary.LittleEndian.Uint32(c.take(4)) }
func (c *cursor) u64() uint64  { return binary.LittleEndian.Uint64(c.take(8)) }
func (c *cursor) text() string { return string(c.take(int(c.u32()))) }
