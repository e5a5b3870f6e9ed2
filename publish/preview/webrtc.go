package preview

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// newAPI returns WebRTC for these video codecs, with audio codecs for inactive sections.
func newAPI(settings webrtc.SettingEngine, codecs ...webrtc.RTPCodecParameters) (*webrtc.API, error) {
	media := &webrtc.MediaEngine{}
	for _, c := range codecs {
		if err := media.RegisterCodec(c, webrtc.RTPCodecTypeVideo); err != nil {
			return nil, err
		}
	}
	if err := registerAudio(media); err != nil {
		return nil, err
	}
	registry := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, registry); err != nil {
		return nil, err
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(settings)), nil
}

// codecs returns the codecs that a viewer of H.264 has offered and may get, as it has named them.
func (o *offer) codecs() ([]webrtc.RTPCodecParameters, error) {
	var all []webrtc.RTPCodecParameters
	for mime, f := range map[string]*format{webrtc.MimeTypeH264: o.h264, webrtc.MimeTypeVP8: o.vp8} {
		if f == nil {
			continue
		}
		payload, err := strconv.ParseUint(f.payload, 10, 7)
		if err != nil {
			return nil, fmt.Errorf("%w: payload type %q", errOffer, f.payload)
		}
		all = append(all, videoCodec(mime, f.fmtp, webrtc.PayloadType(payload)))
	}
	return all, nil
}

// peerConfig returns the configuration of every connection. STUN and TURN servers are its ICEServers. All connections
// share a certificate, because making one takes longer than connecting.
func peerConfig() (webrtc.Configuration, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return webrtc.Configuration{}, err
	}
	cert, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return webrtc.Configuration{}, err
	}
	return webrtc.Configuration{Certificates: []webrtc.Certificate{*cert}}, nil
}

// openMedia puts all media on one UDP port and offers the addresses at which viewers reach it.
func openMedia(cfg Config) (webrtc.SettingEngine, io.Closer, error) {
	s := webrtc.SettingEngine{}
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetICETimeouts(3*time.Second, 15*time.Second, 2*time.Second) // silent viewers: see sessions.makeRoom
	addr, err := net.ResolveUDPAddr("udp", cfg.udp())
	if err != nil {
		return s, nil, fmt.Errorf("media on udp %s: %w", cfg.udp(), err)
	}
	if len(cfg.WebRTC.AdditionalHosts) > 0 {
		err := s.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
			External: cfg.WebRTC.AdditionalHosts, AsCandidateType: webrtc.ICECandidateTypeHost,
			Mode: webrtc.ICEAddressRewriteAppend,
		})
		if err != nil {
			return s, nil, fmt.Errorf("webrtc.additional_hosts: %w", err)
		}
	}
	if addr.IP == nil || addr.IP.IsUnspecified() {
		mux, err := ice.NewMultiUDPMuxFromPort(addr.Port, ice.UDPMuxFromPortWithLoopback())
		if err != nil {
			return s, nil, fmt.Errorf("media on udp %s: %w", cfg.udp(), err)
		}
		s.SetICEUDPMux(mux)
		return s, mux, nil
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return s, nil, fmt.Errorf("media on udp %s: %w", cfg.udp(), err)
	}
	mux := webrtc.NewICEUDPMux(nil, conn)
	s.SetICEUDPMux(mux)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	return s, mux, nil
}

func vp8Codec() webrtc.RTPCodecParameters { return videoCodec(webrtc.MimeTypeVP8, "", 96) }

func videoCodec(mime, fmtp string, payload webrtc.PayloadType) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp,
			RTCPFeedback: []webrtc.RTCPFeedback{
				{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"},
			},
		},
		PayloadType: payload,
	}
}

// negotiate answers an offer. It waits until the answer holds all our addresses; they are local, so that takes
// milliseconds.
func negotiate(ctx context.Context, pc *webrtc.PeerConnection, o *offer) (string, error) {
	text, err := o.Marshal()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errOffer, err)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: string(text)}); err != nil {
		return "", fmt.Errorf("%w: %w", errOffer, err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errOffer, err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("%w: %w", errOffer, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", fmt.Errorf("gather addresses: %w", ctx.Err())
	}
	return finishAnswer(pc.LocalDescription().SDP, o)
}
