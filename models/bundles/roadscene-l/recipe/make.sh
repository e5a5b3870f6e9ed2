#!/bin/sh
# make.sh PRODUCT DATA OUT [NETWORK [WEIGHTS]]
# One command per product; each reads what the ones before it left in OUT.
#   segmenter               OUT/segmenter.safetensors: EfficientViT-Seg-B0 fine-tuned on CamVid
#   cells NETWORK WEIGHTS   OUT/NETWORK/cells.npz and OUT/NETWORK/reference: features
#   heads NETWORK           OUT/NETWORK/OBJECTIVE.safetensors, for each of the network's objectives
#   export NETWORK          OUT/NETWORK.safetensors: whitening, heads, calibration
#   all NETWORK WEIGHTS     all of the above
# DATA holds camvid, cityscapes-few, cityscapes-more and encoders. NETWORK is lite2 (roadscene-l) or lite0 (roadscene);
# WEIGHTS is its efficientnet-liteN.pth, which make deps-lite fetches. PYTHON and THREADS (2) may be set.
set -eu
usage() {
	sed -n 's/^# \{0,1\}//p' "$0" | grep -v '^!' >&2
	exit 2
}
[ $# -ge 3 ] || usage
product=$1 data=$2 out=$3 network=${4:-} weights=${5:-}
here=$(dirname "$0")
teacher=$data/encoders/efficientvit_seg_b0_cityscapes.pt
export OMP_WAIT_POLICY=passive

step() {
	script=$1
	shift
	"${PYTHON:-python3}" "$here/$script.py" "$@" --threads "${THREADS:-2}"
}
segmenter() {
	step finetune --data "$data" --teacher "$teacher" --out "$out/segmenter.safetensors"
}
cells() {
	step cells "$network" --data "$data" --encoder "$weights" --teacher "$teacher" --out "$out/$network"
}
heads() {
	step heads "$network" --work "$out/$network"
}
bundle() {
	step export "$network" --work "$out/$network" --segmenter "$out/segmenter.safetensors" \
		--out "$out/$network.safetensors"
}

mkdir -p "$out"
case $product in
segmenter) segmenter ;;
cells) cells ;;
heads) heads ;;
export) bundle ;;
all)
	[ -f "$out/segmenter.safetensors" ] || segmenter
	cells
	heads
	bundle
	;;
*) usage ;;
esac
