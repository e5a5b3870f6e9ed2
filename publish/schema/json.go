package schema

import "time"

// Score is the JSON message on …{camera}.score: a map without its values.
type Score struct {
	Origin
	Site      string    `json:"site"`
	Camera    string    `json:"camera"`
	Seq       uint64    `json:"seq"`       // of the map
	FrameSeq  uint64    `json:"frame_seq"` // of the frame
	Captured  time.Time `json:"captured"`
	Peak      float32   `json:"peak"` // largest standardised value
	Mean      float32   `json:"mean"`
	Threshold float32   `json:"threshold"`
	Area      float32   `json:"area"`      // share of the judged cells above the threshold, 0..1
	Timesteps []int     `json:"timesteps"` // scored; |T| is their number
	LatencyMS LatencyMS `json:"latency_ms"`
	// With timesteps "auto": the budget for encoding and scoring, whether it was exceeded, and the reason for the choice of
	// |T|: measuring, budget, rate, load, floor or ceiling.
	LatencyBudget   Duration `json:"latency_budget,omitempty"`
	BudgetMissed    bool     `json:"budget_missed,omitempty"`
	TimestepsReason string   `json:"timesteps_reason,omitempty"`

	Bundle   string `json:"bundle"`
	Provider string `json:"provider"`
}

// LatencyMS is the latency of a map in milliseconds.
type LatencyMS struct {
	Wait   float64 `json:"wait"`   // capture to start
	Encode float64 `json:"encode"` // image encoder
	Score  float64 `json:"score"`  // diffusion over all timesteps
	Total  float64 `json:"total"`  // capture to finished map
}

// NewLatencyMS converts the parts of a map's latency to milliseconds, rounded down to the microsecond.
func NewLatencyMS(wait, encode, score, total time.Duration) LatencyMS {
	millis := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return LatencyMS{Wait: millis(wait), Encode: millis(encode), Score: millis(score), Total: millis(total)}
}

// Event is the JSON message on …{camera}.event.{start|update|end}. Nats-Msg-Id is "{id}.{revision}".
type Event struct {
	Origin
	ID         string       `json:"id"`       // unique among the events of all runs
	Revision   int          `json:"revision"` // from 1
	Type       string       `json:"type"`     // start, update or end
	Category   string       `json:"category"` // strange, motion, crowd, left, taken, covered, moved or defocused
	Site       string       `json:"site"`
	Camera     string       `json:"camera"`
	Zone       string       `json:"zone,omitempty"` // name of the zone that the event began in
	Start      time.Time    `json:"start"`          // capture time of the first frame
	Time       time.Time    `json:"time"`           // capture time of the newest frame
	Box        Box          `json:"box"`
	Polygon    [][2]float64 `json:"polygon,omitempty"` // outline: x, y in 0..1, clockwise, at most 32 corners
	Peak       float32      `json:"peak"`
	PeakTime   time.Time    `json:"peak_time"`         // capture time of the frame with the peak
	Voice      string       `json:"voice,omitempty"`   // part of the score that spoke the loudest at the peak: diffusion, unclaimed, contrast or motion
	SeenAs     string       `json:"seen_as,omitempty"` // class that the network finds likeliest at the peak, known or not
	Mean       float32      `json:"mean"`
	Threshold  float32      `json:"threshold"`
	Area       float64      `json:"area"` // share of the image, 0..1
	DurationMS int64        `json:"duration_ms"`
	Timesteps  []int        `json:"timesteps"` // scored; |T| is their number
	Bundle     string       `json:"bundle"`
	Reason     string       `json:"reason,omitempty"`   // of an end: gone, merged, stream_end, paused, no_signal or interrupted
	Into       string       `json:"into,omitempty"`     // id of the event that this one was merged into
	Snapshot   string       `json:"snapshot,omitempty"` // picture: path below archive.dir and name in the object store
	Clip       string       `json:"clip,omitempty"`     // clip: likewise; only in the end message, and written some seconds later
}

// Box is a rectangle in normalised image coordinates, 0..1 from the top left.
type Box struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// States of a camera.
const (
	StateConnecting = "connecting"
	StateLive       = "live"
	StateStalled    = "stalled"
	StateDown       = "down"
	StateEnded      = "ended"
	StatePaused     = "paused"
)

