package synth_test

import (
	"fmt"
	"log"

	"github.com/oodcast/oodcast/detector/synth"
)

// A shape is pasted into a grey picture. The labels say where it is.
func ExampleGenerator_Paste() {
	cfg := synth.DefaultConfig()
	cfg.Kinds, cfg.Most = []synth.Kind{synth.KindObject}, 1
	g, err := synth.New(cfg, nil)
	if err != nil {
		log.Fatal(err)
	}
	const width, height = 320, 240
	rgb := make([]byte, 3*width*height)
	for i := range rgb {
		rgb[i] = 128
	}
	labels, things := g.Paste(rgb, width, height, 7)
	inside := 0
	for i, l := range labels {
		x, y := i%width-things[0].X, i/width-things[0].Y
		if l == synth.Anomalous && x >= 0 && y >= 0 && x < things[0].Width && y < things[0].Height {
			inside++
		}
	}
	fmt.Printf("%d %s, anomalous pixels in its box: %v\n", len(things), things[0].Kind, inside > 0)
	// Output:
	// 1 object, anomalous pixels in its box: true
}
