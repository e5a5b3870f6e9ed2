package opencv

import (
	"os"
	"sync"
)

// ffmpegEnv guards the C environment, which there is one of in a process.
var ffmpegEnv envGate

// optionsVariable is what OpenCV reads when it opens a video: key;value|key;value.
const optionsVariable = "OPENCV_FFMPEG_CAPTURE_OPTIONS"

// envGate lets captures with equal options open at the same time and makes others wait: OpenCV reads its options from
// the environment somewhere inside of open.
type envGate struct {
	mu      sync.Mutex
	cond    *sync.Cond
	value   string
	inside  int
	waiting int // somebody wants another value: let nobody else in before
	set     bool
}

func (g *envGate) enter(value string) {
	silenceOpenCV() // FFmpeg's own messages go to stderr, with addresses and the credentials in them
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cond == nil {
		g.cond = sync.NewCond(&g.mu)
	}
	for first := true; g.inside > 0 && (g.value != value || first && g.waiting > 0); first = false {
		g.waiting++
		g.cond.Wait()
		g.waiting--
	}
	g.inside++
	if g.set && g.value == value {
		return // writing the environment while other C code reads it is to be done rarely
	}
	g.set, g.value = true, value
	if value == "" {
		_ = os.Unsetenv(optionsVariable)
	} else {
		_ = os.Setenv(optionsVariable, value)
	}
}

func (g *envGate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.cond.Broadcast()
}
