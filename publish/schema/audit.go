package schema

import (
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Requester is where a change of settings came from.
type Requester struct {
	// Via is the door: nats, http, config (a reload) or state (settings restored after a restart).
	Via string `json:"via"`
	// Name is the name that the requester gave: its connection on NATS, the user on HTTP. It proves nothing.
	Name string `json:"name,omitempty"`
	// Address is the address or file that the request came from, if it is known.
	Address string `json:"address,omitempty"`
}

// Values of Requester.Via.
const (
	ViaNATS   = "nats"
	ViaHTTP   = "http"
	ViaConfig = "config"
	ViaState  = "state"
)

// Audit is the JSON message on …{camera}.audit: a change of settings that took effect. Before and After have the settings that
// the request named, or that the reload changed.
type Audit struct {
	Origin
	Site   string    `json:"site"`
	Camera string    `json:"camera"`
	Time   time.Time `json:"time"`
	Requester
	Action string `json:"action"` // set, pause, resume, reload, restore, added, restarted, removed, teach or forget
	Before Update `json:"before"`
	After  Update `json:"after"`
	// The keys of the configuration that a reload has changed.
	Changes []Change `json:"changes,omitempty"`
}

// Change is a key of a camera's configuration with its values before and after a reload, without secrets.
type Change struct {
	Key    string `json:"key"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Values of Audit.Action.
const (
	ActionSet       = "set"
	ActionPause     = "pause"
	ActionResume    = "resume"
	ActionReload    = "reload"
	ActionRestore   = "restore"
	ActionAdded     = "added"
	ActionRestarted = "restarted"
	ActionRemoved   = "removed"
	ActionTeach     = "teach"
	ActionForget    = "forget"
)

// Auditor is implemented by outlets that want to know about changes of settings. Audit must not wait for a network, and must
// not call methods of cameras: the camera waits for it.
type Auditor interface {
	Audit(Audit)
}

// Action names what u does: pause and resume if that is all, otherwise set.
func (u Update) Action() string {
	if p := u.Paused; p != nil && u == (Update{Paused: p}) {
		if *p {
			return ActionPause
		}
		return ActionResume
	}
	return ActionSet
}

// Settings returns all settings of a status as an Update.
func (s Status) Settings() Update {
	steps, budget, least, most, threshold, paused := s.Timesteps, s.LatencyBudget, s.TimestepsMin, s.TimestepsMax, s.Threshold, s.Paused
	return Update{
		Timesteps: &steps, LatencyBudget: &budget, TimestepsMin: &least, TimestepsMax: &most, Threshold: &threshold, Paused: &paused,
	}
}

// Only returns u with the settings that named has too.
func (u Update) Only(named Update) Update {
	if named.Timesteps == nil {
		u.Timesteps = nil
	}
	if named.LatencyBudget == nil {
		u.LatencyBudget = nil
	}
	if named.TimestepsMin == nil {
		u.TimestepsMin = nil
	}
	if named.TimestepsMax == nil {
		u.TimestepsMax = nil
	}
	if named.Threshold == nil {
		u.Threshold = nil
	}
	if named.Paused == nil {
		u.Paused = nil
	}
	return u
}

// Merge returns u with the settings of newer in place of its own.
func (u Update) Merge(newer Update) Update {
	for _, merge := range []func(){
		func() { set(&u.Timesteps, newer.Timesteps) },
		func() { set(&u.LatencyBudget, newer.LatencyBudget) },
		func() { set(&u.TimestepsMin, newer.TimestepsMin) },
		func() { set(&u.TimestepsMax, newer.TimestepsMax) },
		func() { set(&u.Threshold, newer.Threshold) },
		func() { set(&u.Paused, newer.Paused) },
	} {
		merge()
	}
	return u
}

func set[T any](dst **T, v *T) {
	if v != nil {
		*dst = v
	}
}

// Clean returns text from elsewhere without control characters, and at most 200 bytes of it, for logs and messages.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, ""))
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}

// processName names this process on its host.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + ":" + strconv.Itoa(os.Getpid())
}
