#!/bin/sh
# Every test, and before it whatever it needs: one command on a fresh Debian 12 with Rust and gcc.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
    echo "tests/run.sh: needs root: the tests make network namespaces and install packages." >&2
    echo "Run it as root, or: sudo env HOME=\"\$HOME\" PATH=\"\$PATH\" tests/run.sh" >&2
    exit 4
fi
# Administrators' programs, and where rustup puts its own.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
export PATH

for program in cargo rustfmt cargo-clippy cc; do
    if ! command -v "$program" >/dev/null; then
        echo "tests/run.sh: there is no $program: install Rust 1.88 or later (https://rustup.rs)" >&2
        echo "with rustfmt and clippy, and gcc (apt-get install gcc libc6-dev)." >&2
        exit 1
    fi
done

# Prints the package of every program that is missing.
missing() {
    while read -r program package; do
        command -v "$program" >/dev/null || echo "$package"
    done <<'TABLE'
ip iproute2
setpriv util-linux
losetup mount
nft nftables
tshark tshark
keepalived keepalived
haproxy haproxy
TABLE
}

# Debian starts what it installs. The tests want the programs, not a second VRRP router here.
install_quietly() (
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    # tshark would ask who may capture.
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q </dev/null
    apt-get install -q -y --no-install-recommends "$@" </dev/null
)

step() {
    echo "== $*"
    "$@"
}

packages=$(missing)
if [ -n "$packages" ]; then
    # One word, one package.
    # shellcheck disable=SC2086
    step install_quietly $packages
fi

step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
# All of them, whatever fails: one run tells everything.
step cargo test --locked --no-fail-fast
RUSTDOCFLAGS="-D warnings"
export RUSTDOCFLAGS
step cargo doc --no-deps --locked
echo "== all tests passed"
