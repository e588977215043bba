//! What of a script's output is passed on? So many lines, each of so many printable characters.

use std::fmt::{self, Write as _};

/// The longest line that is passed on, in bytes.
const LINE: usize = 1024;
/// The most that is passed on of one run, in bytes, line ends included.
const TOTAL: usize = 64 << 10;

/// Something that a script has said: one line, without control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// On standard output.
    Out(&'a str),
    /// On standard error.
    Err(&'a str),
    /// At the end: so many bytes more, which nobody will see. Lines are at most 1024 bytes long, and all
    /// of them together 64 KiB.
    Dropped(u64),
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Out(text) | Self::Err(text) => f.write_str(text),
            Self::Dropped(bytes) => write!(f, "({bytes} bytes more were dropped)"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Stream {
    Out,
    Err,
}

/// Takes bytes as they come, and passes lines on.
pub(super) struct Output<'a> {
    say: &'a mut dyn FnMut(Line<'_>),
    /// The lines that have not ended yet, one a stream.
    begun: [Vec<u8>; 2],
    room: usize,
    dropped: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(say: &'a mut dyn FnMut(Line<'_>)) -> Self {
        Self {
            say,
            begun: [Vec::new(), Vec::new()],
            room: TOTAL,
            dropped: 0,
        }
    }

    pub(super) fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let mut pieces = bytes.split_inclusive(|byte| *byte == b'\n');
        while self.room > 0 {
            let Some(piece) = pieces.next() else { return };
            match piece.strip_suffix(b"\n") {
                Some(piece) => {
                    self.begin(stream, piece);
                    self.end(stream);
                }
                None => self.begin(stream, piece),
            }
        }
        // A flood is not looked at.
        self.dropped += pieces.map(|piece| piece.len() as u64).sum::<u64>();
    }

    /// What has no line end, and how much was dropped.
    pub(super) fn finish(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            if !self.begun[stream as usize].is_empty() {
                self.end(stream);
            }
        }
        if self.dropped > 0 {
            (self.say)(Line::Dropped(self.dropped));
        }
    }

    fn begin(&mut self, stream: Stream, piece: &[u8]) {
        let line = &mut self.begun[stream as usize];
        let (kept, dropped) = piece.split_at(piece.len().min(LINE - line.len()));
        line.extend(kept);
        self.dropped += dropped.len() as u64;
    }

    fn end(&mut self, stream: Stream) {
        let line = &mut self.begun[stream as usize];
        let bytes = line.strip_suffix(b"\r").unwrap_or(line);
        let (text, used) = printable(bytes, LINE.min(self.room));
        self.dropped += (bytes.len() - used) as u64;
        if used > 0 || bytes.is_empty() {
            (self.say)(match stream {
                Stream::Out => Line::Out(&text),
                Stream::Err => Line::Err(&text),
            });
        }
        self.room = self.room.saturating_sub(text.len() + 1);
        line.clear();
    }
}

/// As text of at most so many bytes, and how many bytes of the input are in it.
fn printable(bytes: &[u8], limit: usize) -> (String, usize) {
    let (mut text, mut used) = (String::new(), 0);
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        let invalid = chunk.invalid().len();
        let all = valid.chain((invalid > 0).then_some((char::REPLACEMENT_CHARACTER, invalid)));
        for (c, len) in all {
            let before = text.len();
            push(&mut text, c);
            if text.len() > limit {
                text.truncate(before);
                return (text, used);
            }
            used += len;
        }
    }
    (text, used)
}

fn push(text: &mut String, c: char) {
    if c.is_control() {
        // Writing to a string does not fail.
        let _ = write!(text, "{}", c.escape_default());
    } else {
        text.push(c);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is passed on of pieces on standard output, a line each, and how much is dropped.
    fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, u64) {
        let (mut lines, mut lost) = (Vec::new(), 0);
        let mut say = |line: Line<'_>| match line {
            Line::Out(text) => lines.push(text.to_owned()),
            Line::Err(text) => panic!("{text}"),
            Line::Dropped(bytes) => lost += bytes,
        };
        let mut output = Output::new(&mut say);
        for piece in pieces {
            output.take(Stream::Out, piece);
        }
        output.finish();
        (lines, lost)
    }

    #[test]
    fn lines_come_whole_whatever_pieces_they_come_in() {
        let (said, lost) = lines([&b"one\ntw"[..], b"o", b"\r\n\nlast"]);
        assert_eq!(
            (said.as_slice(), lost),
            (&["one", "two", "", "last"].map(String::from)[..], 0)
        );
    }

    #[test]
    fn the_streams_do_not_mix() {
        let mut said = Vec::new();
        let mut say = |line: Line<'_>| said.push(format!("{line:?}"));
        let mut output = Output::new(&mut say);
        output.take(Stream::Out, b"a");
        output.take(Stream::Err, b"b\n");
        output.take(Stream::Out, b"c\n");
        output.finish();
        assert_eq!(said, ["Err(\"b\")", "Out(\"ac\")"]);
    }

    #[test]
    fn what_would_play_with_a_terminal_is_escaped() {
        let (said, _) = lines([&b"\x1b[2J\ta\0\x7f \xff\xc3\xa9\xc2\x9b"[..]]);
        assert_eq!(said, ["\\u{1b}[2J\\ta\\u{0}\\u{7f} \u{fffd}é\\u{9b}"]);
    }

    #[test]
    fn a_long_line_is_cut_and_the_rest_of_it_counted() {
        let long = [b"x".repeat(3000), b"\ny\n".to_vec()].concat();
        let (said, lost) = lines([&long[..]]);
        assert_eq!(said, ["x".repeat(1024), "y".into()]);
        assert_eq!(lost, 3000 - 1024);
        // Where an escape does not fit any more, it is left out whole.
        let (said, lost) = lines([&b"\x1b".repeat(300)[..]]);
        assert_eq!((said[0].len(), lost), (1020, 300 - 170));
    }

    #[test]
    fn a_flood_ends_after_64_kib() {
        let flood = b"y\n".repeat(1 << 20);
        let (said, lost) = lines(flood.chunks(1000));
        assert_eq!((said.len(), lost), (32 << 10, (2 << 20) - (64 << 10)));
        let (said, _) = lines(b"\n".repeat(1 << 20).chunks(4096));
        assert_eq!(said.len(), 64 << 10);
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_bounded_printable_and_accounted_for(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..60)
        ) {
            let (said, lost) = lines(pieces.iter().map(Vec::as_slice));
            let total: usize = said.iter().map(|line| line.len() + 1).sum();
            prop_assert!(total <= TOTAL + 1);
            prop_assert!(said.iter().all(|line| line.len() <= LINE && !line.contains(char::is_control)));
            prop_assert!(lost <= pieces.iter().map(|piece| piece.len() as u64).sum());
        }
    }
}
