package paper

// Names of the data sets of the tables.
const (
	roadAnomaly = "roadanomaly"
	lostFound   = "fs_lostfound"
	static      = "fs_static"
	adeOOD      = "ade_ood"
	anomaly     = "roadanomaly21"
	obstacle    = "roadobstacle21"
)

// titles returns the names of the data sets in print.
func titles() map[string]string {
	return map[string]string{
		roadAnomaly: "RoadAnomaly", lostFound: "Fishyscapes L&F", static: "Fishyscapes Static", adeOOD: "ADE-OoD",
		anomaly: "RoadAnomaly21 val", obstacle: "RoadObstacle21 val",
	}
}

// standIns maps data sets of the paper to those whose figures are shown, with a mark, in their absence.
func standIns() map[string]string {
	return map[string]string{roadAnomaly: anomaly, lostFound: obstacle}
}

// metric selects the figures in a cell: one, or two separated by a slash.
type metric int

const (
	apFPR        metric = iota // AP / FPR95
	bootstrapped               // AP / FPR95 as mean ± deviation over subsets
	apFirstBest                // AP at the first timestep / at the best
	cost                       // seconds / AP
)

// entry is one row of a table: the paper's figures in the order of the columns, and the method whose figures of ours stand
// next to them.
type entry struct {
	label     string
	method    string
	denoiser  string // "" for any
	timesteps int    // |T|; 0: the largest that was evaluated
	paper     []string
}

// none marks a cell that the paper leaves empty.
const none = "–"

// source is a table or figure of the paper.
type source struct {
	name, title string
	metric      metric
	datasets    []string
	entries     []entry
	encoder     string   // of the paper, as far as it names it
	notes       []string // further differences
}

