//! What does it cost to look whether the gate is whole? Ten times a second it is asked.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use floatlock::gate::{Gate, Level, Look, Want};
use floatlock::lab::Lab;
use floatlock::net::rtnl::Rtnl;
use nix::time::{ClockId, clock_gettime};

use crate::bench::SOON;

const LOOKS: u32 = 50;
/// Between two times that it is asked.
const EVERY: Duration = Duration::from_millis(100);
/// Between two looks at everything, at least.
const WHOLE_EVERY: Duration = Duration::from_secs(1);

/// Of the time of a processor, in a hundredth: two addresses in each group.
fn percent(level: Level, groups: usize, interfaces: usize) -> f64 {
    let lab = Lab::new().expect("a laboratory: needs root");
    let host = lab.host("lb-a").unwrap();
    for number in 0..interfaces / 2 {
        let script = format!("ip link add a{number} type veth peer name b{number}");
        host.sh(&script).unwrap();
    }
    let look = move || {
        let mut rtnl = Rtnl::open().unwrap();
        let want = Want {
            groups: groups + 1,
            room: groups * 2,
            addresses: &[],
            handle: 7,
        };
        let (gate, writer) = Gate::install(level, &want, &mut rtnl).unwrap();
        let writer = writer.map(|writer| std::thread::spawn(move || writer.run(&|| {})));
        for slot in 1..=groups {
            let number = u8::try_from(slot).unwrap();
            let two = [1, 2].map(|net| (IpAddr::V4(Ipv4Addr::new(10, 77, net, number)), 0));
            gate.cover(&two, slot).unwrap();
            gate.shutter(slot).unwrap().arm();
            gate.settle(slot, SOON).unwrap();
        }
        let whole = each(|| {
            let links = rtnl.links().unwrap();
            assert_eq!(
                gate.whole(&mut rtnl, &links, Look::Full).unwrap().len(),
                interfaces
            );
        });
        let untouched = each(|| {
            let links = rtnl.links().unwrap();
            let is_untouched = gate.is_untouched(&links).unwrap();
            assert_eq!(is_untouched, level == Level::Nftables);
        });
        gate.end();
        writer.map(|writer| writer.join());
        let share = |cost: Duration, every: Duration| cost.as_secs_f64() / every.as_secs_f64();
        let used = match level {
            Level::Bpf => share(whole, EVERY),
            Level::Nftables => share(whole, WHOLE_EVERY) + share(untouched, EVERY),
        };
        println!(
            "{level}, {groups} groups, {interfaces} interfaces: {whole:?}, untouched: {untouched:?}, {:.2} %",
            used * 100.0
        );
        used * 100.0
    };
    host.run(look).unwrap()
}

/// The time of a processor that each of many takes.
fn each(mut act: impl FnMut()) -> Duration {
    let used = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let began = used();
    (0..LOOKS).for_each(|_| act());
    (used() - began) / LOOKS
}

#[test]
fn the_looks_at_the_gate_take_less_than_a_hundredth_of_a_processor() {
    for level in [Level::Bpf, Level::Nftables] {
        for (groups, interfaces) in [(1, 3), (250, 3)] {
            let percent = percent(level, groups, interfaces);
            assert!(percent < 1.0, "{level}, {groups} groups: {percent} %");
        }
    }
}
