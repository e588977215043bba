//! What did the author mean? Advice for a key that does not exist here.

use super::keys::{self, Absent, KEYS};

/// What keepalived calls it, and what to write instead.
const KEEPALIVED: &[(&str, &str)] = &[
    (
        "advert_int",
        "write `interval = \"1s\"` in [heartbeat] or [group.heartbeat]",
    ),
    ("virtual_router_id", "write `id`"),
    ("virtual_ipaddress", "write `addresses`"),
    (
        "virtual_ipaddress_excluded",
        "write `unadvertised` in [group.vrrp]",
    ),
    ("nopreempt", "write `preempt = false`"),
    ("state", "leave it out: the priority decides who is MASTER"),
    ("unicast_peer", "write `peers` in [group.heartbeat]"),
    ("unicast_src_ip", "write `source` in [group.heartbeat]"),
    ("mcast_src_ip", "write `source` in [group.heartbeat]"),
    (
        "authentication",
        "write `auth-pass` in [group.vrrp], with `protocol = \"vrrp2\"`",
    ),
    (
        "auth_pass",
        "write `auth-pass` in [group.vrrp], with `protocol = \"vrrp2\"`",
    ),
    (
        "down_timer_adverts",
        "write `misses` in [heartbeat] or [group.heartbeat]",
    ),
    (
        "version",
        "write `protocol = \"vrrp2\"` or `protocol = \"vrrp3\"` in [heartbeat]",
    ),
    (
        "notify",
        "write a [[group.action]] with `on = \"any\"` and `keepalived-args = true`",
    ),
    (
        "notify_master",
        "write a [[group.action]] with `on = \"promoted\"`",
    ),
    (
        "notify_backup",
        "write a [[group.action]] with `on = \"demoted\"`",
    ),
    (
        "notify_fault",
        "write a [[group.action]] with `on = \"fault\"`",
    ),
    (
        "notify_stop",
        "write a [[group.action]] with `on = \"stop\"`",
    ),
    ("script_user", "write `user` in [[group.action]]"),
    ("garp_master_repeat", "write `count` in [group.announce]"),
    (
        "garp_master_delay",
        "write `repeat-after` in [group.announce]",
    ),
    ("garp_master_refresh", "write `refresh` in [group.announce]"),
];

/// Advice on a key that its table does not have.
pub(super) fn for_unknown_key(table: &str, name: &str) -> String {
    let dashed = name.replace('_', "-").to_lowercase();
    let translated = KEEPALIVED.iter().find(|(theirs, _)| *theirs == name);
    if keys::find(table, &dashed).is_some() {
        format!("did you mean `{dashed}`?")
    } else if let Some((_, advice)) = translated {
        (*advice).to_owned()
    } else if let Some(place) = other_tables(&dashed) {
        format!("`{dashed}` belongs in {place}")
    } else if let Some(meant) = closest(&dashed, names(table)) {
        format!("did you mean `{meant}`?")
    } else {
        format!(
            "known here: {}",
            names(table).collect::<Vec<_>>().join(", ")
        )
    }
}

/// Of some words, the one that was probably meant, if any is near enough.
pub(super) fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let with_distance = known.map(|known| (distance(word, known), known));
    let near = with_distance.filter(|(d, known)| *d <= 1 + known.len() / 4);
    near.min_by_key(|(d, _)| *d).map(|(_, known)| known)
}

fn names(table: &str) -> impl Iterator<Item = &'static str> {
    let supported = KEYS.iter().filter(|k| k.absent != Absent::NotYet);
    supported.filter(move |k| k.table == table).map(|k| k.name)
}

/// The tables that do have a key of this name.
fn other_tables(name: &str) -> Option<String> {
    let theirs = KEYS.iter().filter(|k| k.name == name);
    let headers: Vec<String> = theirs.map(|k| keys::header(k.table)).collect();
    (!headers.is_empty()).then(|| headers.join(" or "))
}

/// How many characters must be put in, taken out, changed or swapped with the next.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut before = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let changed = above[j] + usize::from(a[i] != b[j]);
            let mut least = changed.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_the_fewest_changes() {
        let counts = [
            ("", ""),
            ("id", ""),
            ("nmae", "name"),
            ("prioritee", "priority"),
        ];
        assert_eq!(counts.map(|(a, b)| distance(a, b)), [0, 2, 1, 2]);
    }

    #[test]
    fn a_key_is_suggested_by_spelling_by_table_and_by_its_keepalived_name() {
        let advice = |table, name| for_unknown_key(table, name);
        assert_eq!(advice("group", "preemptt"), "did you mean `preempt`?");
        assert_eq!(
            advice("group", "preempt_delay"),
            "did you mean `preempt-delay`?"
        );
        assert_eq!(
            advice("group", "refresh"),
            "`refresh` belongs in [group.announce]"
        );
        assert_eq!(advice("group", "virtual_router_id"), "write `id`");
        assert!(advice("cluster", "colour").starts_with("known here: name, nodes"));
    }
}
