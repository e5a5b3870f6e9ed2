package schema

import "time"

// Camera is the interface of a camera to outlets and control requests. Implementations are safe for concurrent use and do not
// wait for frames or models.
type Camera interface {
	// Name is the camera's token in subjects and addresses; see CheckName.
	Name() string
	// Status returns the state and the settings in force.
	Status() Status
	// Apply changes settings from the next frame on, on behalf of who, and returns the settings then in force. An invalid
	// request changes nothing and returns an error that says what would be valid.
	Apply(who Requester, u Update) (Status, error)
}

// Snapshotter is implemented by cameras that can take snapshots.
type Snapshotter interface {
	// Snapshot returns the newest frame with its overlay as JPEG, and its capture time.
	Snapshot() (jpeg []byte, captured time.Time, err error)
}

// OpticalFrame returns the ROS name of a camera's optical frame: x right, y down, z forward.
func OpticalFrame(camera string) string { return camera + "_optical_frame" }
