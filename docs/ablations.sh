#!/usr/bin/env bash
# Reruns the ablations of docs/ablations.md: docs/ablations.sh DATA OUT [ROW...]
#
# DATA holds camvid, cityscapes-few, encoders, roadanomaly21, roadobstacle21 and fs_static; OUT takes bundles and
# OUT/ROW.SET.json. Without ROW all rows run: some hours on two cores. What exists already is not made again.
set -euo pipefail
data=${1:?usage: docs/ablations.sh DATA OUT [ROW...]}
out=${2:?usage: docs/ablations.sh DATA OUT [ROW...]}
shift 2
rows=("$@")
oodcast=${OODCAST:-bin/oodcast}
steps=${STEPS:-1500}
mkdir -p "$out"

wanted() { # NAME
	[ ${#rows[@]} = 0 ] && return 0
	for row in "${rows[@]}"; do [ "$row" = "$1" ] && return 0; done
	return 1
}

encoder() { # FEATURES: prints the folder of the import
	local dir=$out/encoder-${1//[@,]/_}
	[ -d "$dir" ] || "$oodcast" models import efficientvit-seg "$data/encoders/efficientvit_seg_b0_cityscapes.pt" \
		--features "$1" --out "$dir" --name b0 >&2
	echo "$dir"
}

fitted() { # NAME FEATURES [fit flags]: prints the folder of the bundle
	local dir=$out/bundle-$1 features=$2
	shift 2
	[ -d "$dir" ] || "$oodcast" fit --bundle "$(encoder "$features")" --out "$dir" --source "$data/camvid/train/images" \
		--source "$data/cityscapes-few/images" --flip --scales 1,1.5 --steps "$steps" "$@" >&2
	echo "$dir"
}

measure() { # NAME BUNDLE [eval flags]
	local name=$1 bundle=$2
	shift 2
	for set in roadanomaly21 roadobstacle21 fs_static; do
		[ -s "$out/$name.$set.json" ] || "$oodcast" eval --dataset "$set" --root "$data/$set" --bundle "$bundle" \
			--json "$out/$name.$set.json" "$@"
	done
}

# A row that changes scoring alone: one bundle, other settings.
scoring() { # NAME [eval flags]
	wanted "$1" || return 0
	measure "$1" "$(fitted default "$default")" "${@:2}"
}

# A row that changes what the calibration measures: the denoiser stays, the calibration is measured again on the
# footage that nothing was trained on.
calibrated() { # NAME SETTING
	wanted "$1" || return 0
	local dir=$out/bundle-$1
	[ -d "$dir" ] || "$oodcast" fit --bundle "$(fitted default "$default")" --calibrate-only --set "$2" --out "$dir" \
		--source "$data/camvid/val/images" --source "$data/cityscapes-few/images"
	measure "$1" "$dir"
}

# A row that trains another denoiser.
trained() { # NAME FEATURES [fit flags]
	wanted "$1" || return 0
	measure "$1" "$(fitted "$@")"
}

default=head@16,stage3@16

scoring timesteps --timesteps 1,2,3,5,8,10,15,25 --method dood --method dood-diffusion --method lse
for upsample in nearest bilinear guided; do scoring "upsample-$upsample" --set "compound.upsample=$upsample"; done
for weight in 0 0.25 0.5 1; do
	scoring "fixed-$weight" --set compound.rule=standardised --set "compound.lse_weight=$weight"
done
for weight in 0.5 0.75 1 1.5 2; do scoring "gated-$weight" --set "compound.lse_weight=$weight"; done
scoring eq8 --set diffusion.aggregate=sqrt_one_minus_alpha_bar

calibrated mse diffusion.score=mse
calibrated independent diffusion.noise=independent
calibrated shared diffusion.noise=shared
for draws in 2 4; do calibrated "draws-$draws" "diffusion.draws=$draws"; done
calibrated first-timesteps "diffusion.timesteps=[$(seq -s, 0 24)]"

trained default "$default"
trained seed-2 "$default" --seed 2
trained head head@16
trained stage3 stage3@16
trained stage4 stage4@16
trained keys keys@16
trained head-stage4 head@16,stage4@16
trained head-stage2-stage3 head@16,stage2@16,stage3@16
trained head-stage3-stage4 head@16,stage3@16,stage4@16
trained global "$default" --normalise global
trained width-192 "$default" --width 192
trained blocks-313 "$default" --blocks 3,1,3
trained no-jitter "$default" --no-jitter
steps=6000 trained steps-6000 "$default"
