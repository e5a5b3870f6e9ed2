#!/usr/bin/env bash
# False alarms on normal footage for each |T| at the default threshold: docs/false-alarms.sh BUNDLE OUT INPUT...
#
# INPUT is footage that the bundle was neither fitted nor calibrated on. Prints, for each |T|, the frames, the share of
# frames in which as much reaches the threshold as an event needs (0.05 % of the picture), the mean share of cells above it, and both as multiples of their median.
set -euo pipefail
bundle=${1:?usage: docs/false-alarms.sh BUNDLE OUT INPUT...}
out=${2:?usage: docs/false-alarms.sh BUNDLE OUT INPUT...}
shift 2
oodcast=${OODCAST:-bin/oodcast}
for n in ${TIMESTEPS:-1 2 3 5 8 10 15 25}; do
	[ -d "$out/$n" ] || "$oodcast" score --bundle "$bundle" --timesteps "$n" --format json --out "$out/$n" -q "$@" >&2
	cat "$out/$n"/*.json | tr ',{}' '\n' | awk -v n="$n" -F: '
		/"peak"/ { peak = $2 } /"threshold"/ { limit = $2 } /"anomalous_part"/ { part = $2 }
		/"anomalous_part"/ { frames++; cells += part; alarms += part >= 0.0005 } # what an event needs
		END { printf "%d %d %.6f %.9f\n", n, frames, alarms / frames, cells / frames }'
done | awk '
	{ n[NR] = $1; frames[NR] = $2; a[NR] = $3; c[NR] = $4 }
	function median(x,  i, j, t, y) {
		for (i = 1; i <= NR; i++) y[i] = x[i]
		for (i = 1; i <= NR; i++) for (j = i + 1; j <= NR; j++) if (y[j] < y[i]) { t = y[i]; y[i] = y[j]; y[j] = t }
		return (y[int((NR + 1) / 2)] + y[int(NR / 2) + 1]) / 2
	}
	END {
		ma = median(a); mc = median(c)
		print "|T| frames alarms ×median cells ×median"
		for (i = 1; i <= NR; i++)
			printf "%d %d %.2f%% %.2f %.4f%% %.2f\n", n[i], frames[i], 100 * a[i], a[i] / (ma ? ma : 1), 100 * c[i], c[i] / (mc ? mc : 1)
	}'
