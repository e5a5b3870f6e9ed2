package nets

import (
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
)

// schedule returns √ᾱ(t) and √(1-ᾱ(t)) of the linear DDPM schedule: β rises from 1e-4 to 0.02 in T steps; t starts at 0.
func schedule() (signal, noise []float64) {
	signal, noise = make([]float64, models.Timesteps), make([]float64, models.Timesteps)
	abar := 1.0
	for t := range signal {
		abar *= 1 - (1e-4 + float64(t)*(0.02-1e-4)/(models.Timesteps-1))
		signal[t], noise[t] = math.Sqrt(abar), math.Sqrt(1-abar)
	}
	return signal, noise
}

// sinusoid returns the embedding of t in n channels: n/2 cosines and then n/2 sines of t·10000^(-2j/n).
func sinusoid(t float64, n int) []float64 {
	e, half := make([]float64, n), n/2
	for j := range half {
		sin, cos := math.Sincos(t * math.Exp(-math.Log(10000)*float64(j)/float64(half)))
		e[j], e[half+j] = cos, sin
	}
	return e
}

// timeTables returns, for every block, the vectors [len(ts), Width] that the block adds at the timesteps ts. They depend
// only on the weights and t, so scoring looks them up instead of running the time layers for every row.
func timeTables(cfg models.DenoiserConfig, w checkpoint.Tensors, ts []int) (map[string][]float32, error) {
	width := cfg.Width
	emb := make([]float32, len(ts)*width)
	for i, t := range ts {
		row := emb[i*width : (i+1)*width]
		if cfg.Time == models.TimeScalar {
			for j := range row {
				row[j] = float32(t)
			}
			continue
		}
		for j, v := range sinusoid(float64(t), width) {
			row[j] = float32(v)
		}
	}
	emb, err := linearRows(emb, w, "denoiser.time_embed.0", width)
	if err != nil {
		return nil, err
	}
	tables := map[string][]float32{}
	if cfg.Time == models.TimeScalar {
		for _, b := range denoiserBlocks(cfg) {
			tables[b.name] = emb
		}
		return tables, nil
	}
	silu(emb)
	if emb, err = linearRows(emb, w, "denoiser.time_embed.2", width); err != nil {
		return nil, err
	}
	silu(emb)
	for _, b := range denoiserBlocks(cfg) {
		if tables[b.name], err = linearRows(emb, w, b.name+".emb_layers.1", width); err != nil {
			return nil, err
		}
	}
	return tables, nil
}

func silu(x []float32) {
	for i, v := range x {
		x[i] = float32(float64(v) / (1 + math.Exp(-float64(v))))
	}
}

// linearRows returns x·wᵀ+b for rows of n values and a square layer. It uses all cores.
func linearRows(x []float32, ts checkpoint.Tensors, name string, n int) ([]float32, error) {
	wt, err := ts.Get(name+".weight", n, n)
	if err != nil {
		return nil, fmt.Errorf("denoiser weights: %w", err)
	}
	bt, err := ts.Get(name+".bias", n)
	if err != nil {
		return nil, fmt.Errorf("denoiser weights: %w", err)
	}
	y := make([]float32, len(x))
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for k := range workers {
		wg.Go(func() {
			// Four output channels at a time, so that each row of x is read once for all four.
			for o := 4 * k; o < n; o += 4 * workers {
				linearColumns(y, x, wt.Data, bt.Data, n, o, min(o+4, n))
			}
		})
	}
	wg.Wait()
	return y, nil
}

func linearColumns(y, x, w, b []float32, n, from, to int) {
	if to-from < 4 {
		for o := from; o < to; o++ {
			for r := 0; r < len(x); r += n {
				sum := b[o]
				for i, v := range x[r : r+n] {
					sum += v * w[o*n+i]
				}
				y[r+o] = sum
			}
		}
		return
	}
	w0, w1 := w[from*n:(from+1)*n], w[(from+1)*n:(from+2)*n]
	w2, w3 := w[(from+2)*n:(from+3)*n], w[(from+3)*n:(from+4)*n]
	for r := 0; r < len(x); r += n {
		s0, s1, s2, s3 := b[from], b[from+1], b[from+2], b[from+3]
		for i, v := range x[r : r+n] {
			s0 += v * w0[i]
			s1 += v * w1[i]
			s2 += v * w2[i]
			s3 += v * w3[i]
		}
		y[r+from], y[r+from+1], y[r+from+2], y[r+from+3] = s0, s1, s2, s3
	}
}
