//! How does a person see the problems? In the form that rustc made familiar.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::lines::Lines;
use super::problem::{Problem, Problems, Severity, Span};

/// Whether the output has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text alone: for files, pipes and logs.
    Plain,
    /// With the escape sequences of a terminal.
    Coloured,
}

/// Places further apart than this are shown one by one, not with everything between them.
const LINES_SHOWN_TOGETHER: usize = 50;

impl Problems {
    /// Every problem with its place underlined and its advice.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let renderer = match paint {
            Paint::Plain => Renderer::plain(),
            Paint::Coloured => Renderer::styled(),
        };
        let lines = Lines::of(self.text());
        let rendered = self.iter().map(|problem| {
            let report = report(self, &lines, problem);
            renderer.render(&[report]) + "\n"
        });
        rendered.collect::<Vec<_>>().join("\n")
    }

    /// How many there are: `2 errors and 1 warning`.
    #[must_use]
    pub fn summary(&self) -> String {
        let errors = counted(self.count(Severity::Error), "error");
        let warnings = counted(self.count(Severity::Warning), "warning");
        match (errors, warnings) {
            (Some(errors), Some(warnings)) => format!("{errors} and {warnings}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "no problem".to_owned(),
        }
    }
}

fn counted(count: usize, noun: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {noun}")),
        _ => Some(format!("{count} {noun}s")),
    }
}

fn report<'p>(problems: &'p Problems, lines: &Lines, problem: &'p Problem) -> Group<'p> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let pieces = pieces(lines, problem);
    let snippets = pieces
        .iter()
        .map(|piece| piece.snippet(problems, lines, problem));
    let group = level
        .primary_title(problem.message.as_str())
        .elements(snippets);
    match &problem.advice {
        Some(advice) => group.element(Level::HELP.message(advice.as_str())),
        None => group,
    }
}

/// Lines that are shown together. Only these are given to the renderer, which reads all of what it
/// is given, for each problem again.
struct Piece {
    first: usize,
    last: usize,
    primary: bool,
    related: Vec<usize>,
}

/// The problem's own lines with the related ones that are near, then each one that is far.
fn pieces(lines: &Lines, problem: &Problem) -> Vec<Piece> {
    let reach = |span: &Span| (lines.line(span.start), lines.line(span.end));
    let (first, last) = reach(&problem.span);
    let mut near = Piece {
        first,
        last,
        primary: true,
        related: Vec::new(),
    };
    let mut far = Vec::new();
    for (index, related) in problem.related.iter().enumerate() {
        let (start, end) = reach(&related.span);
        if start.abs_diff(first) <= LINES_SHOWN_TOGETHER {
            near.first = near.first.min(start);
            near.last = near.last.max(end);
            near.related.push(index);
        } else {
            far.push(Piece {
                first: start,
                last: end,
                primary: false,
                related: vec![index],
            });
        }
    }
    far.insert(0, near);
    far
}

impl Piece {
    fn snippet<'p>(
        &self,
        problems: &'p Problems,
        lines: &Lines,
        problem: &'p Problem,
    ) -> Snippet<'p, Annotation<'p>> {
        let text = problems.text();
        let from = lines.start(self.first);
        let shown = &text[from..lines.end(self.last, text)];
        let shift = |span: &Span| span.start - from..span.end - from;
        let related = self.related.iter().map(|index| {
            let related = &problem.related[*index];
            let kind = AnnotationKind::Context.span(shift(&related.span));
            kind.label(related.label.as_str())
        });
        let primary = self
            .primary
            .then(|| AnnotationKind::Primary.span(shift(&problem.span)));
        Snippet::source(shown)
            .line_start(self.first)
            .path(problems.file())
            .annotations(primary.into_iter().chain(related))
    }
}
