package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Timesteps selects the timesteps that a map is scored with: a number (the first N in the bundle's order), a list, or Auto.
// In JSON: 5, [0, 4, 9] or "auto".
type Timesteps struct {
	N    int
	List []int
	Auto bool
}

// MarshalJSON writes a number, a list or "auto".
func (t Timesteps) MarshalJSON() ([]byte, error) {
	switch {
	case t.Auto:
		return []byte(`"auto"`), nil
	case len(t.List) > 0:
		return json.Marshal(t.List)
	default:
		return json.Marshal(t.N)
	}
}

// UnmarshalJSON reads a number, a list or "auto". It checks only the form, because the range depends on the bundle.
func (t *Timesteps) UnmarshalJSON(b []byte) error {
	*t = Timesteps{}
	if string(b) == `"auto"` {
		t.Auto = true
		return nil
	}
	if json.Unmarshal(b, &t.N) == nil && string(b) != "null" {
		return nil
	}
	var list []int
	if json.Unmarshal(b, &list) == nil && len(list) > 0 && len(list) <= 1000 {
		t.List = list
		return nil
	}
	return fmt.Errorf("timesteps: got %s, want a whole number, a list of timesteps or \"auto\"", clip(b))
}

// Duration is a time.Duration that is "120ms" in JSON.
type Duration time.Duration

// MarshalJSON writes the duration as a string such as "120ms".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads a string such as "120ms".
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	v := time.Duration(-1)
	if json.Unmarshal(b, &s) == nil {
		if p, err := time.ParseDuration(s); err == nil {
			v = p
		}
	}
	if v < 0 {
		return fmt.Errorf("duration: got %s, want a string such as \"120ms\"", clip(b))
	}
	*d = Duration(v)
	return nil
}

// clip shortens bytes from the network for an error message.
func clip(b []byte) string {
	if len(b) > 40 {
		return strings.ToValidUTF8(string(b[:40]), "?") + "…"
	}
	return strings.ToValidUTF8(string(b), "?")
}

// maxUpdate is the largest control request in bytes; a longer one is refused without parsing.
const maxUpdate = 16 << 10

// ParseUpdate parses a control request. Its error is one line that says what is wrong.
func ParseUpdate(b []byte) (Update, error) {
	var u Update
	if len(b) > maxUpdate {
		return u, fmt.Errorf("request has %d bytes, more than %d", len(b), maxUpdate)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&u); err != nil {
		return Update{}, explain(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Update{}, errors.New("request has data after its JSON object")
	}
	if u == (Update{}) {
		return Update{}, errors.New(
			"request sets nothing: want one or more of timesteps, latency_budget, timesteps_min, timesteps_max, threshold, paused")
	}
	if u.Threshold != nil && (math.IsNaN(float64(*u.Threshold)) || math.IsInf(float64(*u.Threshold), 0)) {
		return Update{}, errors.New("threshold: want a finite number")
	}
	return u, nil
}

// explain rewords an error of encoding/json for the sender of the request.
func explain(err error) error {
	var typ *json.UnmarshalTypeError
	var syn *json.SyntaxError
	switch {
	case errors.As(err, &typ) && typ.Field != "":
		return fmt.Errorf("%s: got a %s, want a %s", typ.Field, typ.Value, jsonKind(typ.Type.String()))
	case errors.As(err, &typ):
		return fmt.Errorf("request is a JSON %s, want an object", typ.Value)
	case errors.As(err, &syn), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New(`request is not JSON: want an object such as {"timesteps": 5}`)
	default:
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
}

func jsonKind(goType string) string {
	switch goType {
	case "bool", "*bool":
		return "true or false"
	case "int", "*int":
		return "whole number"
	default:
		return "number"
	}
}
