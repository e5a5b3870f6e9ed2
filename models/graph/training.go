package graph

// Training returns the name and the type of an operator that a file has in training mode, with results that are random or
// depend on the other pictures of a batch: Dropout and BatchNormalization. It returns "" if there is none.
func (m *Model) Training() (name, op string) {
	isTrue := map[string]bool{}
	for _, f := range m.graph {
		if f.isBytes(graphInit) {
			if w, _ := parseWeight(f.val); w.DType == Bool && truth(f.val) {
				isTrue[w.Name] = true
			}
		}
	}
	for _, f := range m.graph {
		if !f.isBytes(graphNode) {
			continue
		}
		n, err := parseNode(f.val)
		if err != nil {
			continue
		}
		switch n.op {
		case "Constant":
			for _, a := range n.take("value") {
				if a.isBytes(attrTensor) && truth(a.val) && len(n.outs) > 0 {
					isTrue[n.outs[0]] = true
				}
			}
		case "Dropout":
			if isTrue[n.input(2)] {
				return n.name, n.op
			}
		case "BatchNormalization":
			if n.integer("training_mode", 0) != 0 {
				return n.name, n.op
			}
		}
	}
	return "", ""
}

// truth reports whether the first element of a TensorProto is not zero.
func truth(tensor []byte) bool {
	fs, _ := parseFields(tensor, "tensor")
	const int32Data = 5
	for _, f := range fs {
		if f.isBytes(tensorRaw) && len(f.val) > 0 {
			return f.val[0] != 0
		}
		if v := f.varints(int32Data, nil); f.num == int32Data && len(v) > 0 {
			return v[0] != 0
		}
	}
	return false
}
