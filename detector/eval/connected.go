package eval

// ConnectedComponents numbers the 8-connected components of the pixels where set is true, from 1 in the order of their
// first pixels. numbers holds the component of each pixel, 0 for none, and sizes[i] is the number of pixels of component i.
// It makes two passes with a union-find over provisional labels (Rosenfeld and Pfaltz, 1966).
func ConnectedComponents(width, height int, set func(i int) bool) (numbers []int32, sizes []int) {
	numbers = make([]int32, width*height)
	l := labeller{parent: []int32{0}}
	for y := range height {
		for x := range width {
			if i := y*width + x; set(i) {
				numbers[i] = l.join(numbers, i, x, y, width)
			}
		}
	}
	// Number the roots in order. A root is smaller than its descendants, so its number is known before they need it.
	final := make([]int32, len(l.parent))
	n := int32(0)
	for i := 1; i < len(l.parent); i++ {
		if l.parent[i] == int32(i) {
			n++
			final[i] = n
		} else {
			final[i] = final[l.find(int32(i))]
		}
	}
	sizes = make([]int, n+1)
	for i, v := range numbers {
		numbers[i] = final[v]
		sizes[final[v]]++
	}
	return numbers, sizes
}

// labeller is the union-find. The parent of a label is smaller than the label; a root is its own parent.
type labeller struct {
	parent []int32
}

// join returns the label of pixel i = (x, y): the label of its left and upper neighbours, which it unites, or a new one.
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

// union joins the components of a and b and returns the root, the smaller one. An a of 0 means no label yet.
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
