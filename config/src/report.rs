//! Everything that is wrong with a file, at once.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};

/// More than this many problems are counted, not shown.
const SHOWN: usize = 100;

/// What is wrong, or doubtful, in one file, in the order of its lines.
///
/// `Display` renders it without colour for logs and files, [`Report::styled`] with colour for a
/// terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    path: String,
    text: Arc<str>,
    problems: Vec<Problem>,
    /// Problems that were only counted.
    more: usize,
}

/// One thing that is wrong or doubtful.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file is refused for it.
    pub severity: Severity,
    /// Line, counted from 1; 0 where it concerns the file as a whole.
    pub line: usize,
    /// Column in characters, counted from 1; 0 where it concerns the file as a whole.
    pub column: usize,
    /// The key, with the names of its tables: `edge.cache.memory`. Empty where none is concerned.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    span: Option<Range<usize>>,
    related: Option<(Range<usize>, String)>,
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken, but doesn't do all that it seems to.
    Warning,
}

impl Report {
    /// A report on the file as a whole, where its text couldn't be read.
    pub(crate) fn of_file(path: &Path, message: String, help: String) -> Self {
        Self::new(path, "", vec![Problem::error(None, "", message, help)])
    }

    /// Puts `problems` in order of line.
    pub(crate) fn new(path: &Path, text: &str, mut problems: Vec<Problem>) -> Self {
        let more = problems.len().saturating_sub(SHOWN);
        problems.sort_by_key(|problem| problem.span.as_ref().map(|span| (span.start, span.end)));
        problems.truncate(SHOWN);
        for problem in &mut problems {
            problem.locate(text);
        }
        Self { path: path.display().to_string(), text: text.into(), problems, more }
    }

    /// The problems in order of line, at most 100 of them.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Those for which the file is refused.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        self.problems.iter().filter(is_error)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// The report with a terminal's colours.
    pub fn styled(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn render(&self, renderer: &Renderer) -> String {
        let mut rendered: Vec<String> =
            self.problems.iter().map(|problem| self.render_problem(renderer, problem)).collect();
        if self.more > 0 {
            rendered.push(format!("… and {} more", self.more));
        }
        rendered.join("\n\n")
    }

    fn render_problem(&self, renderer: &Renderer, problem: &Problem) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(problem.message.as_str());
        let help = Level::HELP.message(problem.help.as_str());
        let group = match &problem.span {
            Some(span) => title.element(self.snippet(span, problem.related.as_ref())),
            None => title.element(Origin::path(self.path.as_str())),
        };
        renderer.render(&[group.element(help)])
    }

    fn snippet(
        &self,
        span: &Range<usize>,
        related: Option<&(Range<usize>, String)>,
    ) -> Snippet<'_, Annotation<'_>> {
        let related = related
            .map(|(span, label)| AnnotationKind::Context.span(span.clone()).label(label.clone()));
        Snippet::source(&*self.text)
            .path(self.path.as_str())
            .annotation(AnnotationKind::Primary.span(span.clone()))
            .annotations(related)
    }
}

impl Problem {
    pub(crate) fn error(
        span: Option<Range<usize>>,
        key: &str,
        message: String,
        help: String,
    ) -> Self {
        Self {
            severity: Severity::Error,
            line: 0,
            column: 0,
            key: key.to_owned(),
            message,
            help,
            span,
            related: None,
        }
    }

    /// The same as a warning.
    pub(crate) fn warning(self) -> Self {
        Self { severity: Severity::Warning, ..self }
    }

    /// The same with a second place that it has to do with.
    pub(crate) fn related(self, span: Range<usize>, label: &str) -> Self {
        Self { related: Some((span, label.to_owned())), ..self }
    }

    /// Finds line and column of the problem's place in `text`.
    fn locate(&mut self, text: &str) {
        if let Some(before) = self.span.as_ref().and_then(|span| text.get(..span.start)) {
            let line = before.rsplit('\n').next().unwrap_or(before);
            self.line = 1 + before.matches('\n').count();
            self.column = 1 + line.chars().count();
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

impl std::error::Error for Report {}
