package ort

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Port is an input or output of a graph.
type Port struct {
	Name  string
	Shape []int64 // -1 = dynamic
	Type  int     // ONNX TensorProto.DataType
}

// Field numbers of onnx.proto3 that name a graph's inputs and outputs.
const (
	modelGraph       = 7
	graphInitializer = 5
	graphInput       = 11
	graphOutput      = 12
	tensorName       = 8
	valueInfoName    = 1
	valueInfoType    = 2
	typeTensor       = 1
	tensorTypeElem   = 1
	tensorTypeShape  = 2
	shapeDim         = 1
	dimValue         = 1
)

var errTruncated = errors.New("truncated protobuf")

// signature reads the inputs and outputs of a serialised model; initialisers are no inputs. Asking ONNX Runtime would
// cost a second session.
func signature(model []byte) (in, out []Port, err error) {
	constants := map[string]bool{}
	err = fields(model, func(num protowire.Number, b []byte, _ uint64) error {
		if num != modelGraph {
			return nil
		}
		return fields(b, func(num protowire.Number, b []byte, _ uint64) error {
			switch num {
			case graphInitializer:
				return fields(b, func(num protowire.Number, b []byte, _ uint64) error {
					if num == tensorName {
						constants[string(b)] = true
					}
					return nil
				})
			case graphInput, graphOutput:
				p, err := port(b)
				if num == graphInput {
					in = append(in, p)
				} else {
					out = append(out, p)
				}
				return err
			}
			return nil
		})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("ort: read model: %w", err)
	}
	if len(out) == 0 {
		return nil, nil, errors.New("ort: read model: no outputs: not an ONNX model")
	}
	inputs := in[:0]
	for _, p := range in {
		if !constants[p.Name] {
			inputs = append(inputs, p)
		}
	}
	return inputs, out, nil
}

// port reads a ValueInfoProto.
func port(b []byte) (p Port, err error) {
	err = fields(b, func(num protowire.Number, b []byte, _ uint64) error {
		switch num {
		case valueInfoName:
			p.Name = string(b)
		case valueInfoType:
			return fields(b, func(num protowire.Number, b []byte, _ uint64) error {
				if num != typeTensor {
					return nil
				}
				return fields(b, func(num protowire.Number, b []byte, v uint64) error {
					switch num {
					case tensorTypeElem:
						p.Type = int(v)
					case tensorTypeShape:
						return fields(b, func(num protowire.Number, b []byte, _ uint64) error {
							d := int64(-1)
							err := fields(b, func(num protowire.Number, _ []byte, v uint64) error {
								if num == dimValue {
									d = int64(v)
								}
								return nil
							})
							p.Shape = append(p.Shape, d)
							return err
						})
					}
					return nil
				})
			})
		}
		return nil
	})
	return p, err
}

// fields calls f for each length-delimited (b) or varint (v) field of a message.
func fields(msg []byte, f func(num protowire.Number, b []byte, v uint64) error) error {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return errTruncated
		}
		msg = msg[n:]
		var b []byte
		var v uint64
		switch typ {
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(msg)
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(msg)
		default:
			n = protowire.ConsumeFieldValue(num, typ, msg)
		}
		if n < 0 {
			return errTruncated
		}
		msg = msg[n:]
		if typ == protowire.BytesType || typ == protowire.VarintType {
			if err := f(num, b, v); err != nil {
				return err
			}
		}
	}
	return nil
}
