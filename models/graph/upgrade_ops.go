package graph

// node brings a node from set u.from to set 13.
func (u *upgrader) node(n *protoNode) {
	switch n.op {
	case "Upsample":
		if scales, ok := n.floats("scales"); ok && len(n.ins) == 1 { // up to set 8, but some exporters kept it
			n.ins = append(n.ins, u.float32s(scales))
		}
		u.resize(n)
	case "Resize":
		if u.from < 11 {
			u.resize(n)
		}
	case "Slice":
		u.slice(n)
	case "Squeeze", "Unsqueeze", "ReduceSum":
		u.listInput(n, "axes")
	case "Split":
		u.listInput(n, "split")
	case "TopK":
		if k := n.integer("k", 0); k > 0 && len(n.ins) == 1 {
			n.ins = append(n.ins, u.int64s([]int64{k}))
		}
	case "Clip":
		u.clip(n)
	case "Pad":
		u.pad(n)
	case "Softmax", "LogSoftmax", "Hardmax":
		u.softmax(n)
	case "Dropout":
		n.take("ratio") // of the training
	case "Scatter":
		n.op = "ScatterElements"
	}
}

// resize makes a Resize of set 11 out of an Upsample or a Resize of set 10, whose second input are the scales. ONNX Runtime
// then takes the pixel before the exact position, if it enlarges.
func (u *upgrader) resize(n *protoNode) {
	n.op = "Resize"
	n.ins = []string{n.input(0), "", n.input(1)}
	n.set("coordinate_transformation_mode", Str("coordinate_transformation_mode", "asymmetric"))
	n.set("nearest_mode", Str("nearest_mode", "floor"))
}

// slice makes inputs of the attributes of set 9.
func (u *upgrader) slice(n *protoNode) {
	starts, ok := n.ints("starts")
	if !ok || len(n.ins) != 1 {
		return
	}
	ends, _ := n.ints("ends")
	axes, ok := n.ints("axes")
	n.ins = append(n.ins, u.int64s(starts), u.int64s(ends))
	if ok {
		n.ins = append(n.ins, u.int64s(axes))
	}
}

// listInput makes the second input of an attribute.
func (u *upgrader) listInput(n *protoNode, attr string) {
	if v, ok := n.ints(attr); ok && len(n.ins) == 1 {
		n.ins = append(n.ins, u.int64s(v))
	}
}

// clip makes inputs of the bounds, attributes up to set 10.
func (u *upgrader) clip(n *protoNode) {
	low, hasLow := n.floats("min")
	high, hasHigh := n.floats("max")
	if len(n.ins) != 1 || len(low) > 1 || len(high) > 1 {
		return
	}
	if hasLow && len(low) == 1 {
		n.ins = append(n.ins, u.like(n.ins[0], low[0]))
	}
	if hasHigh && len(high) == 1 {
		if len(n.ins) == 1 {
			n.ins = append(n.ins, "")
		}
		n.ins = append(n.ins, u.like(n.ins[0], high[0]))
	}
}

// pad makes inputs of the widths and the value, attributes up to set 10.
func (u *upgrader) pad(n *protoNode) {
	pads, ok := n.ints("pads")
	value, _ := n.floats("value")
	if !ok || len(n.ins) != 1 {
		return
	}
	n.ins = append(n.ins, u.int64s(pads))
	if len(value) == 1 && value[0] != 0 {
		n.ins = append(n.ins, u.like(n.ins[0], value[0]))
	}
}

// softmax keeps the meaning of sets up to 12: the dimensions from the axis on (1 if it is not stated) are one.
func (u *upgrader) softmax(n *protoNode) {
	axis := n.integer("axis", 1)
	n.set("axis", Int("axis", -1))
	if axis == -1 {
		return
	}
	flat, soft, shape := u.fresh(), u.fresh(), u.fresh()
	x, y := n.input(0), append(n.outs, "")[0]
	node := func(op, out string, ins []string, attrs ...namedAttr) []byte {
		return (&protoNode{op: op, name: u.fresh(), ins: ins, outs: []string{out}, attrs: attrs}).marshal()
	}
	u.before = append(u.before,
		node("Shape", shape, []string{x}),
		node("Flatten", flat, []string{x}, namedAttr{"axis", Int("axis", axis).raw}))
	n.ins, n.outs = []string{flat}, []string{soft}
	u.after = append(u.after, node("Reshape", y, []string{soft, shape}))
}
