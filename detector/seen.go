package detector

// likeliest returns the index of the likeliest class of each cell, or nil for an encoder without classes.
func (e *Encoding) likeliest() []uint16 {
	n := e.LogitsWidth * e.LogitsHeight
	if e.Classes == 0 || len(e.Logits) != e.Classes*n {
		return nil
	}
	seen, top := make([]uint16, n), append([]float32(nil), e.Logits[:n]...)
	for k := 1; k < e.Classes; k++ {
		for i, v := range e.Logits[k*n:][:n] {
			if v > top[i] {
				seen[i], top[i] = uint16(k), v
			}
		}
	}
	return seen
}

// SeenAs returns the name of the class that the network finds likeliest in cell i, or "" if it has no classes.
func (m *Map) SeenAs(i int) string {
	if i >= len(m.Seen) || int(m.Seen[i]) >= len(m.Classes) {
		return ""
	}
	return m.Classes[m.Seen[i]]
}
