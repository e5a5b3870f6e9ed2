#!/usr/bin/env bash
# Builds the image; `make image` calls it. Settings, from the environment:
#   IMAGE       its name (oodcast)
#   TOOL        buildah or docker; by default the one that is there. buildah needs neither root nor a daemon.
#   BASE        Debian 12: the name of an image, or a folder or tar file with a root file system, such as debootstrap makes
#   GO          Go: the name of an image with /usr/local/go, or a folder (`go env GOROOT`, the default where BASE is a file)
#   CA_FILE     certificates to trust during the build, such as a proxy's ($SSL_CERT_FILE)
#   GOPROXY, GOSUMDB, GONOSUMDB, NPM_CONFIG_REGISTRY, PIP_INDEX_URL: those in use here
#   IMAGE_FLAGS more flags for the build
# buildah also reads BUILDAH_ISOLATION and STORAGE_DRIVER: chroot and vfs work inside a container.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${IMAGE:-oodcast}
CA_FILE=${CA_FILE:-${SSL_CERT_FILE:-}}
if command -v go >/dev/null; then
  [ ! -e "${BASE:-}" ] || GO=${GO:-$(go env GOROOT)}
  GOPROXY=$(go env GOPROXY) GOSUMDB=$(go env GOSUMDB) GONOSUMDB=$(go env GONOSUMDB)
fi
if command -v npm >/dev/null; then NPM_CONFIG_REGISTRY=$(npm config get registry); fi
if command -v pip3 >/dev/null; then PIP_INDEX_URL=${PIP_INDEX_URL:-$(pip3 config get global.index-url 2>/dev/null || true)}; fi
tool=${TOOL:-}
if [ -z "$tool" ]; then
  if command -v buildah >/dev/null; then tool=buildah
  elif docker info >/dev/null 2>&1; then tool=docker
  else echo "image.sh: neither buildah nor a docker daemon is here; install buildah (Debian: apt-get install buildah)" >&2; exit 3; fi
fi

# import makes the image $1 of the folder or tar file $2, with $2's content in $3.
import() {
  local container
  echo "importing $2 as $1" >&2
  case $tool in
    buildah)
      container=$(buildah from scratch)
      if ! buildah add --quiet "$container" "$2" "$3" >/dev/null || ! buildah commit --quiet "$container" "$1" >/dev/null; then
        buildah rm "$container" >/dev/null
        return 1
      fi
      buildah rm "$container" >/dev/null ;;
    docker)
      if [ -d "$2" ]; then tar -C "$2" --transform "s,^\.,.$3," -c . | docker import - "$1" >/dev/null
      else docker import "$2" "$1" >/dev/null; fi ;;
  esac
}

args=()
if [ -e "${BASE:-}" ]; then
  import localhost/oodcast-base "$BASE" /
  BASE=localhost/oodcast-base
fi
if [ -d "${GO:-}" ]; then
  import localhost/oodcast-go "$(readlink -f "$GO")" /usr/local/go
  GO=localhost/oodcast-go
fi
for name in BASE GO VERSION GOPROXY GOSUMDB GONOSUMDB NPM_CONFIG_REGISTRY PIP_INDEX_URL; do
  [ -z "${!name:-}" ] || args+=(--build-arg "$name=${!name}")
done
[ -z "${CA_FILE:-}" ] || args+=(--secret "id=ca,src=$CA_FILE")
read -ra more <<<"${IMAGE_FLAGS:-}"
case $tool in
  # An OCI image has no health check.
  buildah) exec buildah build --format docker --tag "$image" "${args[@]}" "${more[@]}" . ;;
  docker) exec docker build --tag "$image" "${args[@]}" "${more[@]}" . ;;
  *) echo "image.sh: TOOL=$tool: want buildah or docker" >&2; exit 2 ;;
esac
