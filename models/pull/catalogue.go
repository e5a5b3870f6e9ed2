package pull

import (
	"slices"
	"strings"
)

// Network is a published network that an import reads.
type Network struct {
	Name       string   `json:"name"`
	References []string `json:"references"`
	Import     string   `json:"import"` // the verb of oodcast models import
	Megabytes  int      `json:"megabytes"`
	Licence    string   `json:"licence"` // as its card stated it when this list was made
	Purpose    string   `json:"purpose"`

	Fetch string `json:"fetch,omitempty"` // the command that fetches Path, for a network without References
	Path  string `json:"path,omitempty"`
}

// Command returns the command that imports the network to the folder dir.
func (n Network) Command(dir string) string {
	command, what := "oodcast models import "+n.Import, n.Name
	switch {
	case n.Fetch != "":
		command, what = n.Fetch+" && "+command, n.Path
	case len(n.References) == 2: // a segmentation network and its denoiser
		what = "--segm " + n.References[0] + " --diff " + n.References[1]
	}
	return strings.Join([]string{command, what, "--out", dir}, " ")
}

// Catalogue lists networks by name. Sizes are those of the weights in float32.
func Catalogue() []Network {
	const (
		segformer = "NVIDIA Source Code License for SegFormer: not commercial (card: other)"
		apache    = "apache-2.0"
		other     = "other: see its card"
		unstated  = "none stated"
	)
	hub := func(name, importer string, mb int, licence, repo, purpose string) Network {
		return Network{Name: name, References: []string{"hf:" + repo}, Import: importer, Megabytes: mb, Licence: licence, Purpose: purpose}
	}
	dood := func(name string, mb int, file, purpose string) Network {
		const base = "https://lmb.informatik.uni-freiburg.de/resources/binaries/eccv24_dood/"
		return Network{
			Name: name, References: []string{base + file + "_segm.pth", base + file + "_diff.pth"}, Import: "dood", Megabytes: mb,
			Licence: unstated, Purpose: purpose,
		}
	}
	lite := func(size string, mb int) Network {
		return Network{
			Name: "efficientnet-" + size, Import: "efficientnet-lite", Megabytes: mb, Licence: apache,
			Purpose: "any footage: features of ImageNet's classes, very quick", Fetch: "make deps-lite", Path: ".deps/efficientnet-" + size + ".pth",
		}
	}
	return []Network{
		hub("segformer-b0-cityscapes", "segformer", 15, segformer, "nvidia/segformer-b0-finetuned-cityscapes-1024-1024", "roads, the smallest and quickest"),
		hub("segformer-b2-cityscapes", "segformer", 110, segformer, "nvidia/segformer-b2-finetuned-cityscapes-1024-1024", "roads, a good middle"),
		hub("segformer-b5-cityscapes", "segformer", 339, segformer, "nvidia/segformer-b5-finetuned-cityscapes-1024-1024", "roads, offline"),
		hub("segformer-b0-ade", "segformer", 15, segformer, "nvidia/segformer-b0-finetuned-ade-512-512", "rooms, streets, nature: 150 classes, the quickest"),
		hub("segformer-b2-ade", "segformer", 110, segformer, "nvidia/segformer-b2-finetuned-ade-512-512", "rooms, streets, nature: 150 classes"),
		hub("segformer-b5-ade", "segformer", 339, segformer, "nvidia/segformer-b5-finetuned-ade-640-640", "rooms, streets, nature: 150 classes, offline"),
		hub("dinov2-s", "vit", 88, apache, "facebook/dinov2-small", "any footage: features alone, quick"),
		hub("dinov2-b", "vit", 346, apache, "facebook/dinov2-base", "any footage: features alone"),
		hub("dinov2-l", "vit", 1217, apache, "facebook/dinov2-large", "any footage: features alone, offline or on a GPU"),
		hub("deit-s", "vit", 88, apache, "facebook/deit-small-patch16-224", "any footage: features of ImageNet's classes, quick"),
		hub("deit-b", "vit", 346, apache, "facebook/deit-base-patch16-224", "any footage: features of ImageNet's classes"),
		hub("resnet50", "resnet", 102, apache, "timm/resnet50.a1_in1k", "any footage: features of ImageNet's classes, a network of convolutions"),
		lite("lite0", 19), lite("lite2", 25),
		hub("mask2former-t-cityscapes", "mask2former", 190, other, "facebook/mask2former-swin-tiny-cityscapes-semantic", "roads: masks, for rba, maskomaly and m2a"),
		hub("mask2former-l-cityscapes", "mask2former", 866, other, "facebook/mask2former-swin-large-cityscapes-semantic", "roads: masks, as in the papers, offline"),
		hub("mask2former-l-ade", "mask2former", 866, other, "facebook/mask2former-swin-large-ade-semantic", "rooms, streets, nature: masks, 150 classes"),
		dood("dood-segmenter-b-cityscapes", 560, "segmenter_vit-b_cityscapes", "roads: the paper's Segmenter with its denoiser"),
		dood("dood-setr-l-cityscapes", 1540, "setr_vit-l_cityscapes", "roads: the paper's SETR with its denoiser"),
		dood("dood-setr-l-ade", 1530, "setr_vit-l_ade20k", "rooms, streets, nature: the paper's SETR with its denoiser"),
	}
}

// Find returns the network of a name.
func Find(name string) (Network, bool) {
	list := Catalogue()
	i := slices.IndexFunc(list, func(n Network) bool { return n.Name == name })
	if i < 0 {
		return Network{}, false
	}
	return list[i], true
}
