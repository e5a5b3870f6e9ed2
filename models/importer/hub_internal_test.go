package importer

import (
	"math"
	"testing"
)

// Whatever a preprocessor_config.json says, the statistics of pictures are numbers that one can divide by.
func FuzzHubStatistics(f *testing.F) {
	f.Add([]byte(`{"image_mean":[0.485,0.456,0.406],"image_std":[0.229,0.224,0.225],"do_normalize":true,"rescale_factor":0.00392}`))
	f.Add([]byte(`{"do_normalize":false,"do_rescale":false}`))
	f.Add([]byte(`{"image_mean":[1e308,0,0],"image_std":[1e-308,1,1],"rescale_factor":1e-300}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		mean, std, err := hubStatistics(raw)
		if err != nil {
			return
		}
		for i := range 3 {
			if math.IsNaN(mean[i]) || math.IsInf(mean[i], 0) || math.IsNaN(std[i]) || math.IsInf(std[i], 0) || std[i] < 0 || std[i] == 0 && std != [3]float64{} {
				t.Errorf("%s: mean %v, deviation %v", raw, mean, std)
			}
		}
	})
}
