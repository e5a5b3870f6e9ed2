package ort

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	ortgo "github.com/yalue/onnxruntime_go"
	"golang.org/x/sys/cpu"
)

// ErrProvider means that a required execution provider is not available on this machine.
var ErrProvider = errors.New("ort: execution provider is not available")

// ErrInterrupted means that Options.Interrupt was closed before a session was ready.
var ErrInterrupted = errors.New("ort: interrupted while a session was created")

// Provider names an execution provider, which computes graphs.
type Provider string

// The providers that a session can ask for.
const (
	CPU      Provider = "cpu"
	CUDA     Provider = "cuda"
	TensorRT Provider = "tensorrt"
)

// Options configure how a session computes. The zero value means the CPU with one thread per core.
type Options struct {
	Provider Provider // "" = CPU
	Required bool     // fail with ErrProvider rather than fall back to the CPU
	Threads  int      // CPU threads of one run; 0 = one per core
	DeviceID int      // number of the GPU

	// Weights is the folder of the files in which a model keeps its weights; empty: it has them all inside, else it is refused.
	// The weights are then used where they lie, in one copy: nothing is rearranged for speed.
	Weights string

	// Interrupt, when it is closed, ends the creation of a session with ErrInterrupted. ONNX Runtime cannot be stopped, so the
	// creation goes on in the background, and the session is closed once it is there. nil: never.
	Interrupt <-chan struct{}
}

func (o Options) validate() error {
	switch o.Provider {
	case "", CPU, CUDA, TensorRT:
	default:
		return fmt.Errorf("ort.provider: got %q, want cpu, cuda or tensorrt", o.Provider)
	}
	if err := CheckThreads(o.Threads); err != nil {
		return fmt.Errorf("ort.threads: %w", err)
	}
	if o.DeviceID < 0 {
		return fmt.Errorf("ort.device_id: got %d, want 0 or more", o.DeviceID)
	}
	return nil
}

func (o Options) threads() int {
	if o.Threads > 0 {
		return o.Threads
	}
	return runtime.NumCPU()
}

// exactProducts returns 1 on processors without VNNI, where sums of products of uint8 and int8 would end at 16 bits: the outputs
// of an encoder with 8-bit integers would move by a quarter of their root mean square. ONNX Runtime then takes exact instructions.
// They are slower, and it takes them wherever it is told to: with VNNI, the encoder would be no quicker than in float32.
func exactProducts() string {
	if cpu.X86.HasAVX512VNNI || cpu.X86.HasAVXVNNI {
		return "0"
	}
	return "1"
}

// sessionOptions returns the options of one session. The caller destroys them.
func (o Options) sessionOptions(provider Provider) (_ *ortgo.SessionOptions, err error) {
	so, err := ortgo.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("ort: session options: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, so.Destroy())
		}
	}()
	if err := errors.Join(
		so.SetIntraOpNumThreads(o.threads()),
		so.SetInterOpNumThreads(1),
		so.SetGraphOptimizationLevel(ortgo.GraphOptimizationLevelEnableAll),
		// A spinning worker takes a core from the video decoder and from the other session: with a busy neighbour, a step
		// takes 520 ms instead of 272 ms.
		so.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		so.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
		// The second run with the same shapes would plan all its memory as one block beside what the first has left: 80 MB more for
		// EfficientNet-Lite2, for no time that could be measured.
		so.SetMemPattern(false),
		so.AddSessionConfigEntry("session.x64quantprecision", exactProducts()),
	); err != nil {
		return nil, fmt.Errorf("ort: session options: %w", err)
	}
	if o.Weights != "" {
		if err := errors.Join(
			so.SetGraphOptimizationLevel(ortgo.GraphOptimizationLevelDisableAll),
			so.AddSessionConfigEntry("session.model_external_initializers_file_folder_path", o.Weights),
			so.AddSessionConfigEntry("session.disable_prepacking", "1"),
		); err != nil {
			return nil, fmt.Errorf("ort: session options: %w", err)
		}
	}
	if err := o.appendProvider(so, provider); err != nil {
		return nil, err
	}
	return so, nil
}

func (o Options) appendProvider(so *ortgo.SessionOptions, provider Provider) error {
	device := strconv.Itoa(o.DeviceID)
	switch provider {
	case CUDA:
		cuda, err := ortgo.NewCUDAProviderOptions()
		if err != nil {
			return unavailable(CUDA, err)
		}
		defer func() { _ = cuda.Destroy() }()
		// Full float32: TensorFloat-32 keeps only 10 bits, and scores would differ from the CPU's by more than 1e-3.
		if err := cuda.Update(map[string]string{"device_id": device, "use_tf32": "0"}); err != nil {
			return unavailable(CUDA, err)
		}
		if err := so.AppendExecutionProviderCUDA(cuda); err != nil {
			return unavailable(CUDA, err)
		}
	case TensorRT:
		trt, err := ortgo.NewTensorRTProviderOptions()
		if err != nil {
			return unavailable(TensorRT, err)
		}
		defer func() { _ = trt.Destroy() }()
		if err := trt.Update(map[string]string{"device_id": device}); err != nil {
			return unavailable(TensorRT, err)
		}
		if err := so.AppendExecutionProviderTensorRT(trt); err != nil {
			return unavailable(TensorRT, err)
		}
	}
	return nil
}

// unavailable returns what is missing, without the position in ONNX Runtime's source code with which its message begins.
func unavailable(p Provider, err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if _, after, ok := strings.Cut(text, " FAIL : "); ok {
		text = after
	}
	// "Failed to load library L with error: L: …" contains the library's name twice.
	if _, after, ok := strings.Cut(text, " with error: "); ok {
		text = after
	}
	return fmt.Errorf("%w: %s: %s (run: make deps-cuda)", ErrProvider, p, text)
}
