#!/bin/sh
# Does a wall clock that is set by hours change who is MASTER? A pair in a guest of its own, since a machine has one wall
# clock only. Needs root, the network for Debian's packages, and three minutes; it is no part of tests/run.sh.
#
#   tests/qemu/clock.sh              both
#   tests/qemu/clock.sh native       one: native, vrrp3
set -eu
cd "$(dirname "$0")/../.."
modules_wanted="veth sch_ingress cls_bpf"
devices=
. tests/qemu/guest.sh

for node in a b; do
    for protocol in native vrrp3; do
        cat >"$root/$protocol-$node.toml" <<FILE
[cluster]
name = "guest"
nodes = ["a", "b"]
key-file = "/run/cluster.key"

[node]
name = "$node"
runtime-dir = "/run/$node"
state-dir = "/run/state-$node"

[heartbeat]
protocol = "$protocol"
interval = "500ms"
misses = 5

[[group]]
name = "web"
id = 51
interface = "eth0"
priority = $([ $node = a ] && echo 150 || echo 100)
addresses = ["192.0.2.10/24"]
FILE
    done
done

cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
for module in $(cat /lib/modules/order); do
    insmod "/lib/modules/$module" || echo "guest: no $module"
done
protocol=$(sed 's/.*scenario=\([a-z0-9]*\).*/\1/' /proc/cmdline)
(umask 077 && head -c 32 /dev/urandom >/run/cluster.key)
cd /
give_up() {
    echo "guest: $1"
    sed 's/^/a: /' /run/log-a
    sed 's/^/b: /' /run/log-b
    poweroff -f
}
real-ip netns add a
real-ip netns add b
real-ip link add eth0 netns a type veth peer name eth0 netns b
for node in a b; do
    real-ip -n $node link set lo up
    real-ip -n $node address add 192.0.2.$([ $node = a ] && echo 1 || echo 2)/24 dev eth0
    real-ip -n $node link set eth0 up
done
start() { real-ip netns exec "$1" real-floatlock run -c "/$protocol-$1.toml" >"/run/log-$1" 2>&1 & }
is_master() { real-floatlock is-master -c "/$protocol-$1.toml" web >/dev/null 2>&1; }
until_master() {
    for _ in $(seq 300); do
        is_master "$1" && return
        sleep 0.2
    done
    give_up "$1 never became MASTER"
}
changes() { cat /run/log-a /run/log-b | grep -c ' -> '; }
set_by() {
    was=$(date +%s)
    date -s "@$((was + $1))" >/dev/null
    off=$(($(date +%s) - was - $1))
    [ "$off" -ge 0 ] && [ "$off" -le 2 ] || give_up "the wall clock cannot be set"
}
uptime() { cut -d. -f1 /proc/uptime; }
start a
agent=$!
until_master a
start b
for _ in $(seq 300); do
    grep -q 'BACKUP' /run/log-b && break
    sleep 0.2
done
# Longer than anybody is waited for.
sleep 5
before=$(changes)
for by in 3600 -3600 86400 -7200 -79200 1 -1; do
    set_by $by
    sleep 4
done
echo "guest: roles changed $(($(changes) - before)) times"
is_master a || give_up "a is MASTER no more"
kill -9 "$agent" 2>/dev/null || true
from=$(uptime)
set_by -3600
sleep 1
set_by 7200
until_master b
echo "guest: b took over within $(($(uptime) - from)) s of a clock that nobody sets"
poweroff -f
INIT
pack

for scenario in ${1:-native vrrp3}; do
    play "$scenario"
    log=$home/$scenario.log
    grep -q 'guest: roles changed 0 times' "$log" || fail "$scenario" "the wall clock changed a role"
    took=$(sed -n 's/.*guest: b took over within \([0-9]*\) s.*/\1/p' "$log")
    # 2.5 s of silence, and what an emulated machine takes for the rest.
    if [ "${took:-99}" -gt 8 ]; then fail "$scenario" "no takeover in time: ${took:-never} s"; fi
done
echo "all as it should be"
