package preview

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/oodcast/oodcast/ingest"
)

// readOffer reads a viewer's offer and leaves one thing to negotiate: the first video section that accepts VP8, or the
// camera's H.264, receives, and all other sections are inactive. Players may offer sendrecv, audio first, or several sections; the answer is
// sendonly for the video and accepts the others as inactive, since rejecting the first section of a bundle would reject
// its transport. Candidates that cannot be used are discarded, as the draft demands.
//
// pion also needs names of sections and a bundle of them; an offer without gets them, and its answer hides them again.
func readOffer(text string, camera ingest.Coding) (*offer, error) {
	if !strings.HasPrefix(text, "v=0") {
		return nil, errOffer
	}
	o := &offer{SessionDescription: &sdp.SessionDescription{}}
	if err := o.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", errOffer, err)
	}
	found := false
	for i, m := range o.MediaDescriptions {
		m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool {
			return a.IsICECandidate() && !usable(a.Value)
		})
		if mid, _ := m.Attribute(sdp.AttrKeyMID); mid == "" {
			m.Attributes = append(m.Attributes, sdp.NewAttribute(sdp.AttrKeyMID, unnamed+strconv.Itoa(i)))
		}
		if m.MediaName.Media == "application" {
			continue
		}
		d := "inactive"
		if !found && o.accept(m, camera) {
			d, found = "recvonly", true
		}
		setDirection(m, d)
	}
	if !found {
		return nil, errOffer
	}
	if _, bundled := o.Attribute(sdp.AttrKeyGroup); !bundled {
		o.single = true
		group := "BUNDLE"
		for _, m := range o.MediaDescriptions {
			mid, _ := m.Attribute(sdp.AttrKeyMID)
			group += " " + mid
		}
		o.Attributes = append(o.Attributes, sdp.NewAttribute(sdp.AttrKeyGroup, group))
	}
	return o, nil
}

// offer is a viewer's offer, as pion needs it.
type offer struct {
	*sdp.SessionDescription
	single bool // it had no bundle of its sections

	h264 *format // in which the viewer gets what the camera sends; nil: it gets VP8
	vp8  *format // nil: the viewer takes H.264 only
}

// unnamed begins the names that we give to sections without one.
const unnamed = "oodcast-unnamed-"

// The codecs' names in SDP.
const (
	nameVP8  = "VP8/90000"
	nameH264 = "H264/90000"
)

// accept chooses the codecs for a section and reports whether there is one. When the viewer gets the camera's H.264, the
// section keeps that and VP8, which takes over when the camera's stream does not suit any more.
func (o *offer) accept(m *sdp.MediaDescription, camera ingest.Coding) bool {
	_, bundled := m.Attribute("bundle-only")
	if m.MediaName.Media != "video" || m.MediaName.Port.Value == 0 && !bundled {
		return false
	}
	if d := direction(m, o.SessionDescription); d != "recvonly" && d != "sendrecv" {
		return false
	}
	if vp8 := formats(m, nameVP8); len(vp8) > 0 {
		o.vp8 = &vp8[0]
	}
	if o.h264 = chooseH264(m, camera); o.h264 == nil {
		return o.vp8 != nil
	}
	m.MediaName.Formats = []string{o.h264.payload}
	if o.vp8 != nil {
		m.MediaName.Formats = append(m.MediaName.Formats, o.vp8.payload)
	}
	return true
}

var directions = []string{"sendrecv", "sendonly", "recvonly", "inactive"}

// direction returns the direction of a section: its own, that of the session, or the default.
func direction(m *sdp.MediaDescription, session *sdp.SessionDescription) string {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, session.Attributes} {
		for _, a := range attributes {
			if slices.Contains(directions, a.Key) {
				return a.Key
			}
		}
	}
	return "sendrecv"
}

func setDirection(m *sdp.MediaDescription, d string) {
	m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool { return slices.Contains(directions, a.Key) })
	m.Attributes = append(m.Attributes, sdp.NewPropertyAttribute(d))
}

// usable reports whether a candidate names an address that we can send to. Names, also those of mDNS, are not resolved:
// the viewer's own checks tell us its address.
func usable(candidate string) bool {
	fields := strings.Fields(candidate)
	if len(fields) < 8 {
		return false
	}
	if _, err := netip.ParseAddr(fields[4]); err != nil {
		return false
	}
	_, err := ice.UnmarshalCandidate(candidate)
	return err == nil
}

// finishAnswer checks that an answer sends what it is to send, and puts our addresses into the first section that is accepted: pion
// writes them into the first section, even when that one is rejected.
func finishAnswer(text string, o *offer) (string, error) {
	answer := &sdp.SessionDescription{}
	if err := answer.UnmarshalString(text); err != nil {
		return "", err
	}
	sends := false
	var target *sdp.MediaDescription
	for _, m := range answer.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			continue
		}
		if target == nil {
			target = m
		}
		sends = sends || m.MediaName.Media == "video" && direction(m, answer) == "sendonly" && o.sends(m)
	}
	if !sends {
		return "", errOffer
	}
	if first := answer.MediaDescriptions[0]; first != target {
		isPath := func(a sdp.Attribute) bool { return a.IsICECandidate() || a.Key == sdp.AttrKeyEndOfCandidates }
		for _, a := range first.Attributes {
			if isPath(a) {
				target.Attributes = append(target.Attributes, a)
			}
		}
		first.Attributes = slices.DeleteFunc(first.Attributes, isPath)
	}
	if o.single {
		hideNames(answer)
	}
	b, err := answer.Marshal()
	return string(b), err
}

// hideNames removes from an answer what its offer did not have.
func hideNames(answer *sdp.SessionDescription) {
	answer.Attributes = slices.DeleteFunc(answer.Attributes, func(a sdp.Attribute) bool { return a.Key == sdp.AttrKeyGroup })
	for _, m := range answer.MediaDescriptions {
		m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool {
			return a.Key == sdp.AttrKeyMID && strings.HasPrefix(a.Value, unnamed)
		})
	}
}

// sends reports whether a section of the answer has what the viewer is to get.
func (o *offer) sends(m *sdp.MediaDescription) bool {
	name := nameVP8
	if o.h264 != nil {
		name = nameH264
	}
	return slices.ContainsFunc(m.Attributes, func(a sdp.Attribute) bool {
		return a.Key == "rtpmap" && strings.HasSuffix(a.Value, " "+name)
	})
}

// registerAudio lets sections of audio be answered as inactive. Without a codec in common they would be rejected.
func registerAudio(media *webrtc.MediaEngine) error {
	for payload, c := range map[webrtc.PayloadType]webrtc.RTPCodecCapability{
		111: {MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"},
		9:   {MimeType: webrtc.MimeTypeG722, ClockRate: 8000},
		0:   {MimeType: webrtc.MimeTypePCMU, ClockRate: 8000},
		8:   {MimeType: webrtc.MimeTypePCMA, ClockRate: 8000},
	} {
		codec := webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: payload}
		if err := media.RegisterCodec(codec, webrtc.RTPCodecTypeAudio); err != nil {
			return err
		}
	}
	return nil
}
