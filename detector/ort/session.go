package ort

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	ortgo "github.com/yalue/onnxruntime_go"

	"github.com/oodcast/oodcast/models/graph"
)

var errNoRuntime = errors.New("ort: no runtime is open")

// Session is a graph that is ready to run.
type Session struct {
	inputs, outputs []graph.Value
	provider        Provider
	note            string
	once            sync.Once
	session         *ortgo.DynamicAdvancedSession
	closeErr        error
}

// NewSession prepares a serialised ONNX model. Inputs and outputs are in the order of the graph. If the provider of opts
// is not available, the session computes on the CPU and Note returns the reason; if the provider is Required, NewSession
// returns ErrProvider. A Runtime must be open. See Options.Interrupt for the end of a creation that takes too long.
func NewSession(model []byte, opts Options) (*Session, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	in, out, err := ports(model, opts.Weights != "")
	if err != nil {
		return nil, err
	}
	if !retain() {
		return nil, errNoRuntime
	}
	create := func() (*Session, error) {
		s, err := newSession(model, in, out, opts)
		if err != nil {
			_ = release()
		}
		return s, err
	}
	if opts.Interrupt == nil {
		return create()
	}
	return interruptible(create, opts.Interrupt)
}

// interruptible calls create. If stop is closed before create returns, it returns ErrInterrupted, and closes the session when
// it is there.
func interruptible(create func() (*Session, error), stop <-chan struct{}) (*Session, error) {
	type result struct {
		s   *Session
		err error
	}
	created := make(chan result, 1)
	go func() {
		s, err := create()
		created <- result{s, err}
	}()
	select {
	case r := <-created:
		return r.s, r.err
	case <-stop:
	}
	go func() {
		if r := <-created; r.err == nil {
			_ = r.s.Close()
		}
	}()
	return nil, ErrInterrupted
}

func newSession(model []byte, in, out []graph.Value, opts Options) (*Session, error) {
	s := &Session{inputs: in, outputs: out, provider: opts.Provider}
	if s.provider == "" {
		s.provider = CPU
	}
	err := s.open(model, opts)
	if err == nil {
		return s, nil
	}
	if s.provider == CPU {
		return nil, err
	}
	if !errors.Is(err, ErrProvider) {
		err = fmt.Errorf("%w: %s: %w", ErrProvider, s.provider, err)
	}
	if opts.Required {
		return nil, err
	}
	s.note = fmt.Sprintf("using cpu: %v", err)
	s.provider = CPU
	if err := s.open(model, opts); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Session) open(model []byte, opts Options) error {
	so, err := opts.sessionOptions(s.provider)
	if err != nil {
		return err
	}
	defer func() { _ = so.Destroy() }()
	s.session, err = ortgo.NewDynamicAdvancedSessionWithONNXData(model, names(s.inputs), names(s.outputs), so)
	if err != nil {
		return fmt.Errorf("ort: new session: %w", err)
	}
	return nil
}

// ports reads the inputs and outputs of a serialised model. It refuses one with weights in another file unless they may be
// beside it. Asking ONNX Runtime would cost a second session.
func ports(model []byte, beside bool) (in, out []graph.Value, err error) {
	m, err := graph.Parse(model)
	if err != nil {
		return nil, nil, fmt.Errorf("ort: read model: %w", err)
	}
	// ONNX Runtime would look for them in the working directory, and no checksum covers them.
	outside, err := graph.External(model)
	if err != nil {
		return nil, nil, fmt.Errorf("ort: read model: %w", err)
	}
	if len(outside) > 0 && !beside {
		return nil, nil, fmt.Errorf("ort: read model: %w (%q): import the model again with oodcast models import",
			graph.ErrExternal, outside[0])
	}
	in, out = m.Inputs(), m.Outputs()
	if len(out) == 0 {
		return nil, nil, errors.New("ort: read model: no outputs: not an ONNX model")
	}
	return in, out, nil
}

func names(ports []graph.Value) []string {
	out := make([]string, len(ports))
	for i, p := range ports {
		out[i] = p.Name
	}
	return out
}

