package zoo

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// resNet is a ResNet under torchvision's names.
func resNet(depths []int, bottleneck bool) kind {
	return func(seed uint64) (*Network, error) {
		s, before := shapes{}, 64
		s.conv("conv1", "bn1", before, 3, 7)
		for i, depth := range depths {
			mid, out := 64<<i, 64<<i
			if bottleneck {
				out *= 4
			}
			for j := range depth {
				b := fmt.Sprintf("layer%d.%d.", i+1, j)
				if bottleneck {
					s.conv(b+"conv1", b+"bn1", mid, before, 1)
					s.conv(b+"conv2", b+"bn2", mid, mid, 3)
					s.conv(b+"conv3", b+"bn3", out, mid, 1)
				} else {
					s.conv(b+"conv1", b+"bn1", mid, before, 3)
					s.conv(b+"conv2", b+"bn2", out, mid, 3)
				}
				if before != out {
					s.conv(b+"downsample.0", b+"downsample.1", out, before, 1)
				}
				before = out
			}
		}
		weights := s.tensors()
		cfg, err := nets.InferResNet(weights)
		if err != nil {
			return nil, err
		}
		return &Network{
			Params: s.params(), Denoiser: fitted(cfg.Channels()),
			Spec: models.EncoderSpec{
				Architecture: "resnet", Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
				LogitsStride: models.MapStride(cfg.Stride()),
			},
			Build: building(seed, cfg, weights, nets.ResNet),
		}, nil
	}
}

// lite is an EfficientNet-Lite, of which the stages' widths and depths scale, under the names of the PyTorch port.
func lite(width, depth float64) kind {
	return func(seed uint64) (*Network, error) {
		base := []struct{ width, depth, side, expand int }{
			{16, 1, 3, 1}, {24, 2, 3, 6}, {40, 2, 5, 6}, {80, 3, 3, 6}, {112, 3, 5, 6}, {192, 4, 5, 6}, {320, 1, 3, 6},
		}
		s, before, n := shapes{}, 32, 0
		s.conv("_conv_stem", "_bn0", before, 3, 3)
		for i, stage := range base {
			out, blocks := eighths(float64(stage.width)*width), int(math.Ceil(float64(stage.depth)*depth))
			if i == 0 || i == len(base)-1 {
				blocks = stage.depth // the first and the last stage keep theirs
			}
			for range blocks {
				b, mid := fmt.Sprintf("_blocks.%d.", n), before*stage.expand
				if stage.expand > 1 {
					s.conv(b+"_expand_conv", b+"_bn0", mid, before, 1)
				}
				s.conv(b+"_depthwise_conv", b+"_bn1", mid, 1, stage.side)
				s.conv(b+"_project_conv", b+"_bn2", out, mid, 1)
				before, n = out, n+1
			}
		}
		weights := s.tensors()
		cfg, err := nets.InferEfficientNetLite(weights)
		if err != nil {
			return nil, err
		}
		return &Network{
			Params: s.params(), Denoiser: fitted(cfg.Channels()),
			Spec: models.EncoderSpec{
				Architecture: models.EfficientNetLite, Features: cfg.Features, Channels: cfg.Channels(), Stride: cfg.Stride(),
				LogitsStride: models.MapStride(cfg.Stride()),
			},
			Build: building(seed, cfg, weights, func(c nets.EfficientNetLiteConfig, ts checkpoint.Tensors) (*graph.Graph, error) {
				return nets.EfficientNetLite(c, ts, nets.LiteCompanions{})
			}),
		}, nil
	}
}

// eighths rounds a width to a multiple of eight that is not less than nine tenths of it.
func eighths(width float64) int {
	n := max(8, int(width+4)/8*8)
	if float64(n) < 0.9*width {
		n += 8
	}
	return n
}
