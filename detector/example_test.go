package detector_test

import (
	"fmt"

	"github.com/oodcast/oodcast/detector"
)

// A map is resized to the picture that it belongs to.
func ExampleMap_ResizeTo() {
	m := &detector.Map{Width: 2, Height: 1, Values: []float32{0, 4}}
	fmt.Println(m.ResizeTo(nil, 4, 2))
	// Output: [0 1 3 4 0 1 3 4]
}
