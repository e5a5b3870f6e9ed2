#!/usr/bin/env bash
# Builds the image on a root file system that debootstrap makes and runs TestImage of cmd/oodcast on it. It needs root, Go, ten
# gigabytes in TMPDIR, and Debian's buildah, crun, debootstrap, docker-compose, ffmpeg, iproute2 and podman, which it installs. Settings,
# from the environment: BASE, a root file system that is there already; IMAGE, an image of podman's to test instead of building one.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "test-image.sh: needs root, for debootstrap and network namespaces" >&2; exit 3; }
missing=""
for package in buildah crun debootstrap docker-compose ffmpeg iproute2 podman; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
if [ -n "$missing" ]; then
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/oodcast-image.XXXXXX")

clean() {
  if [ -e "$work/storage.conf" ]; then
    podman rm --all --force >/dev/null 2>&1 || true
    buildah rm --all >/dev/null 2>&1 || true
    { grep -o " $work[^ ]*" /proc/self/mounts || true; } | sort -r | while read -r place; do umount -l "$place"; done
  fi
  rm -rf --one-file-system "$work"
}
trap clean EXIT

# Nothing here can run compose.yaml, but Compose can read it.
TOKEN=0123456789abcdef NATS_PASSWORD=n0123456789abcdef docker-compose --file compose.yaml config --quiet

# storage gives buildah and podman a store of their own: overlays where the kernel allows them, plain copies elsewhere.
storage() {
  local driver container
  export CONTAINERS_STORAGE_CONF=$work/storage.conf BUILDAH_ISOLATION=chroot
  for driver in overlay vfs; do
    printf '%s\n' '[storage]' "driver = \"$driver\"" "graphroot = \"$work/storage\"" "runroot = \"$work/run\"" >"$CONTAINERS_STORAGE_CONF"
    if container=$(buildah from scratch 2>/dev/null) && buildah mount "$container" >/dev/null 2>&1; then
      buildah rm "$container" >/dev/null
      break
    fi
    rm -rf "$work/storage" "$work/run"
  done
  echo "storage: $driver"
}

if [ -z "${IMAGE:-}" ]; then
  storage
  if [ -z "${BASE:-}" ]; then
    BASE=$work/root
    SECONDS=0
    debootstrap --variant=minbase bookworm "$BASE" >"$work/debootstrap.log" || { tail "$work/debootstrap.log" >&2; exit 1; }
    echo "debootstrap: $SECONDS s"
  fi
  export BASE IMAGE=localhost/oodcast-test TOOL=buildah
  SECONDS=0
  make --no-print-directory image >"$work/build.log" 2>&1 || { tail -n 50 "$work/build.log" >&2; exit 1; }
  echo "make image: $SECONDS s, $(du -smx --exclude=merged "$work" | cut -f1) MB of disk"
fi

# The test has a network of its own, in which the image's ports are free, with a host address that is not loopback. crun refuses
# machines with both versions of cgroups, so it sees the second one only; and it gives the /dev/null that it is started with to the
# container's user, so that is not the machine's.
export OODCAST_IMAGE=$IMAGE OODCAST_IMAGE_HOST=192.0.2.1 work
unshare --mount --net bash -euo pipefail -c '
  ip link set lo up
  ip link add oodcast0 type bridge
  ip address add "$OODCAST_IMAGE_HOST/24" dev oodcast0
  ip link set oodcast0 up
  mkdir "$work/dev"
  mount -t tmpfs tmpfs "$work/dev"
  mknod -m 0666 "$work/dev/null" c 1 3
  mount --bind "$work/dev/null" /dev/null
  [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
  go test -count=1 -timeout 10m -run "^TestImage$" -v ./cmd/oodcast'
