//! Does a good text become what it says?

use std::net::IpAddr;
use std::time::{Duration, Instant};

use floatlock::config::{
    self, ActionConfig, ActionEvent, Announce, Checksum, Config, Family, GateChoice, GroupConfig,
    PathConfig, Protocol, Version, VirtualAddress,
};

use super::good;

const MINIMAL: &str = r#"
[heartbeat]
protocol = "vrrp3"

[[group]]
name = "web"
id = 51
interface = "eth0"
addresses = ["192.0.2.10/24"]
"#;

fn address(net: &str, interface: &str) -> VirtualAddress {
    let net = net.parse().unwrap();
    let interface = interface.to_owned();
    VirtualAddress { net, interface }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn path(interface: &str, peers: &[&str], source: &[&str]) -> PathConfig {
    let ips = |texts: &[&str]| texts.iter().map(|text| ip(text)).collect();
    PathConfig {
        interface: interface.to_owned(),
        peers: ips(peers),
        source: ips(source),
    }
}

fn first_group(text: &str) -> GroupConfig {
    (*good(text).config.groups[0]).clone()
}

#[test]
fn every_gate_has_its_word() {
    let words = [
        ("auto", GateChoice::Auto),
        ("bpf", GateChoice::Bpf),
        ("nftables", GateChoice::Nftables),
        ("off", GateChoice::Off),
    ];
    for (word, gate) in words {
        let loaded = good(&format!("{MINIMAL}\n[fencing]\ngate = \"{word}\"\n"));
        assert_eq!(loaded.config.fencing.gate, gate);
        assert_eq!(loaded.warnings.is_empty(), word != "off");
    }
}

#[test]
fn a_minimal_file_gets_every_default() {
    let loaded = good(MINIMAL);
    assert!(loaded.warnings.is_empty());
    let Config {
        cluster,
        node,
        fencing,
        native,
        groups,
    } = loaded.config;
    assert_eq!(fencing.gate, GateChoice::Auto);
    assert_eq!((cluster, native), (None, None));
    assert_eq!((node.name.as_str(), node.realtime), ("lb-a", true));
    assert_eq!(node.runtime_dir.to_str(), Some("/run/floatlock"));
    assert_eq!(node.state_dir.to_str(), Some("/var/lib/floatlock"));
    let expected = GroupConfig {
        name: "web".to_owned(),
        id: 51,
        priority: 100,
        interface: "eth0".to_owned(),
        protocol: Protocol::Vrrp3,
        interval: Duration::from_secs(1),
        misses: 3,
        peer_misses: 3,
        paths: vec![path("eth0", &[], &[])],
        addresses: vec![address("192.0.2.10/24", "eth0")],
        unadvertised: vec![],
        preempt: true,
        preempt_delay: Duration::ZERO,
        start_delay: Duration::ZERO,
        auth_pass: None,
        checksum: Checksum::PseudoHeader,
        announce: Announce {
            count: 5,
            repeat_after: Duration::from_secs(5),
            refresh: Duration::ZERO,
            rate: 100_000,
        },
        actions: Vec::new(),
    };
    assert_eq!(groups.len(), 1);
    assert_eq!(*groups[0], expected);
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let group = first_group(
        r#"
        [heartbeat]
        protocol = "vrrp3"
        interval = "2s"
        misses = 9

        [[group]]
        name = "legacy"
        id = 255
        priority = 254
        interface = "eth0"
        addresses = ["192.0.2.10/32", { address = "198.51.100.7/24", interface = "eth2" }]
        preempt = false
        start-delay = "1m 30s"
        heartbeat = { protocol = "vrrp2", interval = "3s", misses = 4, peers = ["192.0.2.3"] }
        vrrp = { auth-pass = "1111", unadvertised = ["2001:db8::1/64", "192.0.2.64/30"] }
        announce = { count = 1, repeat-after = "0s", refresh = "1h", rate = 1 }
        "#,
    );
    assert_eq!((group.id, group.priority), (255, 254));
    assert_eq!(group.protocol, Protocol::Vrrp2);
    assert_eq!(group.version(), Version::V2);
    assert_eq!((group.interval, group.misses), (Duration::from_secs(3), 4));
    assert_eq!(group.paths, [path("eth0", &["192.0.2.3"], &[])]);
    let advertised = [
        address("192.0.2.10/32", "eth0"),
        address("198.51.100.7/24", "eth2"),
    ];
    assert_eq!(group.addresses, advertised);
    let unadvertised = [
        address("2001:db8::1/64", "eth0"),
        address("192.0.2.64/30", "eth0"),
        address("192.0.2.65/30", "eth0"),
        address("192.0.2.66/30", "eth0"),
        address("192.0.2.67/30", "eth0"),
    ];
    assert_eq!(group.unadvertised, unadvertised);
    assert!(!group.preempt);
    assert_eq!(group.start_delay, Duration::from_secs(90));
    assert_eq!(group.auth_pass, Some(*b"1111\0\0\0\0"));
    let announce = Announce {
        count: 1,
        repeat_after: Duration::ZERO,
        refresh: Duration::from_secs(3600),
        rate: 1,
    };
    assert_eq!(group.announce, announce);
}

#[test]
fn an_action_gets_every_default_and_keeps_the_order_of_the_file() {
    let actions = r#"
        priority = 255
        [[group.action]]
        on = "promote"
        run = ["/etc/floatlock/actions/mysql", "promote", ""]
        [[group.action]]
        on = "promote"
        run = ["/bin/true"]
        timeout = "100ms"
        required = false
        keepalived-args = false
        user = "mysql"
        [[group.action]]
        on = "any"
        run = ["/usr/local/bin/notify"]
        timeout = "1h"
        keepalived-args = true
        user = "a.b_c-9"
    "#;
    let loaded = good(&format!("{MINIMAL}{actions}"));
    assert!(loaded.warnings.is_empty());
    let action = |on, run: &[&str], timeout| ActionConfig {
        on,
        run: run.iter().map(|&word| word.to_owned()).collect(),
        timeout,
        required: false,
        keepalived_args: false,
        user: None,
    };
    let mysql = ["/etc/floatlock/actions/mysql", "promote", ""];
    let hour = Duration::from_secs(3600);
    let expected = [
        ActionConfig {
            required: true,
            ..action(ActionEvent::Promote, &mysql, Duration::from_secs(10))
        },
        ActionConfig {
            user: Some("mysql".to_owned()),
            ..action(
                ActionEvent::Promote,
                &["/bin/true"],
                Duration::from_millis(100),
            )
        },
        ActionConfig {
            keepalived_args: true,
            user: Some("a.b_c-9".to_owned()),
            ..action(ActionEvent::Any, &["/usr/local/bin/notify"], hour)
        },
    ];
    assert_eq!(loaded.config.groups[0].actions, expected);
}

#[test]
fn every_event_has_its_word() {
    for event in ActionEvent::ALL {
        let word = event.word();
        let action = format!("[[group.action]]\non = \"{word}\"\nrun = [\"/bin/true\"]\n");
        let group = first_group(&format!("{MINIMAL}{action}"));
        assert_eq!(group.actions[0].on, event);
        assert_eq!(group.actions[0].required, event == ActionEvent::Promote);
    }
}

#[test]
fn a_group_has_sixteen_actions_and_no_more() {
    let text = |count| {
        let action = "[[group.action]]\non = \"stop\"\nrun = [\"/bin/true\"]\n";
        format!("{MINIMAL}{}", action.repeat(count))
    };
    assert_eq!(first_group(&text(16)).actions.len(), 16);
    let problems = super::parse(&text(17)).unwrap_err();
    let messages: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(messages, ["a group has at most 16 actions"]);
}

/// The same file as the nodes', in which actions run on those.
#[test]
fn the_actions_on_a_witness_are_no_reason_to_warn() {
    let text = "[cluster]\nname = \"c\"\nnodes = [\"b\", \"c\"]\nwitnesses = [\"lb-a\"]\n\
                [[group]]\nname = \"web\"\nid = 51\ninterface = \"eth0\"\n\
                addresses = [\"192.0.2.10/24\"]\n\
                [[group.action]]\non = \"promote\"\nrun = [\"/bin/true\"]\n";
    let loaded = good(text);
    assert!(loaded.config.is_witness() && loaded.warnings.is_empty());
}

#[test]
fn the_first_path_is_on_the_groups_interface_and_the_others_are_redundant() {
    let paths = r#"
        [[heartbeat.path]]
        interface = "eth1"
        peers = ["10.78.0.2"]
        source = "10.78.0.1"
        [[heartbeat.path]]
        interface = "eth0"
        source = ["192.0.2.2", "fe80::2"]
        [[heartbeat.path]]
        interface = "eth2"
    "#;
    let eth1 = path("eth1", &["10.78.0.2"], &["10.78.0.1"]);
    let eth2 = path("eth2", &[], &[]);

    let inherited = first_group(&format!("{MINIMAL}{paths}"));
    let eth0 = path("eth0", &[], &["192.0.2.2", "fe80::2"]);
    assert_eq!(inherited.paths, [eth0, eth1.clone(), eth2.clone()]);

    let own_source = "[group.heartbeat]\nsource = \"192.0.2.9\"\n";
    let own_source = first_group(&format!("{MINIMAL}{own_source}{paths}"));
    let eth0 = path("eth0", &[], &["192.0.2.9"]);
    assert_eq!(own_source.paths, [eth0, eth1, eth2]);

    let own_peers = "[group.heartbeat]\npeers = [\"192.0.2.3\"]\n";
    let own_peers = first_group(&format!("{MINIMAL}{own_peers}{paths}"));
    let alone = path("eth0", &["192.0.2.3"], &["192.0.2.2"]);
    assert_eq!(own_peers.paths, [alone]);
}

#[test]
fn one_id_serves_two_groups_that_never_meet() {
    let group = |name, interface, address| {
        format!(
            "[[group]]\nname = \"{name}\"\nid = 51\ninterface = \"{interface}\"\n\
             addresses = [\"{address}\"]\n"
        )
    };
    let text = format!(
        "[heartbeat]\nprotocol = \"vrrp3\"\n{}{}{}",
        group("four", "eth0", "192.0.2.10/24"),
        group("six", "eth0", "2001:db8::10/64"),
        group("elsewhere", "eth1", "198.51.100.7/24"),
    );
    assert_eq!(good(&text).config.groups.len(), 3);
}

#[test]
fn a_link_local_address_may_float_on_each_interface() {
    let addresses = r#"["fe80::10/64", { address = "fe80::10/64", interface = "eth1" }]"#;
    let group = first_group(&MINIMAL.replace(r#"["192.0.2.10/24"]"#, addresses));
    assert_eq!(group.families(), [Family::V6]);
    assert_eq!(group.addresses.len(), 2);
}

#[test]
fn a_network_of_two_has_no_address_of_its_own() {
    for pair in ["192.0.2.10/31", "192.0.2.11/31", "2001:db8::10/127"] {
        let group = first_group(&MINIMAL.replace("192.0.2.10/24", pair));
        assert_eq!(group.addresses, [address(pair, "eth0")]);
    }
}

#[test]
fn what_does_not_fit_one_advert_moves_along_unadvertised() {
    let v4 = (0..300).map(|i| format!("\"10.0.{}.{}/16\"", i / 250, i % 250 + 1));
    let v6 = (1..=100).map(|i| format!("\"2001:db8::{i:x}/64\""));
    let list = v4.chain(v6).collect::<Vec<_>>().join(", ");
    let addresses = MINIMAL.replace("\"192.0.2.10/24\"", &list);
    let text = format!("{addresses}[group.vrrp]\nunadvertised = [\"192.0.2.64/31\"]\n");
    let loaded = good(&text);
    assert_eq!(loaded.warnings.len(), 2);
    let group = &loaded.config.groups[0];
    let count = |family| {
        let advertised = group.addresses.iter();
        advertised
            .filter(|a| Family::of(a.net.addr()) == family)
            .count()
    };
    assert_eq!((count(Family::V4), count(Family::V6)), (255, 89));
    assert_eq!(group.unadvertised.len(), 45 + 11 + 2);
    assert_eq!(group.unadvertised[0], address("10.0.1.6/16", "eth0"));
    assert_eq!(group.all_addresses().count(), 402);
}

#[test]
fn a_group_may_have_65536_addresses() {
    let ranges = (17..=32).scan(0_u32, |next, length| {
        let range = format!("\"10.0.{}.{}/{length}\"", *next / 256, *next % 256);
        *next += 1 << (32 - length);
        Some(range)
    });
    let ranges = ranges.collect::<Vec<_>>().join(", ");
    let text = format!("{MINIMAL}[group.vrrp]\nunadvertised = [{ranges}]\n");
    assert_eq!(first_group(&text).all_addresses().count(), 65_536);
}

#[test]
fn a_thousand_groups_are_read_and_not_many_more() {
    let text = |groups: usize| {
        let group = |i: usize| {
            let (interface, id) = (i / 200, i % 200 + 1);
            let address = format!("10.{}.{}.1/32", i / 256, i % 256);
            format!(
                "[[group]]\nname = \"g{i}\"\nid = {id}\ninterface = \"eth{interface}\"\n\
                 addresses = [\"{address}\"]\n"
            )
        };
        let groups: String = (0..groups).map(group).collect();
        format!("[heartbeat]\nprotocol = \"vrrp3\"\n{groups}")
    };
    let loaded = in_time("1024 groups", || good(&text(1024)));
    assert_eq!(loaded.config.groups.len(), 1024);
    let problems = super::parse(&text(1025)).unwrap_err();
    let messages: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(messages, ["there are more than 1024 groups"]);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let windows = format!("\u{feff}{}", MINIMAL.replace('\n', "\r\n"));
    assert_eq!(good(&windows).config, good(MINIMAL).config);
}

#[test]
fn a_large_file_of_errors_is_refused_whole() {
    let text = "what is this\n".repeat(50_000);
    let problems = in_time("50000 syntax errors", || super::parse(&text)).unwrap_err();
    assert_eq!(problems.len(), 50_000);
}

/// Says how long it took (`--nocapture`); what would never end is stopped by whoever runs the tests.
fn in_time<T>(what: &str, work: impl FnOnce() -> T) -> T {
    #[allow(
        clippy::disallowed_methods,
        reason = "the test measures the time of this machine"
    )]
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    println!("{what}: {took:?}");
    result
}

#[test]
fn ten_thousand_addresses_are_read_at_once() {
    let range = "[group.vrrp]\nunadvertised = [\"10.64.0.0/19\", \"10.65.0.0/21\"]\n";
    let text = format!("{MINIMAL}{range}");
    let group = in_time("10240 addresses in two ranges", || first_group(&text));
    assert_eq!(group.unadvertised.len(), 10_240);
    assert_eq!(group.unadvertised[8192], address("10.65.0.0/21", "eth0"));
    assert_eq!(
        group.unadvertised[10_239],
        address("10.65.7.255/21", "eth0")
    );

    let single = (0..10_000).map(|i| format!("\"10.64.{}.{}/32\",\n", i / 256, i % 256));
    let list = format!(
        "[group.vrrp]\nunadvertised = [\n{}]\n",
        single.collect::<String>()
    );
    let text = format!("{MINIMAL}{list}");
    let group = in_time("10000 addresses one by one", || first_group(&text));
    assert_eq!(group.unadvertised.len(), 10_000);
}

#[test]
fn derived_times_follow_the_rfc() {
    let alone = good(MINIMAL).config;
    let derived = config::derived(&alone, &alone.groups[0]);
    assert_eq!(derived.skew, Duration::from_nanos(609_375_000));
    assert_eq!(derived.detection_min, Duration::from_nanos(2_609_375_000));
    assert_eq!(derived.detection_max, Duration::from_nanos(3_609_375_000));
    assert_eq!(derived.takeover_max, derived.detection_max);
    assert_eq!(derived.planned_max, derived.skew);

    let pair = format!("[cluster]\nname = \"c\"\nnodes = [\"lb-a\", \"lb-b\"]\n{MINIMAL}");
    let pair = good(&pair).config;
    assert_eq!(
        config::derived(&pair, &pair.groups[0]).planned_max,
        Duration::ZERO
    );
    let three = format!("[cluster]\nname = \"c\"\nnodes = [\"lb-a\", \"b\", \"c\"]\n{MINIMAL}");
    let three = good(&three).config;
    assert_eq!(
        config::derived(&three, &three.groups[0]).planned_max,
        derived.skew
    );
}

/// Each until it is given up, and after what may still run then.
#[test]
fn scripts_that_run_on_the_way_make_a_move_longer() {
    let action = |on: &str, rest: &str| {
        format!("[[group.action]]\non = \"{on}\"\nrun = [\"/bin/true\"]\n{rest}")
    };
    let with = |actions: &[String]| good(&format!("{MINIMAL}{}", actions.concat())).config;
    let added = |config: &Config| {
        let derived = config::derived(config, &config.groups[0]);
        (derived.promote_max, derived.demote_max)
    };
    let notices = ["promoted", "demoted", "fault", "stop", "any"].map(|on| action(on, ""));
    let notices = with(&notices);
    assert_eq!(added(&notices), (Duration::ZERO, Duration::ZERO));
    let said = config::summary(&notices).lines().concat();
    assert!(!said.contains("scripts"), "{said}");

    let optional = "timeout = \"500ms\"\nrequired = false\n";
    let promote = [action("promote", ""), action("promote", optional)];
    let both = with(&[&promote[..], &[action("demote", "timeout = \"5s\"\n")]].concat());
    let (promote, demote) = (Duration::from_secs(20), Duration::from_millis(6500));
    assert_eq!(added(&both), (promote, demote));
    let said = config::summary(&both).lines().remove(0);
    let words = "; scripts add at most 20.000 s to every takeover (promote), 6.500 s to a planned \
                 takeover (demote)";
    assert!(said.ends_with(words), "{said}");
    let row = serde_json::to_value(config::summary(&both)).unwrap();
    assert_eq!(row["groups"][0]["promote_max_seconds"], 20.0);
    assert_eq!(row["groups"][0]["demote_max_seconds"], 6.5);

    let pair = |config: &Config| {
        let files = [&good(MINIMAL).config, config];
        config::together(&files).remove(0)
    };
    assert!(pair(&both).line().ends_with(words));
    assert_eq!(pair(&both).promote_max, promote);
    assert!(!pair(&notices).line().contains("scripts"));
}

#[test]
fn the_summary_says_the_times_and_what_is_not_survived() {
    let config = good(MINIMAL).config;
    let lines = config::summary(&config).lines();
    assert_eq!(
        lines,
        [
            "group `web`: a dead MASTER is noticed after 2.610 s to 3.610 s; without a holder for \
             at most 3.610 s after power loss, 610 ms after a planned stop; a node whose agent dies or freezes \
         is silent 2.919 s after its last advert",
            "not survived: any partition of the service LAN leaves a MASTER on each side (vrrp2 \
             and vrrp3 have no arbiter)",
        ]
    );
    let row = serde_json::to_value(config::summary(&config)).unwrap();
    assert_eq!(row["groups"][0]["detection_max_seconds"], 3.609375);

    let path = "[[heartbeat.path]]\ninterface = \"eth1\"\n";
    let redundant = good(&format!("{MINIMAL}{path}")).config;
    let said = config::summary(&redundant).not_survived;
    assert!(
        said.contains("a partition that cuts every path at once"),
        "{said}"
    );
}
