package preview

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"
)

// Config is the operator's choice.
type Config struct {
	// Listen is the HTTP address, "HOST:PORT"; port 0 takes any, "off" serves nothing. Default 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// Token must be part of every request ("Authorization: Bearer …" or ?token=…). It is required when Listen is not on the
	// loopback interface, unless Insecure is set. At least 16 characters. Default none.
	Token string `yaml:"token,omitempty"`
	// Insecure admits everybody who can reach Listen. Default false.
	Insecure bool `yaml:"insecure"`
	// Origins are web origins ("https://host") other than our own that may use the API from a browser. Default none.
	Origins []string `yaml:"origins,omitempty"`
	// Pprof serves Go's profiles at /debug/pprof/, to holders of the token. Default false.
	Pprof bool `yaml:"pprof"`
	// MaxWidth of the preview in pixels, 160 to 3840. Larger frames are reduced. Default 960.
	MaxWidth int `yaml:"max_width"`
	// MaxFPS of the preview, 1 to 60. Default 15.
	MaxFPS int `yaml:"max_fps"`
	// Bitrate of a camera's stream, kbit/s, 100 to 20000. Default 1500.
	Bitrate int `yaml:"bitrate"`
	// MaxViewers over WebRTC and MJPEG, of all cameras together, 1 to 1000. Default 16.
	MaxViewers int `yaml:"max_viewers"`
	// WebRTC configures how media reaches viewers.
	WebRTC WebRTCConfig `yaml:"webrtc"`
}

// WebRTCConfig configures how media reaches viewers. The addresses of STUN and TURN servers would be a key here.
type WebRTCConfig struct {
	// ListenUDP is the one UDP address of all media. Default "": a free port of the loopback interface when Listen is on
	// it, else ":8189".
	ListenUDP string `yaml:"listen_udp"`
	// AdditionalHosts are more IP addresses at which viewers can reach us: the host's, when we run in a container, or the
	// public one, behind NAT. Default none.
	AdditionalHosts []string `yaml:"additional_hosts,omitempty"`
	// HandshakeTimeout is how long a viewer may take to connect, 1 s to 1 min. Default 10s.
	HandshakeTimeout time.Duration `yaml:"handshake_timeout"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:8080", MaxWidth: 960, MaxFPS: 15, Bitrate: 1500, MaxViewers: 16,
		WebRTC: WebRTCConfig{HandshakeTimeout: 10 * time.Second},
	}
}

// Off reports whether nothing is served.
func (c Config) Off() bool { return c.Listen == "off" }

// Validate returns every fault.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, got any, want string) {
		errs = append(errs, fmt.Errorf("preview.%s: got %q, want %s", key, fmt.Sprint(got), want))
	}
	between := func(key string, v, lo, hi int) {
		if v < lo || v > hi {
			bad(key, v, fmt.Sprintf("%d..%d", lo, hi))
		}
	}
	between("max_width", c.MaxWidth, 160, 3840)
	between("max_fps", c.MaxFPS, 1, 60)
	between("bitrate", c.Bitrate, 100, 20000)
	between("max_viewers", c.MaxViewers, 1, 1000)
	if c.Token != "" && len(c.Token) < 16 {
		errs = append(errs, errors.New("preview.token: too short, want at least 16 characters"))
	}
	for _, o := range c.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			bad("origins", o, `"https://host"`)
		}
	}
	if t := c.WebRTC.HandshakeTimeout; t < time.Second || t > time.Minute {
		bad("webrtc.handshake_timeout", t, "1s to 1m")
	}
	for _, h := range c.WebRTC.AdditionalHosts {
		if _, err := netip.ParseAddr(h); err != nil {
			bad("webrtc.additional_hosts", h, "an IP address")
		}
	}
	if u := c.WebRTC.ListenUDP; u != "" {
		if _, err := net.ResolveUDPAddr("udp", u); err != nil {
			bad("webrtc.listen_udp", u, "HOST:PORT")
		}
	}
	if !c.Off() {
		errs = append(errs, c.checkListen())
	}
	return errors.Join(errs...)
}

func (c Config) checkListen() error {
	if _, err := net.ResolveTCPAddr("tcp", c.Listen); err != nil {
		return fmt.Errorf("preview.listen: got %q, want HOST:PORT or off", c.Listen)
	}
	if !c.loopback() && c.Token == "" && !c.Insecure {
		return fmt.Errorf("preview.listen: %q lets the network in: set preview.token, or preview.insecure: true", c.Listen)
	}
	return nil
}

// loopback reports whether only this machine can reach Listen.
func (c Config) loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && isLoopback(host)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// udp returns the UDP address of media.
func (c Config) udp() string {
	switch {
	case c.WebRTC.ListenUDP != "":
		return c.WebRTC.ListenUDP
	case c.loopback():
		return "127.0.0.1:0"
	default:
		return ":8189"
	}
}
