//! Reads a parsed table key by key and collects what is wrong, instead of stopping at the first.
//!
//! The keys that a table knows are the keys that were asked for: what is left over when its reader
//! is done is unknown. A value that is missing or wrong is `None`, with its problem on the list.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Refusal;
use crate::report::Problem;

/// What is wrong with a value, and what to write instead.
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) help: String,
}

impl<R: Refusal> From<R> for Fault {
    fn from(refusal: R) -> Self {
        Self { message: refusal.to_string(), help: refusal.help() }
    }
}

/// The problems found so far.
#[derive(Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(crate) fn push(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    pub(crate) fn into_inner(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// One table of the file.
pub(crate) struct Reader<'a> {
    table: &'a DeTable<'a>,
    /// Where the table begins: its heading, or its key or text where it has none.
    span: Option<Range<usize>>,
    /// `edge.cache`; empty for the file itself.
    path: String,
    /// `[edge.cache]` or `[[edge]]`, as messages name it; empty for the file itself.
    heading: String,
    asked: Vec<&'static str>,
    /// Whether the keys are the operator's own, so that none is unknown.
    open: bool,
    problems: &'a Problems,
}

impl<'a> Reader<'a> {
    /// Reads the whole file with `read`.
    pub(crate) fn file<T>(
        table: &'a DeTable<'a>,
        problems: &'a Problems,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let reader = Self {
            table,
            span: None,
            path: String::new(),
            heading: String::new(),
            asked: Vec::new(),
            open: false,
            problems,
        };
        reader.run(read)
    }

    fn run<T>(mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let value = read(&mut self);
        if !self.open {
            self.refuse_unknown_keys();
        }
        value
    }

    fn below(&self, value: &Spanned<DeValue<'_>>, key: &str, table: &'a DeTable<'a>) -> Self {
        let path = self.key(key);
        Self {
            table,
            span: Some(value.span()),
            heading: format!("[{path}]"),
            path,
            asked: Vec::new(),
            open: false,
            problems: self.problems,
        }
    }

    /// Where the table begins.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone().unwrap_or_default()
    }

    /// Whether `key` is there, with whatever value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where `key` stands, or the table where it doesn't.
    pub(crate) fn span_of(&self, key: &str) -> Range<usize> {
        let entry = self.table.get_key_value(key);
        entry.map_or_else(|| self.span(), |(key, _)| key.span())
    }

    /// The value of `key`, where there is one and it is right.
    pub(crate) fn get<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<Spanned<T>> {
        let value = self.ask(key)?;
        self.parse(key, value, parse)
    }

    /// The value of `key`, or `default` where there is none.
    pub(crate) fn get_or<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> T {
        self.get(key, parse).map_or(default, Spanned::into_inner)
    }

    /// The value of `key`, which must be there.
    pub(crate) fn require<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<Spanned<T>> {
        if !self.has(key) {
            self.missing(key, example);
        }
        self.get(key, parse)
    }

    /// The values in the list `key`, where there is one. Wrong ones are left out, and so are those
    /// that stand twice; none at all is wrong.
    pub(crate) fn list<T: PartialEq>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<Vec<Spanned<T>>> {
        let value = self.ask(key)?;
        let help = format!("write `{key} = [{example}]`");
        let fault = match value.get_ref() {
            DeValue::Array(array) if array.is_empty() => {
                Fault { message: format!("the list `{key}` is empty"), help }
            }
            DeValue::Array(array) => {
                return Some(self.items(key, array, parse));
            }
            other => Fault { message: format!("`{key}` is a list, not {}", a_kind(other)), help },
        };
        self.fault(value.span(), key, fault);
        Some(Vec::new())
    }

    fn items<T: PartialEq>(
        &self,
        key: &str,
        array: &[Spanned<DeValue<'_>>],
        parse: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Vec<Spanned<T>> {
        let mut items: Vec<Spanned<T>> = Vec::with_capacity(array.len());
        for value in array {
            let Some(item) = self.parse(key, value, &parse) else {
                continue;
            };
            let same = |earlier: &&Spanned<T>| earlier.get_ref() == item.get_ref();
            let Some(earlier) = items.iter().find(same) else {
                items.push(item);
                continue;
            };
            let fault = Fault {
                message: format!("the list `{key}` has this twice"),
                help: "keep one of them".to_owned(),
            };
            let place = earlier.span();
            let related = |problem: Problem| problem.related(place, "the first is here");
            self.problem(item.span(), key, fault, related);
        }
        items
    }

    /// The values in the list `key`, which must be there.
    pub(crate) fn require_list<T: PartialEq>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Vec<Spanned<T>> {
        if !self.has(key) {
            self.missing(key, &format!("[{example}]"));
        }
        self.list(key, example, parse).unwrap_or_default()
    }

    /// What `read` makes of the table `key`, where there is one.
    pub(crate) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let value = self.ask(key)?;
        let path = self.key(key);
        let fault = match value.get_ref() {
            DeValue::Table(table) => return Some(self.below(value, key, table).run(read)),
            DeValue::Array(array) if array.iter().any(|item| item.get_ref().is_table()) => Fault {
                message: format!("`[{path}]` stands once in a file, not in a list"),
                help: format!("write `[{path}]`"),
            },
            other => Fault {
                message: format!("`{path}` is a table, not {}", a_kind(other)),
                help: format!("write `[{path}]` and its keys below it"),
            },
        };
        self.fault(value.span(), key, fault);
        None
    }

    /// What `read` makes of each of the tables `[[key]]`.
    pub(crate) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.ask(key) else {
            return Vec::new();
        };
        let path = self.key(key);
        let wrong = |value: &DeValue<'_>| Fault {
            message: format!("`{path}` is a list of tables, not {}", a_kind(value)),
            help: format!("write `[[{path}]]`, once for each"),
        };
        let items = match value.get_ref() {
            DeValue::Array(array) => array.iter().collect(),
            other => {
                self.fault(value.span(), key, wrong(other));
                vec![value]
            }
        };
        let mut found = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let mut reader = self.below(item, key, table);
                    reader.heading = format!("[[{path}]]");
                    found.extend(reader.run(&mut read));
                }
                _ if !value.get_ref().is_array() => {}
                other => {
                    let message =
                        format!("`{path}` is a list of tables with {} in it", a_kind(other));
                    let fault = Fault { message, ..wrong(other) };
                    self.fault(item.span(), key, fault);
                }
            }
        }
        found
    }

    /// Every key of the table with its value, for tables whose keys are the operator's own.
    pub(crate) fn entries<T>(
        &mut self,
        parse: impl Fn(&str, &DeValue<'_>) -> Result<T, Fault>,
    ) -> Vec<(String, T)> {
        let mut found = Vec::new();
        for (key, value) in self.table {
            let name = key.get_ref().as_ref();
            match parse(name, value.get_ref()) {
                Ok(parsed) => found.push((name.to_owned(), parsed)),
                Err(fault) => self.fault(key.span(), name, fault),
            }
        }
        self.open = true;
        found
    }

    /// Puts a fault of `key`, which stands at `span`, on the list.
    pub(crate) fn fault(&self, span: Range<usize>, key: &str, fault: Fault) {
        self.problem(span, key, fault, |problem| problem);
    }

    /// Puts a fault of `key` on the list, after `adjust` had its say.
    pub(crate) fn problem(
        &self,
        span: Range<usize>,
        key: &str,
        fault: Fault,
        adjust: impl FnOnce(Problem) -> Problem,
    ) {
        let key = self.key(key);
        let problem = Problem::error(Some(span), &key, fault.message, fault.help);
        self.problems.push(adjust(problem));
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn ask(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table.get(key)
    }

    fn parse<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        parse: impl Fn(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<Spanned<T>> {
        match parse(value.get_ref()) {
            Ok(parsed) => Some(Spanned::new(value.span(), parsed)),
            Err(fault) => {
                self.fault(value.span(), key, fault);
                None
            }
        }
    }

    fn missing(&self, key: &str, example: &str) {
        let fault = Fault {
            message: format!("`{}` has no `{key}`", self.heading),
            help: format!("add `{key} = {example}`"),
        };
        self.fault(self.span(), key, fault);
    }

    fn refuse_unknown_keys(&self) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let help = did_you_mean(name, self.asked.iter().copied()).unwrap_or_else(|| {
                let mut known = self.asked.clone();
                known.sort_unstable();
                known.dedup();
                format!("the keys known here are `{}`", known.join("`, `"))
            });
            let fault = Fault {
                message: match &self.span {
                    Some(_) => {
                        format!("unknown key `{}` in `{}`", name.escape_debug(), self.heading)
                    }
                    None => format!("unknown key `{}`", name.escape_debug()),
                },
                help,
            };
            self.fault(key.span(), name, fault);
        }
    }
}

/// `did you mean …?` with that of `known` which is nearest to `name`, where one is near.
pub(crate) fn did_you_mean<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    let near = 1 + name.chars().count() / 4;
    let distance = |known| strsim::damerau_levenshtein(name, known);
    known
        .map(|known| (distance(known), known))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, known)| format!("did you mean `{known}`?"))
}

/// The kind of a value with its article, as messages name it.
pub(crate) fn a_kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
