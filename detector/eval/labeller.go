package eval

// labeller finds connected components; it keeps its memory for the next image. The zero labeller is ready.
type labeller struct {
	parent []int32
}

// label numbers the 8-connected components of the pixels where set is true, from 1 in the order of their first pixel,
// and stores each pixel's number, or 0, in dst. sizes[i] is the number of pixels of component i. Two passes with a
// union-find over the labels (Rosenfeld and Pfaltz, 1966).
func (l *labeller) label(dst []int32, width, height int, set func(i int) bool) (numbers []int32, sizes []int) {
	if cap(dst) < width*height {
		dst = make([]int32, width*height)
	}
	dst = dst[:width*height]
	l.parent = append(l.parent[:0], 0)
	for y := range height {
		for x := range width {
			i := y*width + x
			if !set(i) {
				dst[i] = 0
				continue
			}
			dst[i] = l.join(dst, i, x, y, width)
		}
	}
	// Number the roots in order; a root is smaller than what hangs from it, so its number is there before it is needed.
	number := make([]int32, len(l.parent))
	next := int32(0)
	for i := 1; i < len(l.parent); i++ {
		if l.parent[i] == int32(i) {
			next++
			number[i] = next
		} else {
			number[i] = number[l.find(int32(i))]
		}
	}
	sizes = make([]int, next+1)
	for i, v := range dst {
		dst[i] = number[v]
		sizes[number[v]]++
	}
	return dst, sizes
}

// join gives pixel i = (x, y) the label of its left and upper neighbours, which become one, or a new label.
func (l *labeller) join(dst []int32, i, x, y, width int) int32 {
	label := int32(0)
	meet := func(v int32) {
		if v > 0 {
			label = l.union(label, v)
		}
	}
	if x > 0 {
		meet(dst[i-1])
	}
	if y > 0 {
		meet(dst[i-width])
		if x > 0 {
			meet(dst[i-width-1])
		}
		if x < width-1 {
			meet(dst[i-width+1])
		}
	}
	if label == 0 {
		label = int32(len(l.parent))
		l.parent = append(l.parent, label)
	}
	return label
}

// union makes one component of a and b and returns its root, the smaller; a may be 0, no label yet.
func (l *labeller) union(a, b int32) int32 {
	b = l.find(b)
	if a == 0 {
		return b
	}
	a = l.find(a)
	if a > b {
		a, b = b, a
	}
	l.parent[b] = a
	return a
}

func (l *labeller) find(i int32) int32 {
	for l.parent[i] != i {
		l.parent[i] = l.parent[l.parent[i]]
		i = l.parent[i]
	}
	return i
}
