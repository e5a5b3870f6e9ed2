#!/bin/sh
# Decodes, trains, measures:  make.sh DATA OUT PHOTOS [MINUTES]
# DATA: camvid, cityscapes-few, clips, encoders; PHOTOS: unpacked packages (see README.md).
set -eu
[ $# -ge 3 ] || { echo "usage: make.sh DATA OUT PHOTOS [MINUTES]" >&2; exit 2; }
data=$1 out=$2 photos=$3 minutes=${4:-80}
here=$(dirname "$0")
python=${PYTHON:-/usr/bin/python3}
teacher=$data/encoders/efficientvit_seg_b0_cityscapes.pt
export OPENBLAS_NUM_THREADS=1 OMP_WAIT_POLICY=passive

[ -f "$out/cache/index.json" ] || "$python" "$here/prepare.py" --data "$data" --cache "$out/cache" \
	--opencv "${OPENCV_DATA:-/usr/share/doc/opencv-doc/examples/data}" \
	--photos "$photos/mate-backgrounds" "$photos/lomiri-wallpapers-16.04" "$photos/lomiri-wallpapers-20.04" \
	--stamps "$photos/tuxpaint-stamps-default"
"$python" "$here/train.py" --teacher "$teacher" --cache "$out/cache" --out "$out" --minutes "$minutes"
"$python" "$here/evaluate.py" --data "$data" --teacher "$teacher" --student "$out/student.pt"
