package nets

import (
	"fmt"
	"strings"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// liteNames are the names of timm that begin a weight's name, and what the PyTorch port calls them: outside of blocks, in a block of
// stage 1, which has no convolution that widens, and in any other block.
var (
	liteNames = map[string]string{
		"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc",
	}
	liteFirst = map[string]string{"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
	liteOther = map[string]string{
		"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2",
	}
)

// renameLite gives weights under timm's names those of the PyTorch port, which numbers the blocks of all stages through.
func renameLite(weights checkpoint.Tensors) {
	number := map[string]string{} // of the port's block, by timm's stage and block
	for stage, n := 0, 0; ; stage++ {
		block := 0
		for ; weights[fmt.Sprintf("blocks.%d.%d.conv_dw.weight", stage, block)] != nil; block++ {
			number[fmt.Sprintf("blocks.%d.%d", stage, block)] = fmt.Sprintf("_blocks.%d.", n)
			n++
		}
		if block == 0 {
			break
		}
	}
	for _, name := range weights.Names() {
		part := strings.SplitN(name, ".", 5)
		before, inner, names := "", name, liteNames
		if len(part) > 3 && number[strings.Join(part[:3], ".")] != "" {
			before, inner, names = number[strings.Join(part[:3], ".")], strings.Join(part[3:], "."), liteOther
			if part[1] == "0" {
				names = liteFirst
			}
		}
		first, rest, _ := strings.Cut(inner, ".")
		if to := names[first]; to != "" {
			weights[before+to+"."+rest] = weights[name]
			delete(weights, name)
		}
	}
}
