package nets

import (
	"fmt"

	"github.com/oodcast/oodcast/models/graph"
)

// Classifier maps a feature x to the logits Weights·x + Bias of a linear classifier, a convolution of 1×1.
type Classifier struct {
	Weights []float32 // classes × channels, row-major
	Bias    []float32 // one per class
}

// ClassifierTraining returns a step of the training of a [Classifier] as a model: its loss is the cross-entropy between the
// softmax of the logits and the shares of the classes, which a cell at a border has several of.
//
// Inputs, with P = classes·channels + classes parameters, the weights first:
//
//	params, m, v  [P]                parameters and AdamW's moments (zeros before the first step)
//	x             [rows, channels]   features
//	target        [rows, classes]    shares of the classes; their sum is the weight of the row
//	hyper         [4]                see [AdamW.Hyper]
//
// The outputs params_out, m_out, v_out, loss [1] and grad_norm are those of [TrainingGraph], and dt is the type of all.
func ClassifierTraining(rows, channels, classes int, dt graph.DType) ([]byte, error) {
	if rows < 1 || channels < 1 || classes < 2 {
		return nil, fmt.Errorf("nets: classifier: %d rows of %d channels and %d classes", rows, channels, classes)
	}
	g := graph.New(dt)
	n, c, k := int64(rows), int64(channels), int64(classes)
	flat := g.Input("params", dt, k*c+k)
	m, v := g.Input("m", dt, k*c+k), g.Input("v", dt, k*c+k)
	x, target := g.Input("x", dt, n, c), g.Input("target", dt, n, k)
	hyper := g.Split(g.Input("hyper", dt, 4), 0, 1, 1, 1, 1)
	parts := g.Split(flat, 0, k*c, k)
	weights := g.Reshape(parts[0], k, c)
	logits := g.Linear(x, weights, parts[1])

	// d(-Σ target·log softmax)/d(logits) = softmax·Σtarget - target
	logs := g.Unary("LogSoftmax", logits, graph.Int("axis", -1))
	loss := g.Mul(g.ReduceSum(g.Mul(target, logs), true, 0, 1), g.Scalar(-1/float64(n)))
	g.Output(g.Reshape(loss, 1), "loss")
	soft := g.Unary("Softmax", logits, graph.Int("axis", -1))
	seed := g.Mul(g.Sub(g.Mul(soft, g.ReduceSum(target, true, 1)), target), g.Scalar(1/float64(n)))
	grads := g.Backward(map[*graph.Tensor]*graph.Tensor{logits: seed}, []*graph.Tensor{weights, parts[1]})
	update(g, grads, flat, m, v, hyper, graph.AdamWOptions{})
	return g.Marshal()
}

// Classify returns an encoder with the outputs logits and lse of a classifier of its features, enlarged bilinearly by a factor.
// They replace those that model has; the other inputs and outputs stay as they are.
func Classify(model []byte, c Classifier, factor int) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, fmt.Errorf("nets: classify: %w", err) }
	k := int64(len(c.Bias))
	if k < 2 || int64(len(c.Weights))%k != 0 || len(c.Weights) == 0 {
		return fail(fmt.Errorf("%d weights for %d classes", len(c.Weights), k))
	}
	channels := int64(len(c.Weights)) / k
	front, err := graph.Parse(model)
	if err != nil {
		return fail(err)
	}
	if err := dropLogits(front); err != nil {
		return fail(err)
	}
	raw, rank, err := takeFeatures(front)
	if err != nil {
		return fail(err)
	}
	g := graph.New(graph.Float32)
	shape := make([]int64, rank)
	for i := range shape {
		shape[i] = -1
	}
	shape[rank-1] = channels
	turned := make([]float32, len(c.Weights))
	for i, w := range c.Weights {
		class, channel := int64(i)/channels, int64(i)%channels
		turned[channel*k+class] = w
	}
	x := g.Input("oodcast_unclassified", graph.Float32, shape...)
	y := g.Add(g.MatMul(x, g.Const(turned, channels, k)), g.Const(c.Bias))
	if rank == 3 {
		y = g.Unsqueeze(y, 0)
	}
	y = g.Upsample(g.Transpose(y, 0, 3, 1, 2), factor)
	// ReduceLogSumExp has another form in later operator sets; LogSoftmax has one alone.
	lse := g.Sub(g.Slice(y, 1, 0, 1), g.Slice(g.Unary("LogSoftmax", y, graph.Int("axis", 1)), 1, 0, 1))
	lse = g.Squeeze(lse, 1)
	if rank == 3 {
		y, lse = g.Squeeze(y, 0), g.Squeeze(lse, 0)
	}
	g.Output(x, "features")
	g.Output(y, "logits")
	g.Output(lse, "lse")
	back, err := asModel(g, front.Opsets()[""])
	if err != nil {
		return fail(err)
	}
	m, err := graph.Merge(front, back, map[string]string{raw: "oodcast_unclassified"})
	if err != nil {
		return fail(err)
	}
	return m.Marshal(), nil
}

// dropLogits removes the outputs that a classifier replaces, and frees their names.
func dropLogits(m *graph.Model) error {
	var keep []string
	for _, v := range m.Outputs() {
		switch v.Name {
		case "logits", "lse":
		case "class_logits", "mask_logits":
			return fmt.Errorf("the encoder classifies masks (%q), which a classifier of features would contradict", v.Name)
		default:
			keep = append(keep, v.Name)
		}
	}
	if err := m.KeepOutputs(keep...); err != nil {
		return err
	}
	for _, name := range []string{"logits", "lse"} {
		if _, err := m.Free(name); err != nil {
			return err
		}
	}
	return nil
}
