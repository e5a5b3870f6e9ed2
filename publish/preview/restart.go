package preview

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// Why a PATCH is refused.
var (
	errFragment = errors.New("the request is not a trickle ICE fragment")
	errETag     = errors.New("If-Match differs from the session's ETag")
)

// negotiation is the state that a viewer's PATCH requests change.
type negotiation struct {
	sync.Mutex
	offer *offer // in force; nil before the answer
	etag  string // of the ICE session
}

func newETag() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return `"` + hex.EncodeToString(b[:]) + `"`
}

// matches reports whether an If-Match header allows a change. Players send none, "*", or the tag.
func (n *negotiation) matches(header string) bool {
	if header == "" {
		return true
	}
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || tag == n.etag {
			return true
		}
	}
	return false
}

// fragment is the body of a PATCH request (RFC 8840).
type fragment struct {
	ufrag, password string
	candidates      []string // the usable ones
}

func readFragment(text string) (fragment, error) {
	var f fragment
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' {
			return f, errFragment
		}
		key, value, _ := strings.Cut(line, ":")
		switch {
		case key == "a=ice-ufrag" && f.ufrag == "":
			f.ufrag = value
		case key == "a=ice-pwd" && f.password == "":
			f.password = value
		case key == "a=candidate" && usable(value):
			f.candidates = append(f.candidates, value)
		}
	}
	return f, nil
}

// update adds the addresses that a viewer has found after its offer. When the fragment has other credentials than the
// offer it restarts ICE (RFC 8838), and update returns our part of the new ICE session; otherwise an empty text.
func (s *sessions) update(ctx context.Context, v *session, ifMatch, body string) (ours, etag string, err error) {
	v.negotiation.Lock()
	defer v.negotiation.Unlock()
	s.mu.Lock()
	pc := v.pc
	s.mu.Unlock()
	switch {
	case pc == nil || v.negotiation.offer == nil:
		return "", "", errUnknown
	case !v.negotiation.matches(ifMatch):
		return "", "", errETag
	}
	f, err := readFragment(body)
	if err != nil {
		return "", "", err
	}
	ufrag, password := credentials(v.negotiation.offer.SessionDescription)
	if f.ufrag != "" && (f.ufrag != ufrag || f.password != "" && f.password != password) {
		return s.restart(ctx, v, pc, f)
	}
	for _, c := range f.candidates {
		if err := pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: "candidate:" + c}); err != nil {
			return "", "", fmt.Errorf("%w: candidate: %w", errFragment, err)
		}
	}
	return "", v.negotiation.etag, nil
}

// restart negotiates the offer in force again, with the credentials and addresses of f.
func (s *sessions) restart(ctx context.Context, v *session, pc *webrtc.PeerConnection, f fragment) (string, string, error) {
	if f.password == "" {
		return "", "", fmt.Errorf("%w: want a=ice-pwd with a new a=ice-ufrag", errFragment)
	}
	o, err := restartOffer(v.negotiation.offer, f)
	if err != nil {
		return "", "", err
	}
	text, err := negotiate(ctx, pc, o)
	if err != nil {
		return "", "", err
	}
	ours, err := answerFragment(text)
	if err != nil {
		return "", "", err
	}
	v.negotiation.offer, v.negotiation.etag = o, newETag()
	s.log.Debug("viewer restarted ICE", "camera", v.stream.cam.Name())
	return ours, v.negotiation.etag, nil
}

// credentials returns the ICE credentials of a description: those of the session, or of its first section that has some.
func credentials(d *sdp.SessionDescription) (ufrag, password string) {
	ufrag, found := d.Attribute("ice-ufrag")
	if found {
		password, _ = d.Attribute("ice-pwd")
		return ufrag, password
	}
	for _, m := range d.MediaDescriptions {
		if ufrag, found = m.Attribute("ice-ufrag"); found {
			password, _ = m.Attribute("ice-pwd")
			return ufrag, password
		}
	}
	return "", ""
}

// restartOffer returns a copy of an offer with other credentials and addresses.
func restartOffer(old *offer, f fragment) (*offer, error) {
	b, err := old.Marshal()
	if err != nil {
		return nil, err
	}
	o := &offer{SessionDescription: &sdp.SessionDescription{}, single: old.single, h264: old.h264, vp8: old.vp8}
	if err := o.Unmarshal(b); err != nil {
		return nil, err
	}
	o.Origin.SessionVersion++
	replace := func(attributes []sdp.Attribute) []sdp.Attribute {
		attributes = slices.DeleteFunc(attributes, func(a sdp.Attribute) bool {
			return a.IsICECandidate() || a.Key == sdp.AttrKeyEndOfCandidates
		})
		for i, a := range attributes {
			switch a.Key {
			case "ice-ufrag":
				attributes[i].Value = f.ufrag
			case "ice-pwd":
				attributes[i].Value = f.password
			}
		}
		return attributes
	}
	o.Attributes = replace(o.Attributes)
	for _, m := range o.MediaDescriptions {
		m.Attributes = replace(m.Attributes)
		for _, c := range f.candidates { // pion reads those of the bundle's section
			m.Attributes = append(m.Attributes, sdp.NewAttribute("candidate", c))
		}
	}
	return o, nil
}

// component returns the component of a candidate: 1, or 2 for RTCP on a port of its own.
func component(candidate string) string {
	if fields := strings.Fields(candidate); len(fields) > 1 {
		return fields[1]
	}
	return ""
}

// answerFragment returns the credentials and addresses of an answer as a fragment.
func answerFragment(answer string) (string, error) {
	d := &sdp.SessionDescription{}
	if err := d.UnmarshalString(answer); err != nil {
		return "", err
	}
	ufrag, password := credentials(d)
	var b strings.Builder
	if group, ok := d.Attribute("group"); ok {
		fmt.Fprintf(&b, "a=group:%s\r\n", group)
	}
	fmt.Fprintf(&b, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", ufrag, password)
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			continue
		}
		mid, _ := m.Attribute("mid")
		fmt.Fprintf(&b, "m=%s\r\na=mid:%s\r\n", m.MediaName.String(), mid)
		for _, a := range m.Attributes {
			if a.IsICECandidate() && component(a.Value) == "1" { // component 2 is RTCP, which shares the port
				fmt.Fprintf(&b, "a=candidate:%s\r\n", a.Value)
			}
		}
		b.WriteString("a=end-of-candidates\r\n")
		break // the other sections share its transport
	}
	return b.String(), nil
}
