package graph

import "fmt"

func parseOperator(b []byte) (Operator, error) {
	fs, err := parseFields(b, "node")
	if err != nil {
		return Operator{}, err
	}
	var op Operator
	for _, f := range fs {
		switch {
		case f.isBytes(nodeInput):
			op.Inputs = append(op.Inputs, string(f.val))
		case f.isBytes(nodeOutput):
			op.Outputs = append(op.Outputs, string(f.val))
		case f.isBytes(nodeName):
			op.Name = string(f.val)
		case f.isBytes(nodeOp):
			op.Type = string(f.val)
		case f.isBytes(nodeDomain):
			op.Domain = string(f.val)
		}
	}
	return op, nil
}

func parseWeight(b []byte) (Weight, error) {
	fs, err := parseFields(b, "initialiser")
	if err != nil {
		return Weight{}, err
	}
	w := Weight{Shape: []int64{}}
	raw, outside := -1, false
	for _, f := range fs {
		switch {
		case f.num == 1:
			if w.Shape = f.varints(1, w.Shape); len(w.Shape) > maxRank {
				return Weight{}, fmt.Errorf("%w: an initialiser has more than %d dimensions", ErrModel, maxRank)
			}
		case f.isBytes(8):
			w.Name = string(f.val)
		case f.num >= 4 && f.num <= 11: // typed lists and raw data
			w.Bytes += len(f.val)
		}
		if v, ok := f.varint(2); ok {
			w.DType = DType(v)
		}
		if f.isBytes(tensorRaw) {
			raw = len(f.val)
		}
		if v, ok := f.varint(tensorLocation); ok && int32(v) == locationExternal {
			outside = true
		}
	}
	return w, w.checkData(raw, outside)
}

func parseValue(b []byte) (Value, error) {
	fs, err := parseFields(b, "value")
	if err != nil {
		return Value{}, err
	}
	var v Value
	for _, f := range fs {
		switch {
		case f.isBytes(1):
			v.Name = string(f.val)
		case f.isBytes(2):
			if err := v.parseType(f.val); err != nil {
				return Value{}, err
			}
		}
	}
	return v, nil
}

// parseType reads a TypeProto; one that is not a tensor leaves the value without a type.
func (v *Value) parseType(b []byte) error {
	fs, err := parseFields(b, "type")
	if err != nil {
		return err
	}
	for _, f := range fs {
		if !f.isBytes(1) {
			continue
		}
		tensor, err := parseFields(f.val, "tensor type")
		if err != nil {
			return err
		}
		for _, g := range tensor {
			if t, ok := g.varint(1); ok {
				v.DType = DType(t)
			}
			if g.isBytes(2) {
				if v.Shape, err = parseShape(g.val); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func parseShape(b []byte) ([]int64, error) {
	fs, err := parseFields(b, "shape")
	if err != nil {
		return nil, err
	}
	shape := []int64{}
	for _, f := range fs {
		if !f.isBytes(1) {
			continue
		}
		dim, err := parseFields(f.val, "dimension")
		if err != nil {
			return nil, err
		}
		d := int64(-1)
		for _, g := range dim {
			if n, ok := g.varint(1); ok && n >= 0 {
				d = n
			}
		}
		if shape = append(shape, d); len(shape) > maxRank {
			return nil, fmt.Errorf("%w: a value has more than %d dimensions", ErrModel, maxRank)
		}
	}
	return shape, nil
}
