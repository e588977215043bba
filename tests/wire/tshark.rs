//! Does tshark read our frames as we mean them?

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::process::{Command, Stdio};

use floatlock::config::{Family, Version};
use floatlock::wire::vrrp::{ChecksumForm, PROTOCOL, TRAFFIC_CLASS, TTL};
use floatlock::wire::{arp, ipv4, ndp};

use crate::dice::Dice;
use crate::golden;
use crate::scene::{Kind, Scene};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A capture of these Ethernet frames.
fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0]); // format 2.4
    file.extend([0; 8]); // UTC
    file.extend(65_535_u32.to_le_bytes()); // the longest frame
    file.extend(1_u32.to_le_bytes()); // Ethernet
    for frame in frames {
        file.extend([0; 8]); // at the beginning of time
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend(frame);
    }
    file
}

/// What tshark says these fields are, a line for each frame, `|` between fields.
fn dissect(frames: &[Vec<u8>], plain_checksum: bool, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(["-r", "-", "-n", "-T", "fields", "-E", "separator=|"]);
    command.args(["-o", "ip.check_checksum:TRUE"]);
    command.args(["-o", &format!("vrrp.v3_checksum_as_in_v2:{plain_checksum}")]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut tshark = command
        .stderr(Stdio::null())
        .spawn()
        .expect("tshark does not start: install the package `tshark`");
    let mut input = tshark.stdin.take().expect("piped");
    input.write_all(&capture(frames)).expect("tshark reads");
    drop(input);
    let output = tshark.wait_with_output().expect("tshark ends");
    assert!(output.status.success(), "tshark: {:?}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn ethernet(source: IpAddr, destination: IpAddr, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![1, 0, 0x5e, 0, 0, 18];
    frame.extend(MAC);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00]);
            let id = NonZeroU16::new(77).expect("not zero");
            frame.extend(ipv4::advert_header(source, destination, id, message.len()));
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [high, low] = (message.len() as u16).to_be_bytes();
            frame.extend([
                0x86,
                0xdd,
                0x60 | TRAFFIC_CLASS >> 4,
                TRAFFIC_CLASS << 4,
                0,
                0,
            ]);
            frame.extend([high, low, PROTOCOL, TTL]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        _ => panic!("two families"),
    }
    frame.extend(message);
    frame
}

const VRRP_FIELDS: &[&str] = &[
    "vrrp.version",
    "vrrp.type",
    "vrrp.virt_rtr_id",
    "vrrp.prio",
    "vrrp.addr_count",
    "vrrp.auth_type",
    "vrrp.adver_int",
    "vrrp.short_adver_int",
    "vrrp.ip_addr",
    "vrrp.ipv6_addr",
    "vrrp.checksum.status",
    "ip.checksum.status",
    "ip.id",
    "ip.ttl",
    "ip.dsfield",
];

/// The same line, from what we meant.
fn meant(scene: &Scene) -> String {
    let listed: Vec<_> = scene.addresses.iter().map(IpAddr::to_string).collect();
    let listed = listed.join(",");
    let v2 = scene.version == Version::V2;
    let v4 = scene.family() == Family::V4;
    let only = |there: bool, text: String| if there { text } else { String::new() };
    let centiseconds = (scene.interval.as_millis() / 10).to_string();
    [
        if v2 { "2" } else { "3" }.to_owned(),
        "1".to_owned(),
        scene.vrid.to_string(),
        scene.message[2].to_string(),
        scene.addresses.len().to_string(),
        only(v2, u8::from(scene.auth.is_some()).to_string()),
        only(v2, scene.interval.as_secs().to_string()),
        only(!v2, centiseconds),
        only(v4, listed.clone()),
        only(!v4, listed),
        "1".to_owned(),
        only(v4, "1".to_owned()),
        only(v4, "0x004d".to_owned()),
        only(v4, "255".to_owned()),
        only(v4, "0xc0".to_owned()),
    ]
    .join("|")
}