// Inputs returns the inputs in the order that Run takes them.
func (s *Session) Inputs() []graph.Value { return s.inputs }

// Outputs returns the outputs in the order that Run takes them.
func (s *Session) Outputs() []graph.Value { return s.outputs }

// Provider returns the provider in use.
func (s *Session) Provider() Provider { return s.provider }

// Note returns why the provider is not the requested one; empty if it is.
func (s *Session) Note() string { return s.note }

// RunNamed is Run with tensors by the names of the model's inputs and outputs.
func (s *Session) RunNamed(tensors map[string]*Tensor) error {
	pick := func(ports []graph.Value) []*Tensor {
		list := make([]*Tensor, len(ports))
		for i, p := range ports {
			list[i] = tensors[p.Name]
		}
		return list
	}
	return s.Run(pick(s.Inputs()), pick(s.Outputs()))
}

// Run computes outputs from inputs, in the order of Inputs and Outputs. It allocates nil outputs and stores them in the
// slice; the caller closes them. It is safe for concurrent use with distinct tensors.
func (s *Session) Run(inputs, outputs []*Tensor) error {
	err := s.run(inputs, outputs)
	// The binding passes bare addresses to ONNX Runtime. Without these lines, the garbage collector may free a tensor's
	// memory during the run and the allocator reuse it: the results would be silently wrong.
	for i := range inputs {
		runtime.KeepAlive(inputs[i])
	}
	for i := range outputs {
		runtime.KeepAlive(outputs[i])
	}
	runtime.KeepAlive(inputs)
	runtime.KeepAlive(outputs)
	return err
}

func (s *Session) run(inputs, outputs []*Tensor) error {
	if len(inputs) != len(s.inputs) || len(outputs) != len(s.outputs) {
		return fmt.Errorf("ort: run: got %d inputs and %d outputs, want %d and %d",
			len(inputs), len(outputs), len(s.inputs), len(s.outputs))
	}
	if s.session == nil {
		return errors.New("ort: run: session is closed")
	}
	in := make([]ortgo.Value, len(inputs))
	for i, t := range inputs {
		if t == nil || t.value == nil {
			return fmt.Errorf("ort: run: input %q is closed or nil", s.inputs[i].Name)
		}
		in[i] = t.value
	}
	out := make([]ortgo.Value, len(outputs))
	for i, t := range outputs {
		if t == nil {
			continue
		}
		if t.value == nil {
			return fmt.Errorf("ort: run: output %q is closed", s.outputs[i].Name)
		}
		out[i] = t.value
	}
	if err := s.session.Run(in, out); err != nil {
		return fmt.Errorf("ort: run: %w", err)
	}
	for i := range outputs {
		if outputs[i] != nil {
			continue
		}
		t, err := adopt(out[i])
		if err != nil {
			return fmt.Errorf("ort: run: output %q: %w", s.outputs[i].Name, err)
		}
		outputs[i] = t
	}
	return nil
}

// Eval runs the graph once on named inputs and returns its newly allocated outputs by name. It is meant for tests and
// one-off computations. The caller closes the outputs.
func (s *Session) Eval(inputs map[string]*Tensor) (map[string]*Tensor, error) {
	in := make([]*Tensor, len(s.inputs))
	for i, p := range s.inputs {
		t, ok := inputs[p.Name]
		if !ok {
			return nil, fmt.Errorf("ort: run: input %q is missing", p.Name)
		}
		in[i] = t
	}
	out := make([]*Tensor, len(s.outputs))
	if err := s.Run(in, out); err != nil {
		return nil, err
	}
	named := make(map[string]*Tensor, len(out))
	for i, p := range s.outputs {
		named[p.Name] = out[i]
	}
	return named, nil
}

// Close frees the session. It may be called more than once, but not during a Run.
func (s *Session) Close() error {
	s.once.Do(func() {
		if s.session != nil {
			s.closeErr = errors.Join(s.session.Destroy(), release())
			s.session = nil
		}
	})
	return s.closeErr
}
