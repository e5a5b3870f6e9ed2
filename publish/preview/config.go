package preview

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Config is the operator's choice.
type Config struct {
	// Listen is the HTTP address, "HOST:PORT"; port 0 takes any, "off" serves nothing. Default 127.0.0.1:8080.
	Listen string `yaml:"listen"`
	// Token must be part of every request ("Authorization: Bearer …" or ?token=…), or of a login on the page. It is required
	// when Listen is not on the loopback interface, unless Insecure is set. At least 16 characters, not the same ones over
	// and over. Default none.
	Token string `yaml:"token,omitempty"`
	// ViewerToken is another token, for people who may look but not change settings. It needs Token. Default none.
	ViewerToken string `yaml:"viewer_token,omitempty"`
	// Insecure admits everybody who can reach Listen by one of its names. Default false.
	Insecure bool `yaml:"insecure"`
	// CertFile and KeyFile are PEM files with the certificate, its chain and its key. With them everything is served over
	// TLS. They are read again when they change. Default none.
	CertFile string `yaml:"cert_file,omitempty"`
	KeyFile  string `yaml:"key_file,omitempty"`
	// Hosts are the names by which browsers reach us, other than an address and this machine's own name. They are needed
	// where there is no token, behind a proxy for example. Default none.
	Hosts []string `yaml:"hosts,omitempty"`
	// Proxies are the addresses or networks of reverse proxies, whose X-Forwarded-For names the client. Default none.
	Proxies []string `yaml:"proxies,omitempty"`
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
	// Passthrough says whether viewers over WebRTC who take H.264 get that of a camera that sends it, as it is and without the
	// overlay: auto or off. Default auto.
	Passthrough string `yaml:"passthrough"`
	// MaxViewers over WebRTC and MJPEG, of all cameras together, 1 to 1000. Default 16.
	MaxViewers int `yaml:"max_viewers"`
	// Connections bounds what clients may hold open.
	Connections ConnectionsConfig `yaml:"connections"`
	// WebRTC configures how media reaches viewers.
	WebRTC WebRTCConfig `yaml:"webrtc"`
}

// ConnectionsConfig bounds the HTTP connections. When there are too many, the one that has been idle longest makes room.
type ConnectionsConfig struct {
	// Max is how many may be open, 16 to 10000, or fewer where the limit of open files would leave less than 128 to the
	// rest. Default 256.
	Max int `yaml:"max"`
	// PerAddress is how many may come from one address, 4 to 10000, or from 64 bits of an IPv6 address; Proxies may have
	// more. Default 128.
	PerAddress int `yaml:"per_address"`
	// Idle is how long one may wait for its next request, 1 s to 1 h. Default 1m.
	Idle time.Duration `yaml:"idle"`
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
		Listen: "127.0.0.1:8080", MaxWidth: 960, MaxFPS: 15, Bitrate: 1500, Passthrough: passthroughAuto, MaxViewers: 16,
		Connections: ConnectionsConfig{Max: 256, PerAddress: 128, Idle: time.Minute},
		WebRTC:      WebRTCConfig{HandshakeTimeout: 10 * time.Second},
	}
}

// Values of Config.Passthrough.
const (
	passthroughAuto = "auto"
	passthroughOff  = "off"
)

// Off reports whether nothing is served.
func (c Config) Off() bool { return c.Listen == "off" }

// TLS reports whether everything is served over TLS.
func (c Config) TLS() bool { return c.CertFile != "" }

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
	if c.Passthrough != passthroughAuto && c.Passthrough != passthroughOff {
		bad("passthrough", c.Passthrough, "auto or off")
	}
	between("connections.max", c.Connections.Max, fewest, 10000)
	between("connections.per_address", c.Connections.PerAddress, 4, 10000)
	if t := c.Connections.Idle; t < time.Second || t > time.Hour {
		bad("connections.idle", t, "1s to 1h")
	}
	errs = append(errs, c.checkAccess()...)
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

// checkAccess returns the faults of tokens, certificate, names and proxies.
func (c Config) checkAccess() []error {
	var errs []error
	for _, t := range [][2]string{{"token", c.Token}, {"viewer_token", c.ViewerToken}} {
		if why := weakToken(t[1]); t[1] != "" && why != "" {
			errs = append(errs, fmt.Errorf("preview.%s: %s", t[0], why))
		}
	}
	switch {
	case c.ViewerToken == "":
	case c.Token == "":
		errs = append(errs, errors.New("preview.viewer_token: needs preview.token, for those who may change settings"))
	case c.ViewerToken == c.Token:
		errs = append(errs, errors.New("preview.viewer_token: got preview.token, want another one"))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("preview.cert_file, preview.key_file: got one of them, want both or none"))
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/:*@ ") {
			errs = append(errs, fmt.Errorf("preview.hosts: got %q, want a name without a port", h))
		}
	}
	for _, p := range c.Proxies {
		if _, err := parsePrefix(p); err != nil {
			errs = append(errs, fmt.Errorf("preview.proxies: got %q, want an IP address or a network (10.0.0.0/8)", p))
		}
	}
	return errs
}

// weakToken returns what is wrong with a token, or nothing.
func weakToken(token string) string {
	if len(token) < 16 {
		return "too short, want at least 16 characters"
	}
	if strings.ContainsFunc(token, unicode.IsControl) {
		return "it has control characters, such as a line break at its end"
	}
	different := map[rune]bool{}
	for _, r := range token {
		different[r] = true
	}
	if i := strings.Index((token + token)[1:], token); len(different) < 6 || i < len(token)/2 {
		return "too uniform, want one that is hard to guess: openssl rand -hex 16"
	}
	return ""
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