// sources returns the paper's tables in its order. The figures are copied from its text; Table 2 is in appendix A, Table 3
// in appendix D.
func sources() []source {
	const cityscapes, ade = "Segmenter ViT-B and SETR ViT-L trained on Cityscapes", "SETR ViT-L trained on ADE20K for ADE-OoD"
	return []source{
		{
			name: "Table 1", title: "the state of the art on roads (AP / FPR95)", metric: apFPR,
			datasets: []string{roadAnomaly, lostFound, static, anomaly, obstacle},
			encoder:  "one per method, Mask2Former for Maskomaly, RbA, EAM and M2A",
			entries: []entry{
				{"GMMSeg", "gmmseg", "", 0, []string{"57.7 / 44.3", "50.0 / 12.6", none, none, none}},
				{"Maskomaly", "maskomaly", "", 0, []string{"80.8 / 12.0", none, "68.8 / 15.0", "93.4 / 6.9", none}},
				{"RbA", "rba", "", 0, []string{"78.5 / 11.8", "61.0 / 10.6", "59.1 / 17.7", "86.1 / 15.9", "87.9 / 3.3"}},
				{"cDNP", "cdnp", "", 0, []string{"85.6 / 9.8", "66.2 / 27.8", "63.1 / 19.3", "88.9 / 11.4", "72.7 / 1.4"}},
				{"EAM (outliers)", "eam", "", 0, []string{"69.4 / 7.7", "81.5 / 4.2", none, "93.8 / 4.1", "92.9 / 0.5"}},
				{"M2A (outliers, roads)", "m2a", "", 0, []string{"79.7 / 13.5", "46.0 / 4.4", "90.5 / 1.2", "88.7 / 14.6", "92.9 / 0.5"}},
				{"DOoD on Segmenter ViT-B", "dood", "", 0, []string{"89.1 / 8.8", "43.0 / 30.2", "75.0 / 6.2", "90.8 / 8.4", none}},
				{"DOoD on SETR ViT-L", "dood", "", 0, []string{"88.6 / 13.1", "64.4 / 27.7", "79.3 / 6.5", none, "64.3 / 2.6"}},
			},
			notes: []string{
				"The paper's figures on RoadAnomaly21 and RoadObstacle21 are those of the benchmark's server on hidden images, ours those of " +
					"the public ones.",
				"Methods that learn from outliers or roads alone and that have no row here: NFlowJS, RbA-OE, RPL, JSRNet.",
				"Methods on masks need a bundle with class and mask logits: oodcast models import mask2former.",
			},
		},
		{
			name: "Fig. 3", title: "ADE-OoD (AP / FPR95)", metric: apFPR, datasets: []string{adeOOD},
			encoder: "one per method, trained on ADE20K",
			entries: []entry{
				{"M2A", "m2a", "", 0, []string{"18.2 / 86.5"}},
				{"Maskomaly", "maskomaly", "", 0, []string{"28.2 / 82.7"}},
				{"GMMSeg", "gmmseg", "", 0, []string{"47.6 / 43.5"}},
				{"cDNP", "cdnp", "", 0, []string{"62.4 / 39.2"}},
				{"RbA", "rba", "", 0, []string{"66.8 / 82.4"}},
				{"DOoD", "dood", "", 0, []string{"63.0 / 36.5"}},
			},
			notes: []string{"The paper's M2A divides classes into things and stuff as ADE20K does, ours as Cityscapes does."},
		},
		{
			name: "Fig. 5", title: "the denoiser: U-Net in space or MLP on each feature (AP / FPR95)", metric: apFPR,
			datasets: []string{roadAnomaly, lostFound}, encoder: cityscapes + ", the figure does not say which",
			entries: []entry{
				{"U-Net", "dood-diffusion", "unet", 0, []string{"67.3 / 19.8", "25.9 / 43.0"}},
				{"MLP", "dood-diffusion", "mlp", 0, []string{"84.7 / 15.3", "31.5 / 41.1"}},
			},
			notes: []string{"The U-Net is a separate bundle: oodcast fit --denoiser unet, then oodcast eval --bundle."},
		},
		{
			name: "Fig. 6", title: "the score and the timestep (AP at the first timestep / at the best)", metric: apFirstBest,
			datasets: []string{roadAnomaly, static, adeOOD}, encoder: cityscapes + ", " + ade,
			entries: []entry{
				{"MSE of the reconstruction", "recon-mse", "", 0, []string{"52.5 / 84.6", "58.7 / 71.1", "32.5 / 42.4"}},
				{"MSE of the noise", "eps-mse", "", 0, []string{"78.9 / 86.7", "74.2 / 75.0", "49.2 / 49.2"}},
				{"angle (ours)", "dood-diffusion", "", 0, []string{"86.7 / 86.7", "76.5 / 76.5", "50.4 / 50.4"}},
			},
			notes: []string{
				"The paper scores single timesteps t. Ours are the first |T| timesteps of the bundle: |T| = 1, and the best |T| evaluated.",
			},
		},
		{
			name: "Sec. 6.5", title: "cost on RoadAnomaly (seconds per image / AP)", metric: cost,
			datasets: []string{roadAnomaly}, encoder: "Segmenter ViT-B trained on Cityscapes",
			entries: []entry{
				{"cDNP", "cdnp", "", 0, []string{"0.170 / 85.6"}},
				{"RbA", "rba", "", 0, []string{"0.124 / 78.5"}},
				{"DOoD |T| = 5", "dood", "", 5, []string{"0.125 / 86.1"}},
				{"DOoD |T| = 10", "dood", "", 10, []string{"0.126 / 87.9"}},
				{"DOoD |T| = 25", "dood", "", 25, []string{"0.322 / 89.1"}},
			},
			notes: []string{
				"The paper's seconds are from an RTX 3090 (4.58 GB for cDNP, 1.30 for RbA, 1.87 for DOoD), ours are the p50 of the " +
					"machine that made the rows. For memory see oodcast bench.",
			},
		},
		{
			name: "Table 2", title: "ten subsets of 90 % of the images (AP / FPR95, mean ± deviation)", metric: bootstrapped,
			datasets: []string{roadAnomaly, static, adeOOD}, encoder: "Segmenter ViT-B on road scenes, " + ade,
			entries: []entry{
				{"cDNP", "cdnp", "", 0, []string{"85.2±0.9 / 13.2±1.7", "62.8±4.0 / 18.9±1.7", "61.6±1.6 / 37.9±1.0"}},
				{"RbA", "rba", "", 0, []string{"78.3±1.0 / 12.2±1.1", "59.8±3.2 / 17.0±3.7", "66.8±1.7 / 82.6±1.8"}},
				{"DOoD", "dood", "", 0, []string{"89.2±0.7 / 9.1±0.7", "74.8±2.7 / 6.1±0.6", "62.9±2.1 / 35.9±0.8"}},
			},
		},
		{
			name: "Table 3", title: "before and after compounding (AP / FPR95)", metric: apFPR,
			datasets: []string{roadAnomaly, static, adeOOD},
			encoder:  "Segmenter ViT-B on RoadAnomaly, SETR ViT-L on Fishyscapes Static; " + ade,
			entries: []entry{
				{"segmentation uncertainty", "lse", "", 0, []string{"63.5 / 33.3", "24.1 / 23.6", "45.9 / 55.3"}},
				{"diffusion only", "dood-diffusion", "", 0, []string{"87.1 / 9.0", "75.2 / 3.9", "48.6 / 44.3"}},
				{"compound", "dood", "", 0, []string{"89.1 / 8.8", "79.3 / 6.5", "63.0 / 36.5"}},
			},
			notes: []string{"The paper adds both scores with weight 1; ours follow the bundle's rule."},
		},
	}
}
