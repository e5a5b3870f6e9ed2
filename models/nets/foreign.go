package nets

import (
	"errors"
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/models/graph"
)

// ForeignConfig says how to make an encoder of any segmentation network in ONNX.
type ForeignConfig struct {
	// Input is the tensor for the picture, float32 [1,3,H,W]; empty if the model has one input only.
	Input string
	// Logits is the tensor with the class scores before softmax, [1,K,h,w]; empty if the model has one output only.
	Logits string
	// Features is the tensor with the features: [1,C,h,w], [1,h,w,C], or tokens [1,N,C], whose last h·w ones are the
	// picture row by row (class tokens come first).
	Features string
	// Mean and Std normalise each channel of the picture, scaled to 0..1; zero Std stands for ImageNet's statistics.
	Mean, Std [3]float64
}

// Names of the tensors between the parts of a foreign encoder.
const (
	foreignPicture  = "oodcast_picture"
	foreignSize     = "oodcast_size"
	foreignFeatures = "oodcast_features"
	foreignLogits   = "oodcast_logits"
	foreignGrid     = "oodcast_grid"
	foreignPrefix   = "net." // of all names of the network, which may have an "image" or "features" of its own
)

// ForeignProbe puts the reading of the picture in front of a model and makes the tensors of cfg its outputs, in the
// order features, logits. Running it tells the shapes that Foreign needs. The inputs are those of an encoder.
func ForeignProbe(model []byte, cfg ForeignConfig) (probe []byte, features, logits string, err error) {
	m, features, logits, err := foreignFront(model, cfg)
	if err != nil {
		return nil, "", "", err
	}
	if err := m.KeepOutputs(features, logits); err != nil {
		return nil, "", "", fmt.Errorf("nets: %w", err)
	}
	return m.Marshal(), features, logits, nil
}

func foreignFront(model []byte, cfg ForeignConfig) (m *graph.Model, features, logits string, err error) {
	wrap := func(err error) error { return fmt.Errorf("nets: foreign model: %w", err) }
	user, err := graph.Parse(model)
	if err != nil {
		return nil, "", "", wrap(err)
	}
	input, err := only(cfg.Input, "input", user.Inputs())
	if err != nil {
		return nil, "", "", wrap(err)
	}
	if logits, err = only(cfg.Logits, "output", user.Outputs()); err != nil {
		return nil, "", "", wrap(err)
	}
	features = cfg.Features
	if features == "" {
		return nil, "", "", wrap(errors.New("name the tensor that holds the features"))
	}
	if err := errors.Join(user.Tap(features), user.Tap(logits)); err != nil {
		return nil, "", "", wrap(err)
	}
	if err := user.Prefix(foreignPrefix); err != nil {
		return nil, "", "", wrap(err)
	}
	input, features, logits = foreignPrefix+input, foreignPrefix+features, foreignPrefix+logits
	g := graph.New(graph.Float32)
	x, size := imageInput(g)
	mean, std := cfg.Mean, cfg.Std
	if std == ([3]float64{}) {
		mean, std = imageMean, imageStd
	}
	var shift, scale []float64
	for c := range 3 {
		shift = append(shift, 255*mean[c])
		scale = append(scale, 255*std[c])
	}
	x = g.Div(g.Sub(x, g.Const64(shift, 1, 3, 1, 1)), g.Const64(scale, 1, 3, 1, 1))
	g.Output(x, foreignPicture)
	g.Output(size, foreignSize)
	front, err := part(g, user.Opsets()[""])
	if err != nil {
		return nil, "", "", wrap(err)
	}
	if m, err = graph.Merge(front, user, map[string]string{foreignPicture: input}); err != nil {
		return nil, "", "", wrap(err)
	}
	return m, features, logits, nil
}

// part marshals and parses g as a model of that operator set. All operators used here mean the same from 13 on.
func part(g *graph.Graph, opset int64) (*graph.Model, error) {
	raw, err := g.Marshal()
	if err != nil {
		return nil, err
	}
	m, err := graph.Parse(raw)
	if err != nil {
		return nil, err
	}
	if opset < 13 {
		return nil, fmt.Errorf("operator set %d is too old: export with 13 or later", opset)
	}
	m.SetOpset(opset)
	return m, nil
}

// only returns name, or the one there is when it is empty.
func only(name, what string, values []graph.Value) (string, error) {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = v.Name
	}
	if name == "" && len(names) == 1 {
		return names[0], nil
	}
	if name == "" || what == "input" && !slices.Contains(names, name) {
		return "", fmt.Errorf("got %s %q, want one of %q", what, name, names)
	}
	return name, nil
}

// ForeignShape is what running the probe has told about a model at a working size.
type ForeignShape struct {
	Height, Width    int     // the working size
	Features, Logits []int64 // shapes of the tensors
}

// ForeignLayout is how the features of a model lie.
type ForeignLayout struct {
	Kind                           string // "nchw", "nhwc" or "tokens"
	Channels, Stride, LogitsStride int
	Classes, Extra                 int // Extra tokens come first and are dropped
}

