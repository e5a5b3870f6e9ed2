// Package evaluator evaluates a bundle on ONNX Runtime: on the labelled images of a data set or on a labelled stream.
//
//	e, err := evaluator.Open(bundle, evaluator.Options{Seed: 1})
//	rows, err := e.Rows([]string{"dood", "lse"}, []int{1, 5})
//	table, err := e.Dataset(ctx, set, opencv.ReadStored, rows, eval.Options{FPR: eval.FPRNearest})
//	table, err := e.Stream(ctx, source, truth, rows, stream.DefaultOptions())
//
// The metrics are in package eval and package stream, the methods in package method; none of these links ONNX Runtime.
package evaluator
