//! What ends the right to answer? `[fencing]`.

use super::problem::{Checked, Problem, Problems};
use super::reader::Section;
use super::suggest;
use super::types::{Fencing, GateChoice};
use super::wording::quoted;

/// `[fencing]`, or what its absence means.
pub(super) fn read(section: &Section<'_>, out: &mut Problems) -> Checked<Fencing> {
    let gate = gate(section, out)?;
    Ok(Fencing { gate })
}

fn gate(section: &Section<'_>, out: &mut Problems) -> Checked<GateChoice> {
    let Some(text) = section.text("gate", out)? else {
        return Ok(GateChoice::Auto);
    };
    match text.value {
        "auto" => Ok(GateChoice::Auto),
        "bpf" => Ok(GateChoice::Bpf),
        "off" => {
            let message = "without a gate, a dead or frozen agent's addresses go on answering";
            out.push(
                Problem::warning(text.span, message).advise("leave it out, or write \"auto\""),
            );
            Ok(GateChoice::Off)
        }
        "nftables" => Ok(GateChoice::Nftables),
        other => {
            let gates = ["auto", "bpf", "nftables", "off"];
            let advice = match suggest::closest(other, gates.into_iter()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "write \"auto\", \"bpf\", \"nftables\" or \"off\"".to_owned(),
            };
            let message = format!("{} is not a gate", quoted(other));
            Err(out.push(Problem::error(text.span, message).advise(advice)))
        }
    }
}
