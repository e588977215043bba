# What both scripts of this directory begin with: a guest without hardware acceleration, with Debian's kernel, its
# whole file system in memory. Sourced, from the top of the repository; `modules_wanted` names what the kernel has to load.
home=target/qemu
root=$home/root
mkdir -p "$home"

missing=
for pair in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio modprobe:kmod ip:iproute2; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # One word, one package.
    # shellcheck disable=SC2086
    apt-get install -q -y --no-install-recommends $missing
fi
cargo build

# The kernel that Debian's meta package means, unpacked and not installed.
package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-/ {print $2; exit}')
if [ ! -d "$home/$package" ]; then
    (cd "$home" && apt-get download -q "$package" && dpkg-deb -x "$package"_*.deb "$package" && rm -f "$package"_*.deb)
fi
kernel=$(echo "$home/$package"/boot/vmlinuz-*)
version=${kernel##*/vmlinuz-}
modules=$home/$package
depmod -b "$modules" "$version"

# The guest's whole file system, in memory.
rm -rf "$root"
mkdir -p "$root/bin" "$root/lib/modules" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/tmp"
cp "$(command -v busybox)" "$root/bin/busybox"
for program in target/debug/floatlock "$(command -v ip)"; do
    # Not `ip`, which busybox has, too.
    cp "$program" "$root/bin/real-$(basename "$program")"
    ldd "$program" | grep -o '/[^ )]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -nL "$library" "$root$library"
    done
done
# In the order in which they have to be loaded.
# shellcheck disable=SC2086,SC2154
for name in $modules_wanted; do
    modprobe -d "$modules" -S "$version" --show-depends "$name" | sed -n 's/^insmod //p'
done | awk '{print $1}' | awk '!seen[$0]++' >"$home/modules"
while read -r module; do
    cp "$module" "$root/lib/modules/"
    basename "$module"
done <"$home/modules" >"$root/lib/modules/order"


# With /init, and whatever else is in $root by now.
pack() {
    chmod 755 "$root/init"
    (cd "$root" && find . | cpio --quiet -o -H newc | gzip -1) >"$home/initrd"
}

# Plays one scenario; what the guest said is in $home/$1.log, each line with the time in seconds.
play() {
    # One word, one argument.
    # shellcheck disable=SC2086,SC2154
    timeout 180 qemu-system-x86_64 -machine q35,accel=tcg -cpu max -m 512 -nographic -no-reboot -nic none \
        -kernel "$kernel" -initrd "$home/initrd" $devices \
        -append "console=ttyS0 quiet panic=-1 scenario=$1" </dev/null 2>&1 |
        while IFS= read -r line; do echo "$(date +%s.%N) $line"; done >"$home/$1.log"
    echo "$(date +%s.%N) ended" >>"$home/$1.log"
    grep -o 'guest: .*' "$home/$1.log" | tr -d '\r' | sed "s/^/$1: /"
}

fail() {
    echo "$1: $2; see $home/$1.log" >&2
    exit 1
}

