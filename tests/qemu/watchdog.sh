#!/bin/sh
# Does a real watchdog reset a host whose agent hangs, and only that one? A guest without hardware acceleration, with
# Debian's kernel and an emulated i6300esb. Needs root, the network for Debian's packages, and two minutes; it is
# no part of tests/run.sh.
#
#   tests/qemu/watchdog.sh              all of them
#   tests/qemu/watchdog.sh frozen       one: frozen, killed, stopped, restarted
set -eu
cd "$(dirname "$0")/../.."
modules_wanted="i6300esb veth sch_ingress cls_bpf"
devices="-device i6300esb -action watchdog=poweroff"
. tests/qemu/guest.sh

cat >"$root/floatlock.toml" <<'FILE'
[cluster]
name = "guest"
nodes = ["guest"]
key-file = "/run/cluster.key"

[node]
name = "guest"
runtime-dir = "/run/floatlock"
state-dir = "/run/state"

# Leases of 5 s: the watchdog is a fence, with 3 s.
[heartbeat]
interval = "1s"
misses = 5

[fencing]
watchdog = "/dev/watchdog"

[[group]]
name = "web"
id = 51
interface = "eth0"
addresses = ["192.0.2.10/24"]
FILE

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
real-ip link set lo up
real-ip link add eth0 type veth peer name eth1
real-ip address add 192.0.2.1/24 dev eth0
real-ip link set eth0 up
real-ip link set eth1 up
(umask 077 && head -c 32 /dev/urandom >/run/cluster.key)
cd /
state() { cat /sys/class/watchdog/watchdog0/state; }
start() { real-floatlock run -c /floatlock.toml >/run/log 2>&1 & agent=$!; }
until_master() {
    for _ in $(seq 300); do
        real-floatlock is-master -c /floatlock.toml web >/dev/null 2>&1 && return
        sleep 0.2
    done
    echo "guest: never MASTER"
    cat /run/log
    poweroff -f
}
echo "guest: before: $(state)"
start
until_master
sleep 1
echo "guest: while MASTER: $(state), $(cat /sys/class/watchdog/watchdog0/timeout) s"
# For longer than the device waits.
sleep 5
scenario=$(sed 's/.*scenario=\([a-z]*\).*/\1/' /proc/cmdline)
case $scenario in
frozen)
    kill -STOP "$agent"
    echo "guest: acts"
    ;;
killed)
    kill -KILL "$agent"
    echo "guest: acts"
    ;;
restarted)
    kill -KILL "$agent"
    start
    until_master
    echo "guest: acts"
    sleep 6
    echo "guest: alive, $(state)"
    kill -TERM "$agent"
    wait "$agent"
    echo "guest: after the stop: $(state)"
    poweroff -f
    ;;
stopped)
    kill -TERM "$agent"
    wait "$agent"
    echo "guest: acts, after the stop: $(state)"
    sleep 6
    echo "guest: alive"
    poweroff -f
    ;;
esac
sleep 30
echo "guest: nobody has reset it"
cat /run/log
poweroff -f
INIT
pack

# From the deed to the end, in tenths of a second.
took() {
    awk '/guest: acts/ {from = $1} /ended$/ {printf "%d\n", ($1 - from) * 10}' "$home/$1.log"
}

for scenario in ${1:-frozen killed stopped restarted}; do
    play "$scenario"
    log=$home/$scenario.log
    grep -q 'guest: before: inactive' "$log" || fail "$scenario" "the device runs before it is needed"
    grep -q 'guest: while MASTER: active, 3 s' "$log" || fail "$scenario" "it does not run while the guest is MASTER"
    case $scenario in
    frozen | killed)
        if grep -q 'nobody has reset' "$log"; then fail "$scenario" "nobody has reset the guest"; fi
        tenths=$(took "$scenario")
        echo "$scenario: reset after $tenths tenths of a second"
        # The device's 3 s, and what an emulated machine takes to end.
        if [ "$tenths" -gt 60 ]; then fail "$scenario" "too late"; fi
        ;;
    *)
        grep -q 'guest: alive' "$log" || fail "$scenario" "a healthy guest was reset"
        grep -q 'after the stop: inactive' "$log" || fail "$scenario" "the device runs on after the stop"
        ;;
    esac
done
echo "all as it should be"
