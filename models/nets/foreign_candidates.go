package nets

import (
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/models/graph"
)

// ForeignCandidate is a tensor of a network that may hold its features.
type ForeignCandidate struct {
	Name     string
	Operator string // the type of the operator that makes it
	Shape    []int64
	ForeignLayout
}

// The bounds of candidates. Fewer channels than leastChannels are taken if there are no others.
const (
	leastStride, mostStride     = 4, 32
	leastChannels, mostChannels = 32, 2048
	fewChannels                 = 8
)

// ForeignShapes returns a model whose outputs are the shapes, as float32, of the tensors that may hold features: results of
// convolutions, products, sums, normalisations and activations, of a chain of which only the last one counts.
func ForeignShapes(model []byte, cfg ForeignConfig) (probe []byte, list []ForeignCandidate, outputs []string, err error) {
	fail := func(err error) ([]byte, []ForeignCandidate, []string, error) {
		return nil, nil, nil, fmt.Errorf("nets: foreign model: %w", err)
	}
	user, err := graph.Parse(model)
	if err != nil {
		return fail(err)
	}
	list = listCandidates(user, cfg)
	if len(list) == 0 {
		return fail(fmt.Errorf("no operator of it computes features"))
	}
	tensors := make([]string, len(list))
	for i, c := range list {
		tensors[i] = foreignPrefix + c.Name
	}
	cfg.Features, cfg.Logits, cfg.ClassLogits, cfg.MaskLogits = list[0].Name, NoLogits, "", ""
	m, _, err := foreignFront(model, cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	outputs = m.TapShapes(tensors)
	return m.Marshal(), list, outputs, nil
}

// listCandidates returns the tensors in the order of the file.
func listCandidates(user *graph.Model, cfg ForeignConfig) []ForeignCandidate {
	ops := user.Operators()
	used := consumers(ops)
	constant := map[string]bool{}
	for _, w := range user.Initialisers() {
		constant[w.Name] = true
	}
	cfg.Features = NoLogits // any name that is not an output
	not := []string{cfg.Logits, cfg.ClassLogits, cfg.MaskLogits}
	if t, err := cfg.tensors(user); err == nil {
		not = append(not, t.Logits)
	}
	var list []ForeignCandidate
	for _, op := range ops {
		if op.Type == "Constant" || op.Type == "ConstantOfShape" {
			constant[op.Outputs[0]] = true
		}
		if len(op.Outputs) == 0 || op.Outputs[0] == "" || slices.Contains(not, op.Outputs[0]) {
			continue
		}
		if isCandidate(op, constant) && !goesOn(op, used[op.Outputs[0]], constant) {
			list = append(list, ForeignCandidate{Name: op.Outputs[0], Operator: op.Type})
		}
	}
	return list
}

func consumers(ops []graph.Operator) map[string][]graph.Operator {
	used := map[string][]graph.Operator{}
	for _, op := range ops {
		for _, in := range op.Inputs {
			used[in] = append(used[in], op)
		}
	}
	return used
}

// isCandidate reports whether an operator computes something that may be features. Sums with constants (biases, halves of an
// activation) and products with them do not.
func isCandidate(op graph.Operator, constant map[string]bool) bool {
	switch op.Type {
	case "Conv", "FusedConv", "ConvTranspose", "MatMul", "Gemm", "Concat", "BatchNormalization", "InstanceNormalization",
		"LayerNormalization", "GroupNormalization", "SkipLayerNormalization":
		return true
	case "Add", "Sum", "Mul":
		return !slices.ContainsFunc(op.Inputs, func(in string) bool { return constant[in] })
	}
	return isActivation(op.Type)
}

func isActivation(op string) bool {
	return slices.Contains([]string{
		"Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "HardSwish", "Gelu", "QuickGelu", "Swish", "Mish",
	}, op)
}

// goesOn reports that a result only goes into the next link of a chain: the normalisation, bias or activation behind it.
func goesOn(op graph.Operator, next []graph.Operator, constant map[string]bool) bool {
	if op.Type == "Add" || op.Type == "Sum" || op.Type == "Concat" || isActivation(op.Type) || len(next) == 0 {
		return false
	}
	for _, n := range next {
		switch {
		case isActivation(n.Type):
		case slices.Contains([]string{"BatchNormalization", "Sigmoid", "HardSigmoid", "Erf", "Tanh", "Softplus", "Div"}, n.Type):
		case n.Type == "Mul":
		case n.Type == "Add" && slices.ContainsFunc(n.Inputs, func(in string) bool { return constant[in] }):
		default:
			return false
		}
	}
	return true
}

// ChooseCandidates returns a few of the candidates whose shape is set, not more than most, in the order of the file: those with a grid of
// stride 4 to 32 and 32 to 2048 channels, and of each kind of stride and channels first the last, then those spread over the
// depth.
func ChooseCandidates(list []ForeignCandidate, s ForeignShape, most int) []ForeignCandidate {
	found := fitting(list, s, leastChannels)
	if len(found) == 0 {
		found = fitting(list, s, fewChannels)
	}
	type kind struct {
		layout           string
		stride, channels int
	}
	groups := map[kind][]int{}
	var order []kind
	for i, c := range slices.Backward(found) {
		k := kind{c.Kind, c.Stride, c.Channels}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], i) // the last comes first
	}
	var chosen []int
	for round := 0; len(chosen) < min(most, len(found)); round++ {
		for _, k := range order {
			if g := groups[k]; len(g) > 0 && len(chosen) < most {
				at := 0
				if round > 0 { // the middle of what is left
					at = len(g) / 2
				}
				chosen = append(chosen, g[at])
				groups[k] = slices.Delete(g, at, at+1)
			}
		}
	}
	slices.Sort(chosen)
	out := make([]ForeignCandidate, len(chosen))
	for i, c := range chosen {
		out[i] = found[c]
	}
	return out
}

// fitting returns the candidates with a grid and at least so many channels.
func fitting(list []ForeignCandidate, s ForeignShape, channels int) []ForeignCandidate {
	var found []ForeignCandidate
	for _, c := range list {
		g, ok := s.grid(c.Shape)
		if !ok || g.stride < leastStride || g.stride > mostStride || g.channels < channels || g.channels > mostChannels ||
			g.kind == layoutHeads {
			continue
		}
		c.ForeignLayout = ForeignLayout{Kind: g.kind, Channels: g.channels, Stride: g.stride, Extra: g.extra}
		found = append(found, c)
	}
	return found
}