// Layout reads the layout off the shapes.
func (s ForeignShape) Layout() (ForeignLayout, error) {
	l := ForeignLayout{}
	square := func(h, w int64) int {
		if h > 0 && w > 0 && int64(s.Height)%h == 0 && int64(s.Width)%w == 0 && int64(s.Height)/h == int64(s.Width)/w {
			return s.Height / int(h)
		}
		return 0
	}
	if len(s.Logits) != 4 || s.Logits[0] != 1 || square(s.Logits[2], s.Logits[3]) == 0 {
		return l, fmt.Errorf("nets: foreign model: logits of shape %v, want [1,K,h,w] with h and w dividing %d and %d",
			s.Logits, s.Height, s.Width)
	}
	l.Classes, l.LogitsStride = int(s.Logits[1]), square(s.Logits[2], s.Logits[3])
	f := s.Features
	switch {
	case len(f) == 4 && f[0] == 1 && square(f[2], f[3]) > 0:
		l.Kind, l.Channels, l.Stride = "nchw", int(f[1]), square(f[2], f[3])
	case len(f) == 4 && f[0] == 1 && square(f[1], f[2]) > 0:
		l.Kind, l.Channels, l.Stride = "nhwc", int(f[3]), square(f[1], f[2])
	case len(f) == 3 && f[0] == 1:
		l.Kind, l.Channels = "tokens", int(f[2])
		for _, stride := range []int{4, 8, 14, 16, 32} {
			n := s.Height / stride * (s.Width / stride)
			extra := int(f[1]) - n
			if s.Height%stride == 0 && s.Width%stride == 0 && extra >= 0 && extra <= 8 {
				l.Stride, l.Extra = stride, extra
			}
		}
	}
	if l.Stride == 0 {
		return l, fmt.Errorf("nets: foreign model: features of shape %v at %d×%d: want [1,C,h,w], [1,h,w,C] or [1,N,C] "+
			"on a regular grid", f, s.Width, s.Height)
	}
	return l, nil
}

// Foreign makes an encoder of a segmentation network in ONNX: the picture is read in front, features, logits and lse
// are put in their place behind. The inputs and outputs are those of EfficientViT.
func Foreign(model []byte, cfg ForeignConfig, shape ForeignShape) ([]byte, ForeignLayout, error) {
	l, err := shape.Layout()
	if err != nil {
		return nil, l, err
	}
	front, features, logits, err := foreignFront(model, cfg)
	if err != nil {
		return nil, l, err
	}
	g := graph.New(graph.Float32)
	unknown := slices.Clone(shape.Features)
	for i := range unknown {
		unknown[i] = -1
	}
	unknown[0] = 1
	f := g.Input(foreignFeatures, graph.Float32, unknown...)
	y := g.Input(foreignLogits, graph.Float32, 1, int64(l.Classes), -1, -1)
	size := g.Input(foreignGrid, graph.Int64, 2)
	switch l.Kind {
	case "nchw":
		f = g.Transpose(g.Squeeze(f, 0), 1, 2, 0)
	case "nhwc":
		f = g.Squeeze(f, 0)
	default: // the last h·w tokens
		grid := g.Div(size, g.Int64s(int64(l.Stride)))
		n := g.Node("ReduceProd", []*graph.Tensor{grid}, []int64{1}, graph.Int64, graph.Int("keepdims", 1))
		last := g.Node("Slice", []*graph.Tensor{f, g.Unary("Neg", n), g.Int64s(1 << 62), g.Int64s(1)},
			[]int64{1, -1, -1}, graph.Float32)
		shape := g.Concat(0, grid, g.Int64s(int64(l.Channels)))
		f = g.Node("Reshape", []*graph.Tensor{last, shape}, []int64{-1, -1, int64(l.Channels)}, graph.Float32)
	}
	g.Output(f, "features")
	// logsumexp(y) = y₀ − logsoftmax(y)₀, in operators that mean the same in all operator sets.
	soft := g.Unary("LogSoftmax", y, graph.Int("axis", 1))
	g.Output(g.Squeeze(g.Squeeze(g.Sub(g.Slice(y, 1, 0, 1), g.Slice(soft, 1, 0, 1)), 0), 0), "lse")
	g.Output(g.Squeeze(y, 0), "logits")
	back, err := part(g, front.Opsets()[""])
	if err != nil {
		return nil, l, fmt.Errorf("nets: foreign model: %w", err)
	}
	m, err := graph.Merge(front, back, map[string]string{
		features: foreignFeatures, logits: foreignLogits, foreignSize: foreignGrid,
	})
	if err == nil {
		err = m.KeepOutputs("features", "logits", "lse")
	}
	if err != nil {
		return nil, l, fmt.Errorf("nets: foreign model: %w", err)
	}
	return m.Marshal(), l, nil
}
