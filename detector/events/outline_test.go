package events

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// set returns the cells of a drawing.
func set(rows ...string) (cells []cell) {
	for y, row := range rows {
		for x, c := range row {
			if c == '#' {
				cells = append(cells, cell{x, y})
			}
		}
	}
	return cells
}

func TestBorder(t *testing.T) {
	cases := []struct {
		name  string
		cells []cell
		want  []cell
	}{
		{"one cell", set("#"), []cell{{0, 0}, {1, 0}, {1, 1}, {0, 1}}},
		{"away from the corner", set("..", ".#"), []cell{{1, 1}, {2, 1}, {2, 2}, {1, 2}}},
		{"an L", set("#.", "##"), []cell{{0, 0}, {1, 0}, {1, 1}, {2, 1}, {2, 2}, {0, 2}}},
		{"cells that touch at a corner", set("#.", ".#"), []cell{
			{0, 0}, {1, 0}, {1, 1}, {2, 1}, {2, 2}, {1, 2}, {1, 1}, {0, 1},
		}},
		{"a hole", set("###", "#.#", "###"), []cell{{0, 0}, {3, 0}, {3, 3}, {0, 3}}},
		{"the largest of two components", set("#..##", "...##"), []cell{{3, 0}, {5, 0}, {5, 2}, {3, 2}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, border(largestComponent(c.cells)), cmp.AllowUnexported(cell{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The outline of a disc of any size has few corners and about the disc's area.
func TestOutlineOfADisc(t *testing.T) {
	for _, radius := range []int{1, 3, 10, 40} {
		var cells []cell
		for y := -radius; y <= radius; y++ {
			for x := -radius; x <= radius; x++ {
				if x*x+y*y <= radius*radius {
					cells = append(cells, cell{50 + x, 50 + y})
				}
			}
		}
		ring := outline(cells, 100, 100)
		got, want := area(ring)*1e4, float64(len(cells))
		if len(ring) < 4 || len(ring) > 32 || math.Abs(got-want) > 0.15*want+2 {
			t.Errorf("radius %d: %d corners around %.1f cells, want at most 32 around %v", radius, len(ring), got, want)
		}
	}
}

// area returns the signed area inside a ring: positive if it is clockwise with y pointing down.
func area(ring [][2]float64) (sum float64) {
	for i, p := range ring {
		q := ring[(i+1)%len(ring)]
		sum += p[0]*q[1] - q[0]*p[1]
	}
	return sum / 2
}

// Every set of cells has an outline within the image with at most 32 corners.
func TestOutlineOfRandomCells(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 3000 {
		w, h, share := 1+random.IntN(60), 1+random.IntN(40), random.Float64()
		var cells []cell
		for y := range h {
			for x := range w {
				if random.Float64() < share {
					cells = append(cells, cell{x, y})
				}
			}
		}
		ring := outline(cells, w, h)
		if len(cells) == 0 && ring == nil {
			continue
		}
		if len(ring) > 32 || len(ring) < 3 {
			t.Fatalf("%d corners around %d cells, want 3 to 32", len(ring), len(cells))
		}
		for _, p := range ring {
			if p[0] < 0 || p[0] > 1 || p[1] < 0 || p[1] > 1 {
				t.Fatalf("corner %v lies outside the image", p)
			}
		}
	}
	if outline(nil, 8, 8) != nil {
		t.Error("an empty set of cells has an outline")
	}
}
