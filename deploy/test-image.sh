#!/usr/bin/env bash
# Builds the image on a root file system that debootstrap makes and runs TestImage of cmd/oodcast on it. It needs root, Go, ten
# gigabytes in TMPDIR, and Debian's buildah, crun, debootstrap, iproute2 and podman, which it installs. BASE names a root file
# system that is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "test-image.sh: needs root, for debootstrap and network namespaces" >&2; exit 3; }
export DEBIAN_FRONTEND=noninteractive
missing=""
for package in buildah crun debootstrap ffmpeg iproute2 podman; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
# shellcheck disable=SC2086
[ -z "$missing" ] || { apt-get update -qq; apt-get install -y -qq --no-install-recommends $missing >/dev/null; }

work=$(mktemp -d "${TMPDIR:-/tmp}/oodcast-image.XXXXXX")
export CONTAINERS_STORAGE_CONF=$work/storage.conf BUILDAH_ISOLATION=chroot
clean() {
  podman rm --all --force >/dev/null 2>&1 || true
  buildah rm --all >/dev/null 2>&1 || true
  { grep -o "$work[^ ]*" /proc/self/mounts || true; } | sort -r | while read -r place; do umount "$place" || umount -l "$place"; done
  rm -rf --one-file-system "$work"
}
trap clean EXIT

# Storage of its own, with overlay where the kernel lets us and plain copies elsewhere.
for driver in overlay vfs; do
  printf '[storage]\ndriver = "%s"\ngraphroot = "%s/storage"\nrunroot = "%s/run"\n' $driver "$work" "$work" >"$CONTAINERS_STORAGE_CONF"
  if container=$(buildah from scratch 2>/dev/null) && buildah mount "$container" >/dev/null 2>&1; then buildah rm "$container" >/dev/null; break; fi
  rm -rf "$work/storage" "$work/run"
done

if [ -z "${BASE:-}" ]; then
  BASE=$work/root
  echo "debootstrap bookworm"
  debootstrap --variant=minbase bookworm "$BASE" >"$work/debootstrap.log" || { tail "$work/debootstrap.log" >&2; exit 1; }
fi
export BASE IMAGE=localhost/oodcast-test TOOL=buildah
SECONDS=0
make --no-print-directory image >"$work/build.log" 2>&1 || { tail -n 50 "$work/build.log" >&2; exit 1; }
echo "built on $driver in $SECONDS s"
du -sm "$work" | awk '{print $1 " MB on disk"}'

# A network of its own, with the address of a host that is not loopback, so that ports are free and nothing gets out. crun takes
# only the second version of cgroups, which a machine may have beside the first.
export OODCAST_IMAGE=$IMAGE OODCAST_IMAGE_HOST=192.0.2.1
unshare --mount --net bash -euo pipefail -c '
  ip link set lo up
  ip link add oodcast0 type bridge
  ip address add $OODCAST_IMAGE_HOST/24 dev oodcast0
  ip link set oodcast0 up
  [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
  go test -count=1 -timeout 10m -run "^TestImage$" -v ./cmd/oodcast'
