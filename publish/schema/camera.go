package schema

import "time"

// Camera is what the outside may ask of one camera. Implementations are safe for concurrent use and do not wait for
// frames or models.
type Camera interface {
	// Name is the camera's token in subjects and addresses; see CheckName.
	Name() string
	// Status returns the state and the settings in force.
	Status() Status
	// Apply changes settings from the next frame on and returns what is in force then. A request that cannot be met
	// changes nothing and gives an error that says what would be legal.
	Apply(Update) (Status, error)
}

// Snapshotter is what cameras implement that can show themselves.
type Snapshotter interface {
	// Snapshot returns the newest frame with its overlay as JPEG, and when the frame was captured.
	Snapshot() (jpeg []byte, captured time.Time, err error)
}
