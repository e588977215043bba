//! Does a node out of service take nothing, and does it stay so?

use crate::agent::{Agent, Ran, floatlock};
use crate::config::{Config, Group};
use crate::site::{Site, await_address, has};

const VIP: &str = "10.77.0.100";
const STATE: &str = "/run/lab/state";

fn ask(agent: &Agent, arguments: &[&str]) -> Ran {
    let dir = ["--runtime-dir", "/run/floatlock"];
    floatlock(&agent.host, &[arguments, &dir].concat())
}

fn demand(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{}", ran.output);
    for word in words {
        assert!(ran.output.contains(word), "{word:?}:\n{}", ran.output);
    }
}

#[test]
fn a_node_out_of_service_hands_over_takes_nothing_after_a_restart_and_still_votes() {
    let site = Site::keyed();
    let [a, b] = site.native_pair();
    let mark_b = b.mark();
    demand(
        &ask(&a, &["maintenance", "on"]),
        0,
        &["out of service until further notice", "handed over: web"],
    );
    b.becomes_after(mark_b, "web", "MASTER");
    await_address(&a.host, VIP, false);
    demand(&ask(&a, &["maintenance"]), 0, &["out of service until"]);
    let web = a.group_until("web", "not ready", |web| !web.ready && web.maintenance);
    assert_eq!(web.role, "BACKUP");
    let text = a.status().text();
    assert!(text.contains("OUT OF SERVICE for "), "{text}");
    b.group_until("web", "its vote", |web| !web.alone);
    a.stop();
    let a = site.start_with(0, &Config::native("lb-a", &[Group::web(150)]));
    a.said("out of service: `floatlock maintenance off` ends that");
    b.group_until("web", "its vote again", |web| {
        !web.alone && web.holder.is_some()
    });
    // A group that a reload adds holds nothing either, though nobody else has it.
    let mail = Group::web(150)
        .named("mail", 52)
        .addresses(&["10.77.0.110/24"]);
    a.reload(&Config::native("lb-a", &[Group::web(150), mail]));
    a.becomes_after(0, "mail", "BACKUP");
    assert!(a.group("mail").maintenance);
    a.reload(&Config::native("lb-a", &[Group::web(150)]));
    assert_eq!(a.roles("web"), ["BACKUP"], "{}", a.log());
    demand(&ask(&a, &["maintenance", "off"]), 0, &["in service"]);
    // The better node asks for what it gave away itself.
    a.becomes("MASTER");
    await_address(&b.host, VIP, false);
    assert!(a.status().maintenance.is_none());
}

#[test]
fn maintenance_for_a_while_ends_by_itself() {
    let site = Site::keyed();
    let [a, b] = site.native_pair();
    let mark = a.mark();
    let ran = ask(&a, &["maintenance", "on", "--for", "2s", "--json"]);
    demand(
        &ran,
        0,
        &["\"on\":true", "\"left_ms\":", "\"handed_over\":[\"web\"]"],
    );
    assert!(has(&b.host, VIP));
    a.said("the time of the maintenance is over");
    a.becomes_after(mark + 1, "web", "MASTER");
    demand(&ask(&a, &["maintenance", "--json"]), 0, &["\"on\":false"]);
    let state = a.host.sh(&format!("cat {STATE}/state.json")).unwrap();
    assert!(state.contains("\"maintenance\":null"), "{state}");
    let ran = ask(&a, &["maintenance", "off", "--for", "2s"]);
    demand(&ran, 1, &["only `on` takes a length"]);
}

#[test]
fn what_cannot_be_stored_changes_nothing() {
    let site = Site::keyed();
    let [a, b] = site.native_pair();
    let (mark_a, mark_b) = (a.mark(), b.mark());
    a.host.sh(&format!("mv {STATE} {STATE}.gone")).unwrap();
    demand(
        &ask(&a, &["maintenance", "on"]),
        1,
        &["nothing was changed: writing /run/lab/state/state.json failed"],
    );
    demand(&ask(&a, &["maintenance"]), 0, &["in service"]);
    a.host.sh(&format!("mv {STATE}.gone {STATE}")).unwrap();
    a.demand_no_change_since(mark_a);
    b.demand_no_change_since(mark_b);
}

#[test]
fn under_vrrp_maintenance_needs_force_on_the_master_only() {
    let site = Site::new();
    let [a, b] = site.pair(Group::web);
    let (mark_a, mark_b) = (a.mark(), b.mark());
    demand(
        &ask(&a, &["maintenance", "on"]),
        1,
        &["web stays where it is"],
    );
    demand(&ask(&b, &["maintenance", "on"]), 0, &[]);
    demand(&ask(&b, &["maintenance", "off"]), 0, &[]);
    a.demand_no_change_since(mark_a);
    demand(
        &ask(&a, &["maintenance", "on", "--force"]),
        0,
        &["handed over: web"],
    );
    b.becomes_after(mark_b, "web", "MASTER");
    b.stop();
    assert_eq!(a.group("web").role, "BACKUP", "{}", a.log());
}
