#!/usr/bin/env bash
# Collects the root file system of the image in the folder $1: bin/oodcast, bin/libonnxruntime.so.1 and bin/bundles, the shared
# libraries that they load, and the few files that a program expects of a system. It runs in the Dockerfile's build stage, in the source folder.
set -euo pipefail
root=$1
uid=10001 # also in the Dockerfile

# copy copies the file or folder $1, and what links point to, to the place $2 below $root.
copy() {
  mkdir -p "$root${2%/*}"
  cp -rL "$1" "$root$2"
}

# add copies the file $1 to the same place below $root, and notes what it really is.
files=()
add() {
  copy "$1" "$(readlink -f "${1%/*}")/${1##*/}" # /lib is a link to /usr/lib
  files+=("$(readlink -f "$1")")
}

mkdir -p "$root"/{dev,etc,proc,run,sys,usr/{bin,lib,lib64,sbin},var/lib/dpkg/status.d}
for dir in bin lib lib64 sbin; do ln -s "usr/$dir" "$root/$dir"; done
install -d -m 1777 "$root/tmp" "$root/var/tmp"
install -d -m 0750 -o $uid -g $uid "$root/var/lib/oodcast"

install -D -t "$root/usr/local/lib/oodcast" bin/oodcast
install -D -t "$root/usr/local/lib/oodcast" -m 0644 bin/libonnxruntime.so.1
[ ! -d bin/bundles ] || cp -r bin/bundles "$root/usr/local/lib/oodcast/" # absent where PyPI could not be reached
mkdir -p "$root/usr/local/bin"
ln -s ../lib/oodcast/oodcast "$root/usr/local/bin/oodcast"
install -D -t "$root/etc/oodcast" -m 0644 configs/*.yaml

libraries=$(ldd bin/oodcast bin/libonnxruntime.so.1 | awk '$2 == "=>" {print $3} $1 ~ "^/.*ld-linux" {print $1}' | sort -u)
if grep -qv '^/' <<<"$libraries"; then
  echo "rootfs.sh: a shared library is missing:" >&2
  ldd bin/oodcast bin/libonnxruntime.so.1 | grep 'not found' >&2
  exit 1
fi
for library in $libraries; do add "$library"; done

add /bin/busybox
for applet in $(busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$root/usr/bin/$applet"
done
add /etc/ssl/certs/ca-certificates.crt
copy /usr/share/zoneinfo /usr/share/zoneinfo
rm -rf "$root"/usr/share/zoneinfo/{posix,right}
copy /etc/os-release /etc/os-release
printf '%s\n' "root:x:0:0:root:/root:/bin/sh" "oodcast:x:$uid:$uid:oodcast:/var/lib/oodcast:/bin/sh" >"$root/etc/passwd"
printf '%s\n' "root:x:0:" "video:x:44:oodcast" "oodcast:x:$uid:" >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
copy /etc/ld.so.conf /etc/ld.so.conf
copy /etc/ld.so.conf.d /etc/ld.so.conf.d
ldconfig -r "$root"

# Each package keeps its licence, and its entry where scanners of images without dpkg look for it. dpkg knows some files without
# the /usr that they are found in.
{
  dpkg-query -S "${files[@]}" "${files[@]#/usr}" 2>/dev/null || true
  printf '%s: \n' ca-certificates tzdata
} | sed -n 's/^\([a-z0-9.+:-]*\): .*/\1/p' | sort -u >/tmp/packages
while read -r package; do
  name=${package%%:*}
  dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$name"
  [ ! -e "/usr/share/doc/$name/copyright" ] || copy "/usr/share/doc/$name/copyright" "/usr/share/doc/$name/copyright"
done </tmp/packages
echo "$(wc -l </tmp/packages) packages, $(du -sm "$root" | cut -f1) MB"
