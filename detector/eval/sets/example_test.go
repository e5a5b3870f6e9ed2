package sets_test

import (
	"fmt"
	"log"

	"github.com/oodcast/oodcast/detector/eval/sets"
)

// For each set, the settings are chosen that are best on the others.
func ExampleChoose() {
	names, err := sets.Grid(nil, []string{"compound.lse_weight=0,1"})
	if err != nil {
		log.Fatal(err)
	}
	rates := [][]sets.Rates{
		{{AP: 0.9}, {AP: 0.2}, {AP: 0.3}}, // weight 0 on three sets
		{{AP: 0.5}, {AP: 0.4}, {AP: 0.4}}, // weight 1
	}
	choice, err := sets.Choose([]string{names[0][0], names[1][0]}, []string{"one", "two", "three"}, rates)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range choice.Sets {
		fmt.Printf("%s: %s, AP %.0f\n", s.Set, s.ByMean.Variant, 100*s.ByMean.AP)
	}
	// Output:
	// one: compound.lse_weight=1, AP 50
	// two: compound.lse_weight=0, AP 20
	// three: compound.lse_weight=0, AP 30
}
