package preview

import (
	"encoding/hex"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/oodcast/oodcast/ingest"
)

// The profiles of H.264 that WebRTC knows: a decoder of one decodes those before it, too.
const (
	noProfile = iota // or one that WebRTC does not know
	constrainedBaseline
	mainProfile
	highProfile
	predictiveProfile // high 4:4:4 predictive: Chromium names it where it decodes without a graphics card, instead of high
)

// profileOf returns the profile that profile_idc and the constraint flags mean (RFC 6184, table 5). What baseline has beyond
// constrained baseline (slice groups, arbitrary order of slices) nobody uses, and FFmpeg could not score it.
func profileOf(idc, constraints byte) int {
	const set0, set1 = 0x80, 0x40
	switch {
	case idc == 66, idc == 77 && constraints&set0 != 0, idc == 88 && constraints&(set0|set1) == set0|set1:
		return constrainedBaseline
	case idc == 77:
		return mainProfile
	case idc == 100:
		return highProfile
	case idc == 244:
		return predictiveProfile
	default:
		return noProfile
	}
}

// passableProfile reports whether WebRTC has viewers for what a camera sends: 4:2:0 of 8 bits.
func passableProfile(c ingest.Coding) bool {
	p := profileOf(c.Profile, c.Constraints)
	return p != noProfile && p != predictiveProfile
}

// takenAs returns the profile as which a viewer whose offer has these format parameters takes the camera's H.264; noProfile when
// it does not take it. Levels are compared only where the viewer does not allow them to differ: browsers name level 3.1 and
// decode as much as the machine can.
func takenAs(fmtp string, c ingest.Coding) int {
	values := map[string]string{"profile-level-id": "42000a"} // what its absence means
	for pair := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		values[strings.ToLower(key)] = strings.TrimSpace(value)
	}
	id, err := hex.DecodeString(values["profile-level-id"])
	if err != nil || len(id) != 3 || values["packetization-mode"] != "1" || !c.Fit() {
		return noProfile
	}
	if values["level-asymmetry-allowed"] != "1" && c.Level > id[2] {
		return noProfile
	}
	viewer := profileOf(id[0], id[1])
	if !passableProfile(c) || viewer < profileOf(c.Profile, c.Constraints) {
		return noProfile
	}
	return viewer
}

// format is a codec that a section of an offer names.
type format struct {
	payload string
	fmtp    string
}

// formats returns the formats of a section that have this encoding name, and writes the name as we do: names are not
// case-sensitive.
func formats(m *sdp.MediaDescription, name string) []format {
	var all []format
	for _, payload := range m.MediaName.Formats {
		f, named := format{payload: payload}, false
		for i, a := range m.Attributes {
			of, value, _ := strings.Cut(a.Value, " ")
			switch {
			case of != payload:
			case a.Key == "rtpmap" && strings.EqualFold(strings.TrimSpace(value), name):
				m.Attributes[i].Value, named = payload+" "+name, true
			case a.Key == "fmtp":
				f.fmtp = strings.TrimSpace(value)
			}
		}
		if named {
			all = append(all, f)
		}
	}
	return all
}

// chooseH264 returns the format in which a viewer gets the camera's H.264, nil when it takes it in none: the one with the
// smallest profile that suits, and of several the first.
func chooseH264(m *sdp.MediaDescription, c ingest.Coding) *format {
	var best *format
	as := noProfile
	for _, f := range formats(m, nameH264) {
		if p := takenAs(f.fmtp, c); p != noProfile && (best == nil || p < as) {
			best, as = &f, p
		}
	}
	return best
}
