//! What happened in a row that failed? Lines, adverts and stops in one order.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use floatlock::core::Instant;
use floatlock::lab::{Advert, Process};

/// Lines that are shown of each program.
const LINES: usize = 60;

/// Asks what held up each thread of the agent on the host where this runs: pages that had to be read
/// from the disk, and other work on the cores. Neither need stop the whole machine.
pub(crate) const HELD_UP: &str = r#"
here=$(readlink /proc/self/ns/net)
for process in /proc/[0-9]*; do
    [ "$(readlink $process/ns/net)" = "$here" ] || continue
    case $(readlink $process/exe) in */keepalived | */floatlock) ;; *) continue ;; esac
    for task in $process/task/[0-9]*; do
        set -- $(sed 's/.*) //' $task/stat) && faults=${10} && set -- $(cat $task/schedstat) &&
            echo "  $(cat $task/comm): $faults major faults, $(($2 / 1000000)) ms without a core"
    done
done 2>/dev/null
true"#;

/// Everything that is to be told, in the order in which it happened.
#[derive(Debug, Default)]
pub(crate) struct Report {
    told: Vec<(Instant, String)>,
}

impl Report {
    /// A program's last lines, at the times at which they were read.
    pub(crate) fn lines(&mut self, process: &Process) {
        let lines = process.lines();
        let from = lines.len().saturating_sub(LINES);
        let last = lines.into_iter().skip(from);
        let name = process.name();
        let told = last.map(|line| (line.at, format!("{name}: {}", line.text)));
        self.told.extend(told);
    }

    /// Adverts as they were captured at one place, at the kernel's receive stamps: each that does
    /// not just follow the one before it in its rhythm, and the last of each sender.
    pub(crate) fn adverts(&mut self, place: &str, adverts: &[Advert], interval: Duration) {
        let mut before: HashMap<(&str, IpAddr), &Advert> = HashMap::new();
        for advert in adverts {
            let last = before.insert((&advert.from, advert.source), advert);
            let note = match last {
                None => "its first".to_owned(),
                Some(last) => {
                    let gap = advert.at.since(last.at);
                    if gap <= interval * 5 / 4 && last.priority == advert.priority {
                        continue;
                    }
                    format!("{} ms after its last", gap.as_millis())
                }
            };
            self.advert(place, advert, &note);
        }
        for advert in before.into_values() {
            self.advert(place, advert, "nothing more so far");
        }
    }

    fn advert(&mut self, place: &str, advert: &Advert, note: &str) {
        let Advert {
            at,
            from,
            source,
            priority,
            ..
        } = advert;
        let text =
            format!("  at {place}: advert of {from} ({source}), priority {priority}, {note}");
        self.told.push((*at, text));
    }

    /// When the machine stood still, and for how long.
    pub(crate) fn stops(&mut self, stops: &[(Instant, Duration)]) {
        let told = |(at, length): &(Instant, Duration)| {
            let text = format!("  the machine stood still for {} ms", length.as_millis());
            (*at, text)
        };
        self.told.extend(stops.iter().map(told));
    }

    /// Prints all of it, in seconds since `began`.
    pub(crate) fn print(mut self, began: Instant) {
        self.told.sort_by_key(|(at, _)| *at);
        for (at, text) in self.told {
            println!("{:9.4} {text}", at.since(began).as_secs_f64());
        }
    }
}
