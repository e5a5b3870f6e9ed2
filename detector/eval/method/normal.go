package method

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// normalMethods compare the features with normal footage.
func normalMethods() []Method {
	return []Method{
		{
			Name: "cdnp", Source: "Galesso et al., Far Away in the Deep Space, ICCVW 2023: the sum of knn and lse, each as a " +
				"fraction of its range on normal footage",
			logits: true, needs: ErrNeedsReference, build: newCDNP,
		},
		{
			Name: "knn", Source: "the same without lse (DNP): mean distance of the raw feature to the 3 nearest of 100,000 " +
				"normal ones",
			needs: ErrNeedsReference, build: newKNN,
		},
		{
			Name: "gmm", Source: "after Liang et al., GMMSeg, NeurIPS 2022: −highest log density over classes, each a mixture of " +
				"5 Gaussians with diagonal covariance; on whitened features, with the segmenter's arg-max as the class",
			logits: true, needs: ErrNeedsReference, build: newGMM,
		},
		{
			Name: "gmmseg", Source: "Liang et al., GMMSeg, NeurIPS 2022: −highest log density over classes, each a mixture of 5 equally " +
				"weighted Gaussians with diagonal covariance on standardised channels; fitted to the finished features, with the segmenter's " +
				"arg-max as the class, in place of a network trained with the mixtures on labels",
			logits: true, needs: ErrNeedsReference, build: newGMMSeg,
		},
		{
			Name: "mahalanobis", Source: "squared Mahalanobis distance from one Gaussian with full covariance, after Lee et al., " +
				"A Simple Unified Framework, NeurIPS 2018, without classes",
			needs: ErrNeedsReference, build: newMahalanobis,
		},
		{
			Name: "residual", Source: "mahalanobis without the components of more than twice the mean variance, after Rippel et al., " +
				"Modeling the Distribution of Normal Data in Pre-Trained Deep Features, ICPR 2020, who leave out the strongest by " +
				"share of the variance",
			needs: ErrNeedsReference, build: newResidual,
		},
		{
			Name: "vim", Source: "Wang et al., ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022: α·length of the " +
				"feature outside its principal subspace, minus log Σ exp; the feature lies before the segmenter's head, so the " +
				"origin is the mean and the subspace has half the channels",
			logits: true, needs: ErrNeedsReference, build: newViM,
		},
		{
			Name: "neco", Source: "Ammar et al., NECO: Neural Collapse Based Out-of-Distribution Detection, ICLR 2024: −share of the " +
				"length of the standardised feature in its principal subspace · highest logit, if there are classes; the subspace " +
				"has 90 % of the variance",
			needs: ErrNeedsReference, build: newNECO,
		},
		{
			Name: "student-teacher", Source: "after Bergmann et al., Uninformed Students, CVPR 2020: error of a student that learnt the " +
				"features of normal footage; here one ridge regression on the segmenter's logits of the same place, in place of an " +
				"ensemble of networks on the image, and so without their variance",
			logits: true, needs: ErrNeedsReference, build: newStudent,
		},
	}
}

// search is the nearest-neighbour search that knn and cdnp share. It caches the result for one image and charges the time
// of the search to the second method as well.
type search struct {
	ref  *Reference
	nb   *Neighbours
	x    *Encoded      // image of the last search
	d    []float32     // its result
	took time.Duration // its time
	rows []float32
}

func (k *Kit) search() *search {
	if k.neighbours == nil {
		k.neighbours = &search{ref: k.Reference, nb: NewNeighbours(k.Reference.Tokens, k.Reference.Channels, k.Product)}
	}
	return k.neighbours
}

// distances returns the distance of every token of x from normal footage.
func (s *search) distances(x *Encoded) ([]float32, error) {
	if s.x == x {
		x.charged += s.took
		return s.d, nil
	}
	begun := time.Now()
	s.rows = s.ref.centred(s.rows, x.Features)
	s.x, s.d = x, make([]float32, x.Width*x.Height)
	err := s.nb.DistancesTo(s.d, s.rows, false)
	s.took = time.Since(begun)
	return s.d, err
}

func newKNN(k *Kit, _ []int) (Scorer, error) {
	s := k.search()
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		d, err := s.distances(x)
		return tokenMap(x, d), err
	}, nil
}

// newCDNP adds (U − min U)/(max U − min U) and d/max d on the grid of the logits, as the publication does.
func newCDNP(k *Kit, _ []int) (Scorer, error) {
	s, ref := k.search(), k.Reference
	most, err := ref.spread(k.Product, k.Seed)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		d, err := s.distances(x)
		if err != nil {
			return nil, err
		}
		m := &detector.Map{Width: x.LogitsWidth, Height: x.LogitsHeight}
		m.Values = tokenMap(x, d).ResizeTo(nil, m.Width, m.Height)
		for i, v := range m.Values {
			u := (1 - float64(x.LSE[i]) - ref.Lowest) / max(ref.Highest-ref.Lowest, 1e-9)
			m.Values[i] = float32(u + float64(v)/max(most, 1e-9))
		}
		return m, nil
	}, nil
}

func newMahalanobis(k *Kit, _ []int) (Scorer, error) {
	w, err := k.whitening()
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		white, err := w.features(x)
		if err != nil {
			return nil, err
		}
		d := make([]float32, x.Width*x.Height)
		for i := range d {
			sum := 0.0
			for _, v := range white[i*x.Channels:][:x.Channels] {
				sum += float64(v) * float64(v)
			}
			d[i] = float32(sum)
		}
		return tokenMap(x, d), nil
	}, nil
}

func newGMM(k *Kit, _ []int) (Scorer, error) {
	w, err := k.whitening()
	if err != nil {
		return nil, err
	}
	white, err := w.apply(nil, k.Reference.Tokens)
	if err != nil {
		return nil, err
	}
	classes := fitClasses(white, k.Reference.Channels, k.Reference.Classes, false)
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		white, err := w.features(x)
		if err != nil {
			return nil, err
		}
		return classes.surprise(x, white), nil
	}, nil
}

func newGMMSeg(k *Kit, _ []int) (Scorer, error) {
	ref := k.Reference
	scale := deviations(ref.Tokens, ref.Channels)
	standardise := func(rows []float32) []float32 {
		for i := range rows {
			rows[i] /= scale[i%len(scale)]
		}
		return rows
	}
	classes := fitClasses(standardise(slices.Clone(ref.Tokens)), ref.Channels, ref.Classes, true)
	return func(_ context.Context, x *Encoded) (*detector.Map, error) {
		return classes.surprise(x, standardise(ref.centred(nil, x.Features))), nil
	}, nil
}

// deviations returns the standard deviation of each channel of centred rows; 1 for one that is constant.
func deviations(rows []float32, c int) []float32 {
	squares := make([]float64, c)
	for i, v := range rows {
		squares[i%c] += float64(v) * float64(v)
	}
	scale := make([]float32, c)
	for i, sum := range squares {
		if scale[i] = float32(math.Sqrt(sum * float64(c) / float64(len(rows)))); scale[i] < 1e-12 {
			scale[i] = 1
		}
	}
	return scale
}

// surprise is the negative highest log density of each token of x, whose rows are given as the mixtures were fitted to them.
func (ms mixtures) surprise(x *Encoded, rows []float32) *detector.Map {
	d := make([]float32, x.Width*x.Height)
	perCore(len(d), func(i int) { d[i] = float32(-ms.logDensity(rows[i*x.Channels:][:x.Channels])) })
	return tokenMap(x, d)
}
