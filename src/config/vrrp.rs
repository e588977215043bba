//! What do adverts and announcements look like? `[group.vrrp]` and `[group.announce]`.

use std::time::Duration;

use super::problem::{Checked, Problem, Problems};
use super::reader::{At, Section};
use super::suggest;
use super::types::{Announce, Checksum, Protocol};
use super::wording::quoted;

/// VRRPv2 has room for eight bytes (RFC 2338, section 5.3.10).
const AUTH_PASS_LONGEST: usize = 8;

/// `[group.vrrp]` without its addresses.
pub(super) struct Vrrp {
    pub(super) auth_pass: Option<[u8; AUTH_PASS_LONGEST]>,
    pub(super) checksum: Checksum,
    pub(super) peer_misses: Option<u32>,
}

impl Vrrp {
    pub(super) fn read(
        section: &Section<'_>,
        protocol: &Checked<At<Protocol>>,
        out: &mut Problems,
    ) -> Checked<Self> {
        let protocol = protocol.as_ref().ok();
        if let Some(native) = protocol.filter(|p| p.value == Protocol::Native) {
            refuse_all(section, native, out)?;
        }
        let auth_pass = auth_pass(section, protocol, out);
        let checksum = checksum(section, protocol, out);
        let peer_misses = section.integer("peer-misses", out);
        Ok(Vrrp {
            auth_pass: auth_pass?,
            checksum: checksum?,
            peer_misses: peer_misses?.map(|misses| misses.value),
        })
    }
}

/// Every key of `[group.vrrp]` is about adverts.
fn refuse_all(section: &Section<'_>, native: &At<Protocol>, out: &mut Problems) -> Checked<()> {
    let mut all = Ok(());
    for (key, span) in section.given() {
        let advice = match key {
            "unadvertised" => "list them in `addresses`: a native group has no adverts to fit",
            _ => "leave it out",
        };
        let problem = Problem::error(span, format!("`{key}` is for vrrp2 and vrrp3 only"))
            .relate(native.span.clone(), "this group is native")
            .advise(advice);
        all = Err(out.push(problem));
    }
    all
}

fn auth_pass(
    section: &Section<'_>,
    protocol: Option<&At<Protocol>>,
    out: &mut Problems,
) -> Checked<Option<[u8; AUTH_PASS_LONGEST]>> {
    let Some(text) = section.text("auth-pass", out)? else {
        return Ok(None);
    };
    if let Some(protocol) = protocol.filter(|protocol| protocol.value != Protocol::Vrrp2) {
        let problem = Problem::error(text.span, "`auth-pass` works with vrrp2 only")
            .relate(protocol.span.clone(), "this protocol has no authentication")
            .advise("leave it out");
        return Err(out.push(problem));
    }
    let bytes = text.value.as_bytes();
    let fits = (1..=AUTH_PASS_LONGEST).contains(&bytes.len());
    if !fits || bytes.iter().any(|byte| !(0x20..0x7f).contains(byte)) {
        let message = "`auth-pass` is 1 to 8 printable ASCII characters";
        return Err(out.error(text.span, message));
    }
    let message = "`auth-pass` is sent as plain text: it keeps mistakes out, not attackers";
    out.push(Problem::warning(text.span, message).advise("leave it out where the peers allow it"));
    let mut padded = [0; AUTH_PASS_LONGEST];
    padded[..bytes.len()].copy_from_slice(bytes);
    Ok(Some(padded))
}

fn checksum(
    section: &Section<'_>,
    protocol: Option<&At<Protocol>>,
    out: &mut Problems,
) -> Checked<Checksum> {
    let Some(text) = section.text("checksum", out)? else {
        return Ok(Checksum::PseudoHeader);
    };
    if let Some(protocol) = protocol.filter(|protocol| protocol.value != Protocol::Vrrp3) {
        let problem = Problem::error(text.span, "`checksum` is a choice of vrrp3 only")
            .relate(protocol.span.clone(), "this protocol has one checksum")
            .advise("leave it out");
        return Err(out.push(problem));
    }
    match text.value {
        "pseudo-header" => Ok(Checksum::PseudoHeader),
        "plain" => Ok(Checksum::Plain),
        other => {
            let forms = ["pseudo-header", "plain"];
            let advice = match suggest::closest(other, forms.into_iter()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "write \"pseudo-header\" (keepalived) or \"plain\" (RFC 9568)".to_owned(),
            };
            let message = format!("{} is not a form of the checksum", quoted(other));
            Err(out.push(Problem::error(text.span, message).advise(advice)))
        }
    }
}

/// `[group.announce]`.
pub(super) fn announce(section: &Section<'_>, out: &mut Problems) -> Checked<Announce> {
    let count = section.integer("count", out);
    let repeat_after = section.duration("repeat-after", out);
    let refresh = section.duration("refresh", out);
    let rate = section.integer("rate", out);
    Ok(Announce {
        count: section.or(count, 5)?.value,
        repeat_after: section.or(repeat_after, Duration::from_secs(5))?.value,
        refresh: section.or(refresh, Duration::ZERO)?.value,
        rate: section.or(rate, 100_000)?.value,
    })
}
