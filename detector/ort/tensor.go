package ort

import (
	"errors"
	"fmt"
	"slices"

	ortgo "github.com/yalue/onnxruntime_go"
)

// Element is the type of a tensor's elements.
type Element interface {
	float32 | float64 | uint8 | int32 | int64 | bool
}

// Tensor is a Go slice with a shape, which ONNX Runtime uses without a copy.
type Tensor struct {
	data  any // the slice of T: keeps the memory alive as long as the Tensor
	shape []int64
	value ortgo.Value
}

// NewTensor binds row-major data to a shape; nil data allocates zeros. A tensor has at least one dimension. The caller
// closes it.
func NewTensor[T Element](shape []int64, data []T) (*Tensor, error) {
	size := int64(1)
	for _, d := range shape {
		if d < 0 {
			return nil, fmt.Errorf("ort: tensor of shape %v: negative dimension", shape)
		}
		size *= d
	}
	if len(shape) == 0 {
		return nil, fmt.Errorf("ort: tensor without a dimension: use [1] for a single value")
	}
	if data == nil {
		data = make([]T, size)
	}
	if int64(len(data)) != size {
		return nil, fmt.Errorf("ort: tensor of shape %v: got %d values, want %d", shape, len(data), size)
	}
	if !retain() {
		return nil, errNoRuntime
	}
	value, err := newValue(shape, data)
	if err != nil {
		_ = release()
		return nil, fmt.Errorf("ort: tensor of shape %v: %w", shape, err)
	}
	return &Tensor{data: data, shape: slices.Clone(shape), value: value}, nil
}

func newValue[T Element](shape []int64, data []T) (ortgo.Value, error) {
	s := ortgo.Shape(shape)
	switch d := any(data).(type) {
	case []float32:
		return ortgo.NewTensor(s, d)
	case []float64:
		return ortgo.NewTensor(s, d)
	case []uint8:
		return ortgo.NewTensor(s, d)
	case []int32:
		return ortgo.NewTensor(s, d)
	case []int64:
		return ortgo.NewTensor(s, d)
	case []bool:
		return ortgo.NewTensor(s, d)
	}
	panic("ort: element type without a tensor")
}

// Data returns the slice of a tensor. It panics if t does not hold elements of type T.
func Data[T Element](t *Tensor) []T { return t.data.([]T) }

// Shape returns the dimensions, which the caller must not change.
func (t *Tensor) Shape() []int64 { return t.shape }

// Close frees ONNX Runtime's part of the tensor; the slice stays valid. It may be called more than once.
func (t *Tensor) Close() error {
	if t == nil || t.value == nil {
		return nil
	}
	err := t.value.Destroy()
	t.value = nil
	return errors.Join(err, release())
}

// adopt wraps a value that ONNX Runtime allocated.
func adopt(v ortgo.Value) (*Tensor, error) {
	retain() // succeeds: the session that made v is open
	t := &Tensor{value: v, shape: slices.Clone(v.GetShape())}
	switch x := v.(type) {
	case *ortgo.Tensor[float32]:
		t.data = x.GetData()
	case *ortgo.Tensor[float64]:
		t.data = x.GetData()
	case *ortgo.Tensor[uint8]:
		t.data = x.GetData()
	case *ortgo.Tensor[int32]:
		t.data = x.GetData()
	case *ortgo.Tensor[int64]:
		t.data = x.GetData()
	case *ortgo.Tensor[bool]:
		t.data = x.GetData()
	default:
		_, _ = v.Destroy(), release()
		return nil, fmt.Errorf("ort: output of type %T is not supported", v)
	}
	return t, nil
}