/// Scenes whose v3/IPv4 checksum is in this form, written by the code under test.
fn adverts(plain: bool) -> Vec<Scene> {
    let mut dice = Dice::new(5);
    let unwanted = match plain {
        true => ChecksumForm::PseudoHeader,
        false => ChecksumForm::Plain,
    };
    let mut kinds = std::iter::repeat_with(|| Kind::random(&mut dice));
    let wanted = |kind: &Kind| ![unwanted, ChecksumForm::OldUnicast].contains(&kind.form);
    let kinds: Vec<_> = kinds.by_ref().filter(wanted).take(300).collect();
    let mut dice = Dice::new(6);
    kinds
        .into_iter()
        .map(|kind| Scene::of(kind, &mut dice))
        .collect()
}

#[test]
fn tshark_reads_our_adverts_as_we_mean_them() {
    for plain in [false, true] {
        let scenes = adverts(plain);
        let frame = |scene: &Scene| ethernet(scene.source, scene.destination, &scene.message);
        let frames: Vec<_> = scenes.iter().map(frame).collect();
        let told = dissect(&frames, plain, VRRP_FIELDS);
        let meant: Vec<_> = scenes.iter().map(meant).collect();
        assert_eq!(told, meant);
    }
}

#[test]
fn tshark_finds_the_golden_checksums_right() {
    for (plain, form) in [
        (false, ChecksumForm::PseudoHeader),
        (true, ChecksumForm::Plain),
    ] {
        let known = golden::ALL
            .iter()
            .filter(|golden| [form, ChecksumForm::Only].contains(&golden.form));
        let frames: Vec<_> = known
            .map(|golden| {
                let (source, destination) = (golden.advert.source, golden.advert.destination);
                ethernet(source, destination, &golden::bytes(golden.text))
            })
            .collect();
        let told = dissect(&frames, plain, &["vrrp.checksum.status"]);
        assert_eq!(told, vec!["1"; frames.len()]);
    }
}

#[test]
fn tshark_would_notice_a_wrong_checksum() {
    let mut scene = adverts(false).swap_remove(0);
    scene.message[7] ^= 1;
    let frame = ethernet(scene.source, scene.destination, &scene.message);
    assert_eq!(dissect(&[frame], false, &["vrrp.checksum.status"]), ["0"]);
}

#[test]
fn tshark_reads_our_announcements_as_we_mean_them() {
    let arp = arp::gratuitous(MAC, Ipv4Addr::new(192, 0, 2, 10)).to_vec();
    let fields = [
        "eth.dst",
        "arp.opcode",
        "arp.isgratuitous",
        "arp.src.hw_mac",
        "arp.src.proto_ipv4",
        "arp.dst.hw_mac",
        "arp.dst.proto_ipv4",
    ];
    let told = dissect(&[arp], false, &fields);
    let mac = "02:00:00:00:00:01";
    let all = "ff:ff:ff:ff:ff:ff";
    assert_eq!(
        told,
        [format!("{all}|1|1|{mac}|192.0.2.10|{all}|192.0.2.10")]
    );

    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x55);
    let advertised = [false, true].map(|router| ndp::unsolicited(MAC, address, router).to_vec());
    let fields = [
        "eth.dst",
        "ipv6.src",
        "ipv6.dst",
        "ipv6.hlim",
        "icmpv6.checksum.status",
        "icmpv6.nd.na.flag.r",
        "icmpv6.nd.na.flag.s",
        "icmpv6.nd.na.flag.o",
        "icmpv6.nd.na.target_address",
        "icmpv6.opt.type",
        "icmpv6.opt.linkaddr",
    ];
    let told = dissect(&advertised, false, &fields);
    let line = |router| {
        let to = "33:33:00:00:00:01|2001:db8::55|ff02::1|255";
        format!("{to}|1|{router}|0|1|2001:db8::55|2|{mac}")
    };
    assert_eq!(told, [line(0), line(1)]);
}
