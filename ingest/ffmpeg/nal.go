package ffmpeg

import "bytes"

// The types of NAL units that matter here (ITU-T H.264, table 7-1).
const (
	nalSlice     = 1 // 1 to 4 are slices of pictures that refer to others
	nalIDR       = 5 // a slice of a picture from which decoding can start
	nalSPS       = 7
	nalPPS       = 8
	nalDelimiter = 9
)

// head is what an access unit says before its first slice.
type head struct {
	idr      bool   // the picture is one from which decoding can start
	sps, pps []byte // its parameter sets, with start codes; empty when it has none
	after    int    // where parameter sets may be put: at the beginning, or after a delimiter
}

// readHead reads an access unit in Annex B as far as its first slice. The parameter sets lie in unit, unless there are
// several of a kind.
func readHead(unit []byte) head {
	var h head
	for at := nal(unit, 0); at >= 0; {
		begin, next := at, nal(unit, at)
		end := next - startCode
		if next < 0 {
			end = len(unit)
		}
		at = next
		switch kind := unit[begin] & 31; {
		case kind == nalSPS:
			h.sps = join(h.sps, unit[begin-startCode:end])
		case kind == nalPPS:
			h.pps = join(h.pps, unit[begin-startCode:end])
		case kind == nalDelimiter:
			h.after = end
		case kind >= nalSlice && kind <= nalIDR:
			h.idr = kind == nalIDR
			return h
		}
	}
	return h
}

const startCode = 3 // bytes; a zero before them belongs to the end of what comes before

// nal returns where the first NAL unit after at begins, behind its start code; -1 when there is none.
func nal(b []byte, at int) int {
	i := bytes.Index(b[at:], []byte{0, 0, 1})
	if i < 0 || at+i+startCode >= len(b) {
		return -1
	}
	return at + i + startCode
}

// join appends a NAL unit, without the zeros that may follow it, to those of its kind.
func join(units, unit []byte) []byte {
	unit = bytes.TrimRight(unit, "\x00")
	if len(units) == 0 {
		return unit[:len(unit):len(unit)]
	}
	return append(units, unit...)
}
