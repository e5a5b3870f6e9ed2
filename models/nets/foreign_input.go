package nets

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// ForeignInput is how a network takes the picture.
type ForeignInput struct {
	Name         string
	Type         graph.DType // of a floating-point type, or uint8: the network then scales and normalises bytes itself
	ChannelsLast bool        // [1,H,W,3], as TensorFlow has it; otherwise [1,3,H,W]
	// Fixed is the only size that the network takes. A side is 0 if it may vary.
	Fixed models.Size
}

// The values of [ForeignConfig.Order].
const (
	OrderNCHW = "nchw"
	OrderNHWC = "nhwc"
)

// ReadForeignInput returns how a model takes the picture.
func ReadForeignInput(model []byte, cfg ForeignConfig) (ForeignInput, error) {
	user, err := graph.Parse(model)
	if err != nil {
		return ForeignInput{}, fmt.Errorf("nets: foreign model: %w", err)
	}
	in, err := cfg.input(user)
	if err != nil {
		return in, fmt.Errorf("nets: foreign model: %w", err)
	}
	return in, nil
}

// input finds the input for the picture and checks that the network needs no other.
func (cfg ForeignConfig) input(user *graph.Model) (in ForeignInput, err error) {
	inputs := user.Inputs()
	if pictures := slices.DeleteFunc(slices.Clone(inputs), func(v graph.Value) bool { return len(v.Shape) != 4 }); cfg.Input == "" &&
		len(pictures) == 1 {
		cfg.Input = pictures[0].Name
	}
	if in.Name, err = choose(cfg.Input, "input", inputs); err != nil {
		return in, err
	}
	for _, v := range inputs {
		switch {
		case v.Name != in.Name:
			return in, fmt.Errorf("it needs the input %q besides the picture %q: export it without", v.Name, in.Name)
		case v.Kind != "":
			return in, fmt.Errorf("input %q is of the type %s: export a network that takes one picture, [1,3,H,W]", v.Name, v.Kind)
		}
		if err := in.shape(v.Shape, cfg.Order); err != nil {
			return in, err
		}
	}
	in.Type, err = pictureType(user, in.Name)
	if err == nil && in.Type == graph.Uint8 && cfg.Std != ([3]float64{}) {
		err = fmt.Errorf("input %q takes bytes, so the network normalises them itself: leave --mean and --std out", in.Name)
	}
	return in, err
}

// shape reads the order, the batch and the size off the declared shape of an input.
func (in *ForeignInput) shape(shape []int64, order string) error {
	if order != "" && order != OrderNCHW && order != OrderNHWC {
		return fmt.Errorf("--layout %s: want %s or %s", order, OrderNCHW, OrderNHWC)
	}
	in.ChannelsLast = order == OrderNHWC
	if shape == nil {
		return nil
	}
	if len(shape) != 4 {
		return fmt.Errorf("input %q has the shape %s: want a picture, [1,3,H,W] or [1,H,W,3]", in.Name, shapeText(shape))
	}
	if shape[0] > 1 {
		return fmt.Errorf("input %q takes %d pictures at once: export it with a batch of 1 or a dynamic one", in.Name, shape[0])
	}
	if order == "" {
		in.ChannelsLast = shape[1] != 3 && (shape[3] == 3 || shape[3] < 0 && shape[1] > 4)
	}
	channels, size := shape[1], shape[2:]
	if in.ChannelsLast {
		channels, size = shape[3], shape[1:3]
	}
	if channels > 0 && channels != 3 {
		return fmt.Errorf("input %q of the shape %s takes %d channels: want red, green and blue", in.Name, shapeText(shape), channels)
	}
	in.Fixed = models.Size{Height: max(0, int(size[0])), Width: max(0, int(size[1]))}
	const least = 8
	if h, w := size[0], size[1]; h >= 0 && h < least || w >= 0 && w < least {
		return fmt.Errorf("input %q of the shape %s is no picture in this order: leave --layout out, or turn it round", in.Name,
			shapeText(shape))
	}
	return nil
}

// shapeText writes a shape; ? is a dimension that may vary.
func shapeText(shape []int64) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		if parts[i] = fmt.Sprint(d); d < 0 {
			parts[i] = "?"
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// pictureType returns the type of the tensor for the picture.
func pictureType(user *graph.Model, input string) (graph.DType, error) {
	t := user.TypeOf(input)
	if t == 0 || t == graph.Float32 || t == graph.Uint8 || slices.Contains(otherFloats(), t) {
		return max(t, graph.Float32), nil
	}
	return 0, fmt.Errorf("input %q takes %s: want float or uint8: export it with such an input", input, t)
}

// picture returns the model that reads a picture, normalises it unless the network takes bytes, and orders it as the network
// wants it. Its inputs are those of an encoder.
func (cfg ForeignConfig) picture(opset int64, in ForeignInput) (*graph.Model, error) {
	g := graph.New(graph.Float32)
	image, size := g.Input("image", graph.Uint8, -1, -1, 3), g.Input("size", graph.Int64, 2)
	x := resample(g, g.Unsqueeze(g.Transpose(image, 2, 0, 1), 0), size) // one picture: the network may not take more
	if in.Type == graph.Uint8 {
		x = g.Unary("Round", x)
	} else {
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
	}
	if in.ChannelsLast {
		x = g.Transpose(x, 0, 2, 3, 1)
	}
	g.Output(g.Cast(x, in.Type), foreignPicture)
	g.Output(size, foreignSize)
	return asModel(g, opset)
}

// choose returns name or, if it is empty, the name of the only value.
func choose(name, what string, values []graph.Value) (string, error) {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = v.Name
	}
	if len(names) == 0 {
		return "", errors.New("it has no " + what)
	}
	if name == "" && len(names) == 1 {
		return names[0], nil
	}
	if name == "" || what == "input" && !slices.Contains(names, name) {
		return "", fmt.Errorf("got %s %q, want one of %q", what, name, names)
	}
	return name, nil
}
