package preview

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// role is what a caller may do.
type role string

const (
	nobody role = ""
	viewer role = "viewer" // looks, and changes nothing
	admin  role = "admin"
)

// Why a caller is refused.
var (
	errNoToken = errors.New("a token is needed: Authorization: Bearer … or ?token=…, or a login on the page")
	errWrong   = errors.New("the token is wrong")
	errTooMany = errors.New("too many wrong tokens from this address: try again later")
	errViewer  = errors.New("the viewer token may look, but not change settings")
)

// cookieAge is how long a login lasts without a visit.
const cookieAge = 30 * 24 * time.Hour

// auth knows the tokens. A login is a cookie that is signed with a key made of them: it survives a restart, reveals no
// token, and ends when a token changes.
type auth struct {
	tokens map[role][sha256.Size]byte
	key    [sha256.Size]byte
	cookie string // its name; cookies do not know ports, so each server on a host has its own
}

func newAuth(cfg Config) *auth {
	a := &auth{tokens: map[role][sha256.Size]byte{}}
	for who, token := range map[role]string{admin: cfg.Token, viewer: cfg.ViewerToken} {
		if token != "" {
			a.tokens[who] = sha256.Sum256([]byte(token))
		}
	}
	a.key = sha256.Sum256([]byte("oodcast login\x00" + cfg.Token + "\x00" + cfg.ViewerToken))
	a.cookie = "oodcast_" + a.sign("name")[:8]
	return a
}

// on reports whether a token is needed.
func (a *auth) on() bool { return len(a.tokens) > 0 }

// of returns the role that a token gives. It takes the same time for every token.
func (a *auth) of(token string) role {
	sum, who := sha256.Sum256([]byte(token)), nobody
	for r, want := range a.tokens {
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 {
			who = r
		}
	}
	return who
}

func (a *auth) sign(text string) string {
	mac := hmac.New(sha256.New, a.key[:])
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// value returns the content of the cookie of a login: role, time of its end, signature.
func (a *auth) value(who role, end time.Time) string {
	text := string(who) + "." + strconv.FormatInt(end.Unix(), 10)
	return text + "." + a.sign(text)
}

// login returns the role of a request's cookie, and when the login ends.
func (a *auth) login(r *http.Request) (role, time.Time) {
	c, err := r.Cookie(a.cookie)
	if err != nil {
		return nobody, time.Time{}
	}
	at := strings.LastIndexByte(c.Value, '.')
	if at < 0 || !hmac.Equal([]byte(c.Value[at+1:]), []byte(a.sign(c.Value[:at]))) {
		return nobody, time.Time{}
	}
	who, end, _ := strings.Cut(c.Value[:at], ".")
	seconds, err := strconv.ParseInt(end, 10, 64)
	if err != nil || time.Now().Unix() > seconds {
		return nobody, time.Time{}
	}
	return role(who), time.Unix(seconds, 0)
}

// keep gives a browser the cookie of a login, and with nobody takes it away.
func (a *auth) keep(w http.ResponseWriter, r *http.Request, who role) {
	c := &http.Cookie{
		Name: a.cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
	if who != nobody {
		c.MaxAge, c.Value = int(cookieAge/time.Second), a.value(who, time.Now().Add(cookieAge))
	}
	http.SetCookie(w, c)
}

// shown returns the token in a request, and where it is.
func shown(r *http.Request) (token, where string) {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), "header"
	}
	if q := r.URL.Query(); q.Has("token") {
		return q.Get("token"), "query"
	}
	return "", ""
}

// judge returns the role of a token from a client. Wrong tokens are logged, counted, and limited for each address. Behind a proxy
// the address is what the proxy says, or whoever else can connect from its machine; so the proxy has a limit as well.
func (s *Server) judge(r *http.Request, token, where string) (role, error) {
	client, peer := s.clientAddr(r), addrOf(r.RemoteAddr)
	relayed := s.cfg.isProxy(peer)
	if !s.guesses.take(client) || relayed && !s.relayed.take(peer) {
		s.metrics.tokens.WithLabelValues("limited").Inc()
		return nobody, errTooMany
	}
	who := s.auth.of(token)
	if who == nobody {
		s.metrics.tokens.WithLabelValues("wrong").Inc()
		s.log.Warn("wrong token", "address", client.String(), "where", where, "path", clip(r.URL.Path, 200))
		return nobody, errWrong
	}
	s.guesses.giveBack(client)
	if relayed {
		s.relayed.giveBack(peer)
	}
	return who, nil
}

// caller returns the role of the caller of a request, and why it has none.
func (s *Server) caller(w http.ResponseWriter, r *http.Request) (role, error) {
	if !s.auth.on() {
		return admin, nil
	}
	if token, where := shown(r); where != "" {
		return s.judge(r, token, where)
	}
	who, end := s.auth.login(r)
	if who == nobody {
		return nobody, errNoToken
	}
	if time.Until(end) < cookieAge-24*time.Hour { // each day with a visit makes it longer
		s.auth.keep(w, r, who)
	}
	return who, nil
}

// deny answers a caller who is refused.
func deny(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errTooMany):
		w.Header().Set("Retry-After", strconv.Itoa(int(guessEvery/time.Second)))
		fault(w, http.StatusTooManyRequests, err)
	case errors.Is(err, errViewer):
		fault(w, http.StatusForbidden, err)
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="oodcast"`)
		fault(w, http.StatusUnauthorized, err)
	}
}

type roleKey struct{}

// authorised lets requests pass whose caller has a role, and all requests when no token is configured.
func (s *Server) authorised(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.caller(w, r)
		if err != nil {
			deny(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), roleKey{}, who)))
	})
}

// roleOf returns the role that authorised found.
func roleOf(r *http.Request) role {
	who, _ := r.Context().Value(roleKey{}).(role)
	return who
}

// adminOnly refuses callers who may only look.
func adminOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if roleOf(r) != admin {
			deny(w, errViewer)
			return
		}
		next(w, r)
	}
}

// logIn exchanges a token for the cookie.
func (s *Server) logIn(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r, maxJSON)
	if !ok {
		return
	}
	who := admin
	if s.auth.on() {
		var login struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal(body, &login); err != nil {
			fault(w, http.StatusBadRequest, errors.New(`want {"token": "…"}`))
			return
		}
		var err error
		if who, err = s.judge(r, login.Token, "login"); err != nil {
			deny(w, err)
			return
		}
		s.auth.keep(w, r, who)
	}
	answer(w, http.StatusOK, map[string]any{"role": who})
}

// logOut takes the cookie away.
func (s *Server) logOut(w http.ResponseWriter, r *http.Request) {
	s.auth.keep(w, r, nobody)
	answer(w, http.StatusOK, map[string]any{"role": nobody})
}

// enter serves the page. It exchanges a token in the page's address for the cookie and leads to the address without it,
// so that the token does not stay in the address bar, the history, or a bookmark.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !q.Has("token") {
		servePage(w, r)
		return
	}
	if s.auth.on() {
		if who, err := s.judge(r, q.Get("token"), "query"); err == nil {
			s.auth.keep(w, r, who)
		}
	}
	q.Del("token")
	place := "./" // relative: a proxy may have put us below a path
	if len(q) > 0 {
		place += "?" + q.Encode()
	}
	h := w.Header()
	h.Set("Location", place)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// clip shortens a text for the log.
func clip(text string, most int) string {
	if len(text) > most {
		text = text[:most] + "…"
	}
	return plain(text)
}