// Status is the state of a camera and the settings in force. It is the JSON message on …{camera}.status, the answer to control
// requests, and part of the HTTP API.
type Status struct {
	Origin
	Site          string    `json:"site"`
	Camera        string    `json:"camera"`
	State         string    `json:"state"`
	Reason        string    `json:"reason,omitempty"` // why the camera is stalled or down
	Hint          string    `json:"hint,omitempty"`   // what to check while the picture drifts
	Since         time.Time `json:"since"`            // start of the state
	Time          time.Time `json:"time"`
	Source        string    `json:"source,omitempty"` // without credentials
	Paused        bool      `json:"paused"`
	Timesteps     Timesteps `json:"timesteps"`                // as set
	TimestepsUsed int       `json:"timesteps_used"`           // |T| of the newest map
	LatencyBudget Duration  `json:"latency_budget,omitempty"` // for timesteps "auto"
	// The smallest and the largest |T| that "auto" may choose, and how many timesteps the bundle offers.
	TimestepsMin     int `json:"timesteps_min"`
	TimestepsMax     int `json:"timesteps_max"`
	TimestepsOffered int `json:"timesteps_offered"`
	// Why "auto" chose timesteps_used: measuring, budget, rate, load, floor or ceiling.
	TimestepsReason string  `json:"timesteps_reason,omitempty"`
	Threshold       float32 `json:"threshold"`
	Bundle          string  `json:"bundle"`
	BundleVersion   string  `json:"bundle_version,omitempty"`
	Provider        string  `json:"provider"`
	Width           int     `json:"width"` // of the frames in pixels; 0 before the first frame
	Height          int     `json:"height"`
	// Why the newest configuration file is not in force; empty if it is.
	ConfigFault string `json:"config_fault,omitempty"`
	// In the answer to a request: why the settings that requests have made do not survive a restart; empty if they do.
	SettingsVolatile string `json:"settings_volatile,omitempty"`

	Stats Stats `json:"stats"`
}

// Stats is part of the JSON message on …{camera}.stats, see StatsMessage: counts since the start, and rates and latencies of the last seconds.
type Stats struct {
	UptimeS   float64           `json:"uptime_s"`
	Captured  uint64            `json:"captured"`          // frames read
	Scored    uint64            `json:"scored"`            // maps made
	Dropped   map[string]uint64 `json:"dropped,omitempty"` // by "stage:reason"
	CameraFPS float64           `json:"camera_fps"`
	ScoreFPS  float64           `json:"score_fps"`
	Peak      float32           `json:"peak"`
	Mean      float32           `json:"mean"`
	LatencyMS LatencyMS         `json:"latency_ms"`
	Viewers   int               `json:"viewers"`
	Events    uint64            `json:"events"`
	Errors    uint64            `json:"errors"` // frames or maps that could not be used
	// Attempts to open the stream after the first, in total and by reason: timed_out, broke_off, no_connection or other.
	Reconnects       uint64            `json:"reconnects"`
	ReconnectReasons map[string]uint64 `json:"reconnect_reasons,omitempty"`
	// Captures that hung and were abandoned, and how many of them still hold a thread.
	Abandoned uint64 `json:"abandoned,omitempty"`
	Hanging   uint64 `json:"hanging,omitempty"`
	// Length and capacity of the queue of frames to be scored, and the memory of all frames of the camera in bytes.
	Waiting    int `json:"waiting"`
	WaitingMax int `json:"waiting_max"`
	FrameBytes int `json:"frame_bytes"`
	// With timesteps "auto": the number of frames that exceeded the latency budget, and of changes of |T|.
	BudgetMisses     uint64 `json:"budget_misses,omitempty"`
	TimestepsChanges uint64 `json:"timesteps_changes,omitempty"`
	// Whether the picture still resembles the footage of the bundle; absent before the first map and without drift detection.
	Drift *Drift `json:"drift,omitempty"`
}

// StatsMessage is what is sent on …{camera}.stats: the statistics, and whose they are.
type StatsMessage struct {
	Origin
	Site   string    `json:"site"`
	Camera string    `json:"camera"`
	Time   time.Time `json:"time"`
	Stats
}

// Drift compares a camera's picture with normal footage and with its own past.
type Drift struct {
	State  string    `json:"state"`          // ok or drifting
	Since  time.Time `json:"since"`          // start of the state
	Level  float64   `json:"level"`          // median score of the last minutes; 0 on normal footage
	Layout float64   `json:"layout"`         // share of the edges that have moved since the start; 0 while these are learnt
	Hint   string    `json:"hint,omitempty"` // possible cause, and what to do
}

// Update is a control request. Settings whose fields are absent do not change.
type Update struct {
	Timesteps     *Timesteps `json:"timesteps,omitempty"`
	LatencyBudget *Duration  `json:"latency_budget,omitempty"` // for timesteps "auto"
	// The smallest and the largest |T| that "auto" may choose; 0 means 1 and all timesteps of the bundle, respectively.
	TimestepsMin *int `json:"timesteps_min,omitempty"`
	TimestepsMax *int `json:"timesteps_max,omitempty"`

	Threshold *float32 `json:"threshold,omitempty"`
	Paused    *bool    `json:"paused,omitempty"`
}

// Fault is the JSON answer to a request that failed.
type Fault struct {
	Error string `json:"error"`
}
