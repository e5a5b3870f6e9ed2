package archive

import (
	"encoding/binary"
	"math"
	"time"
)

// block is one compressed picture of a film.
type block struct {
	at   time.Duration // since the first picture
	key  bool
	data []byte
}

// IDs of EBML elements, from the Matroska specification (RFC 9559).
const (
	idEBML        = 0x1A45DFA3
	idEBMLVersion = 0x4286
	idEBMLRead    = 0x42F7
	idEBMLMaxID   = 0x42F2
	idEBMLMaxSize = 0x42F3
	idDocType     = 0x4282
	idDocVersion  = 0x4287
	idDocRead     = 0x4285
	idSegment     = 0x18538067
	idInfo        = 0x1549A966
	idScale       = 0x2AD7B1
	idDuration    = 0x4489
	idMuxer       = 0x4D80
	idWriter      = 0x5741
	idDate        = 0x4461
	idTracks      = 0x1654AE6B
	idTrack       = 0xAE
	idTrackNumber = 0xD7
	idTrackUID    = 0x73C5
	idTrackType   = 0x83
	idLacing      = 0x9C
	idCodec       = 0x86
	idVideo       = 0xE0
	idWidth       = 0xB0
	idHeight      = 0xBA
	idCluster     = 0x1F43B675
	idTime        = 0xE7
	idSimpleBlock = 0xA3
	idCues        = 0x1C53BB6B
	idCuePoint    = 0xBB
	idCueTime     = 0xB3
	idCueTrack    = 0xB7
	idCueTrackNo  = 0xF7
	idCuePosition = 0xF1
)

const maxCluster = 30 * time.Second // times in a cluster are milliseconds in 16 bits

// webm returns a WebM file of VP8 pictures, with an index of the key frames so that players can seek. start is the time of
// the first picture; the last picture is shown for last.
func webm(width, height int, start time.Time, blocks []block, last time.Duration) []byte {
	head := element(nil, idEBML, join(
		number(idEBMLVersion, 1), number(idEBMLRead, 1), number(idEBMLMaxID, 4), number(idEBMLMaxSize, 8),
		text(idDocType, "webm"), number(idDocVersion, 4), number(idDocRead, 2)))
	length := last
	if n := len(blocks); n > 0 {
		length += blocks[n-1].at
	}
	date := binary.BigEndian.AppendUint64(nil, uint64(start.Sub(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))))
	body := join(
		element(nil, idInfo, join(
			number(idScale, 1_000_000), // a tick is a millisecond
			element(nil, idDuration, binary.BigEndian.AppendUint64(nil, math.Float64bits(float64(length.Milliseconds())))),
			element(nil, idDate, date), text(idMuxer, "oodcast"), text(idWriter, "oodcast"))),
		element(nil, idTracks, element(nil, idTrack, join(
			number(idTrackNumber, 1), number(idTrackUID, 1), number(idTrackType, 1), number(idLacing, 0),
			text(idCodec, "V_VP8"),
			element(nil, idVideo, join(number(idWidth, uint64(width)), number(idHeight, uint64(height))))))))
	var cues []byte
	for len(blocks) > 0 {
		n := 1
		for n < len(blocks) && !blocks[n].key && blocks[n].at-blocks[0].at < maxCluster {
			n++
		}
		if blocks[0].key {
			at := number(idCueTime, uint64(blocks[0].at.Milliseconds()))
			position := element(nil, idCueTrack, join(number(idCueTrackNo, 1), number(idCuePosition, uint64(len(body)))))
			cues = element(cues, idCuePoint, join(at, position))
		}
		body = element(body, idCluster, cluster(blocks[:n]))
		blocks = blocks[n:]
	}
	if len(cues) > 0 {
		body = element(body, idCues, cues)
	}
	return element(head, idSegment, body)
}

func cluster(blocks []block) []byte {
	base := blocks[0].at.Milliseconds()
	out := number(idTime, uint64(base))
	for _, b := range blocks {
		flags := byte(0)
		if b.key {
			flags = 0x80
		}
		ticks := uint16(b.at.Milliseconds() - base)
		out = element(out, idSimpleBlock, join([]byte{0x81, byte(ticks >> 8), byte(ticks), flags}, b.data))
	}
	return out
}

// element appends an element to dst: its id, its length in eight bytes, its content.
func element(dst []byte, id uint32, content []byte) []byte {
	for shift := 24; shift >= 0; shift -= 8 {
		if id>>shift != 0 {
			dst = append(dst, byte(id>>shift))
		}
	}
	dst = binary.BigEndian.AppendUint64(dst, 1<<56|uint64(len(content)))
	return append(dst, content...)
}

func number(id uint32, v uint64) []byte {
	return element(nil, id, binary.BigEndian.AppendUint64(nil, v))
}

func text(id uint32, s string) []byte { return element(nil, id, []byte(s)) }

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
