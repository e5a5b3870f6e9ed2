#!/bin/sh
# build.sh NAME DATA PRODUCTS LITE OUT: makes the built-in bundle NAME (roadscene or roadscene-l) from footage and trained weights.
#   DATA      folder with camvid, cityscapes-few and cityscapes-more
#   PRODUCTS  folder with liteN.safetensors (the heads) and segmenter.safetensors, made by roadscene-l/recipe/make.sh
#   LITE      folder with efficientnet-lite0.pth and -lite2.pth (make deps-lite: .deps)
#   OUT       folder for the whole bundle; models/bundles/NAME gets what may be published of it
# OODCAST names the program (bin/oodcast). Takes 3 to 6 minutes on two cores.
set -eu
[ $# -eq 5 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
name=$1 data=$2 products=$3 lite=$4 out=$5
here=$(cd "$(dirname "$0")" && pwd)
oodcast=${OODCAST:-$here/../../bin/oodcast}
case $name in
roadscene) net=0 features=stage6@32 purpose="road scenes, the default" ms=67 ;;
roadscene-l) net=2 features=stage6@16 purpose="road scenes, best detection" ms=158 ;;
*) echo "build.sh: unknown bundle $name" >&2; exit 2 ;;
esac
weights=$lite/efficientnet-lite$net.pth
if [ ! -d "$out/$name" ]; then # otherwise only the card and the part are made again
	"$oodcast" models import efficientnet-lite "$weights" --features "$features" --heads "$products/lite$net.safetensors" \
		--segmenter "$products/segmenter.safetensors" --half --name "$name" --out "$out/$name.encoder"
	"$oodcast" fit --bundle "$out/$name.encoder" --source "$data/camvid/train/images" --source "$data/cityscapes-few/images" \
		--source "$data/cityscapes-more/images" --flip --size 1024x512 --whiten --drop-components 96 --steps 4000 --seed "${SEED:-1}" \
		--no-check --out "$out/$name"
fi
cp "$here/$name/MODEL_CARD.md" "$out/$name/"
# The card is written by hand: its checksum and the notes of models list go into the manifest.
python3 - "$out/$name" "$purpose" "$ms" <<'P'
import hashlib, os, re, sys
folder, purpose, ms = sys.argv[1:]
name = os.path.basename(folder)
card = open(os.path.join(folder, "MODEL_CARD.md"), "rb").read()
path = os.path.join(folder, "bundle.yaml")
text = open(path).read()
entry = f"MODEL_CARD.md:\n    sha256: {hashlib.sha256(card).hexdigest()}\n    bytes: {len(card)}\n"
text = re.sub(r"MODEL_CARD\.md:\n    sha256: \w+\n    bytes: \d+\n", entry, text)
text = re.sub(r"\n  (purpose|licence|trained_on|speed): [^\n]*", "", text)
notes = {
    "purpose": purpose,
    "licence": "Apache-2.0 (the weights; the data is academic, see MODEL_CARD.md)",
    "speed": f"{ms} ms a frame at 1024x512, five timesteps, two CPU cores",
    "trained_on": "ImageNet (encoder, published); CamVid and 16 Cityscapes images (heads, segmenter, denoiser)",
}
if name == "roadscene":  # 2 was the bundle that is now roadscene-s
    text = text.replace('version: "1"', 'version: "3"', 1)
text = text.replace("\nprovenance:\n", "\nprovenance:\n" + "".join(f"  {k}: {v}\n" for k, v in notes.items()))
open(path, "w").write(text)
P
"$oodcast" models verify "$out/$name"
"$oodcast" models strip "$out/$name" --weights "$weights" --out "$out/$name.part"
cp "$out/$name.part"/* "$here/$name/"
