package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	mostRedirects = 10
	mostPause     = time.Minute
)

// newClient returns a client that sends the token to the endpoint alone.
func newClient(cfg Config, endpoint *url.URL) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true // ranges and sizes are those of the file
	t.ResponseHeaderTimeout = cfg.Stall
	t.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Transport: &authorised{next: t, endpoint: endpoint, token: cfg.Token},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case len(via) >= mostRedirects:
				return permanent{fmt.Errorf("more than %d redirects", mostRedirects)}
			case req.URL.Scheme != "https" && via[0].URL.Scheme == "https":
				return permanent{fmt.Errorf("%s redirects from https to %s", via[len(via)-1].URL.Host, req.URL.Scheme)}
			}
			return nil
		},
	}
}

// authorised adds the token to requests to the endpoint. The client itself never holds it, and so cannot pass it on when it
// follows a redirect.
type authorised struct {
	next     http.RoundTripper
	endpoint *url.URL
	token    string
}

// RoundTrip implements http.RoundTripper.
func (a *authorised) RoundTrip(req *http.Request) (*http.Response, error) {
	if a.token != "" && req.URL.Scheme == a.endpoint.Scheme && req.URL.Host == a.endpoint.Host {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	return a.next.RoundTrip(req)
}

// CloseIdleConnections lets the client close connections.
func (a *authorised) CloseIdleConnections() {
	if c, ok := a.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// permanent is an error that another try would meet again.
type permanent struct{ err error }

func (p permanent) Error() string { return p.err.Error() }
func (p permanent) Unwrap() error { return p.err }

// later is an error of a server that says when to come back.
type later struct {
	err   error
	after time.Duration
}

func (l later) Error() string { return l.err.Error() }
func (l later) Unwrap() error { return l.err }

// get sends a request. Its error is permanent, later, or one that may pass.
func (p *Puller) get(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, permanent{err}
	}
	req.Header = header
	req.Header.Set("User-Agent", "oodcast")
	resp, err := p.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // its text holds the address with its query
			err = ue.Err
		}
		return nil, fmt.Errorf("%s: %w", u.Host, err)
	}
	if err := p.refused(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// refused turns a status into an error. The status of a range that is not there is left to the caller.
func (p *Puller) refused(resp *http.Response) error {
	code, host := resp.StatusCode, resp.Request.URL.Host
	said := said(resp.Header.Get("X-Error-Message"))
	switch {
	case code == http.StatusOK, code == http.StatusPartialContent, code == http.StatusRequestedRangeNotSatisfiable:
		return nil
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return permanent{fmt.Errorf("%s refuses (%d%s): the name is wrong, or the repository is private or asks for consent: accept its terms "+
			"on its page and set HF_TOKEN, or log in with hf auth login", host, code, said)}
	case code == http.StatusNotFound || code == http.StatusGone:
		return permanent{fmt.Errorf("%s does not have it (%d%s)", host, code, said)}
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		return later{fmt.Errorf("%s is busy (%d%s)", host, code, said), retryAfter(resp.Header.Get("Retry-After"))}
	case code >= 500 || code == http.StatusRequestTimeout:
		return fmt.Errorf("%s answers %d%s", host, code, said)
	}
	return permanent{fmt.Errorf("%s answers %d%s", host, code, said)}
}

// said returns the words of a server for a message, bounded and printable.
func said(s string) string {
	if s = oneLine(s, 160); s == "" {
		return ""
	}
	return ": " + s
}

// oneLine returns at most n characters of a foreign text, in one printable line.
func oneLine(s string, n int) string {
	s = strings.Join(strings.Fields(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return min(time.Duration(min(n, 3600))*time.Second, mostPause)
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(time.Until(at), 0), mostPause)
	}
	return 0
}

// retry calls f until it succeeds, fails for good, or has failed too often without progress. f reports whether it made some.
func (p *Puller) retry(ctx context.Context, what string, f func() (progress bool, err error)) error {
	for failed := 0; ; {
		progress, err := f()
		var stop permanent
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &stop):
			return stop.err
		}
		if progress {
			failed = 0
		}
		if failed++; failed > p.cfg.Retries {
			return fmt.Errorf("%s: after %d retries: %w; the same command goes on where it stopped", what, p.cfg.Retries, err)
		}
		pause := min(p.cfg.Pause<<min(failed-1, 10), mostPause)
		pause = pause/2 + rand.N(pause/2+1) // so that many clients do not come back at once
		var busy later
		if errors.As(err, &busy) {
			pause = max(pause, busy.after)
		}
		p.note("%s: %v; trying again in %v", what, err, pause.Round(100*time.Millisecond))
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return context.Cause(ctx)
		}
	}
}

// errStalled means that a server sent nothing for too long.
var errStalled = errors.New("the server sends nothing")

// answer is a response whose body may not stall. The caller closes it.
type answer struct {
	*http.Response
	timer  *time.Timer
	stall  time.Duration
	cancel context.CancelCauseFunc
}

// Read reads the body. The request is cancelled when nothing arrives for a while.
func (a *answer) Read(b []byte) (int, error) {
	n, err := a.Body.Read(b)
	a.timer.Reset(a.stall)
	return n, err
}

// Close closes the body.
func (a *answer) Close() error {
	a.timer.Stop()
	a.cancel(nil)
	return a.Body.Close()
}

// open sends a request.
func (p *Puller) open(ctx context.Context, u *url.URL, header http.Header) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(p.cfg.Stall, func() { cancel(errStalled) })
	resp, err := p.get(ctx, u, header) //nolint:bodyclose // answer.Close closes it
	if err != nil {
		timer.Stop()
		if errors.Is(context.Cause(ctx), errStalled) {
			err = fmt.Errorf("%s: %w for %v", u.Host, errStalled, p.cfg.Stall)
		}
		cancel(nil)
		return nil, err
	}
	return &answer{resp, timer, p.cfg.Stall, cancel}, nil
}

// getSmall returns the body of an address, of at most limit bytes.
func (p *Puller) getSmall(ctx context.Context, u *url.URL, limit int64) (raw []byte, err error) {
	err = p.retry(ctx, u.Host, func() (bool, error) {
		resp, err := p.open(ctx, u, http.Header{})
		if err != nil {
			return false, err
		}
		defer resp.Close()
		if raw, err = io.ReadAll(io.LimitReader(resp, limit+1)); err != nil {
			return false, fmt.Errorf("%s: %w", u.Host, err)
		}
		if int64(len(raw)) > limit || resp.StatusCode != http.StatusOK {
			return false, permanent{fmt.Errorf("%s sends %d bytes or more as a list of files, with status %d", u.Host, len(raw), resp.StatusCode)}
		}
		return true, nil
	})
	return raw, err
}
