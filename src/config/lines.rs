//! On which line is a byte, and in which column?

/// Where each line of a text starts.
pub(super) struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let after_newline = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after_newline).collect();
        Self { starts }
    }

    /// The line of a byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at).max(1)
    }

    /// How many lines there are.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// The first byte of a line.
    pub(super) fn start(&self, line: usize) -> usize {
        self.starts.get(line - 1).copied().unwrap_or_default()
    }

    /// The first byte after a line and its newline.
    pub(super) fn end(&self, line: usize, text: &str) -> usize {
        self.starts.get(line).copied().unwrap_or(text.len())
    }

    /// The column of a byte, in characters from 1.
    pub(super) fn column(&self, text: &str, at: usize) -> usize {
        let start = self.start(self.line(at));
        text.get(start..at).map_or(0, |s| s.chars().count()) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let text = "a\nöb\n";
        let lines = Lines::of(text);
        assert_eq!((lines.line(0), lines.column(text, 0)), (1, 1));
        assert_eq!((lines.line(4), lines.column(text, 4)), (2, 2));
        assert_eq!(lines.line(text.len()), 3);
    }
}
