//! The lines of a master file (RFC 1035 section 5.1): comments, quotes and
//! parentheses resolved, data untouched.

use super::error::Fault;

/// One entry: a record or a directive, which parentheses may spread over lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line on which it begins, counted from 1.
    pub(super) line: usize,
    /// Whether it begins with a blank: the owner is that of the entry before.
    pub(super) inherits_owner: bool,
    /// Its words and quoted strings, with their escapes still in them.
    pub(super) tokens: Vec<String>,
}

/// Splits a file into its entries; empty lines are none. The line and what is wrong where it can't.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, (usize, Fault)> {
    let mut lexer = Lexer {
        characters: text.chars().peekable(),
        line: 1,
        parenthesis: None,
        entry: None,
        entries: Vec::new(),
    };
    lexer.run()?;
    Ok(lexer.entries)
}

struct Lexer<'t> {
    characters: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
    /// The line of the open parenthesis.
    parenthesis: Option<usize>,
    entry: Option<Entry>,
    entries: Vec<Entry>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), (usize, Fault)> {
        let mut at_line_start = true;
        while let Some(character) = self.characters.next() {
            if at_line_start && self.parenthesis.is_none() {
                self.entry = Some(Entry {
                    line: self.line,
                    inherits_owner: matches!(character, ' ' | '\t'),
                    tokens: Vec::new(),
                });
            }
            at_line_start = false;
            match character {
                '\n' => {
                    self.line += 1;
                    at_line_start = true;
                    if self.parenthesis.is_none() {
                        self.end_entry();
                    }
                }
                ' ' | '\t' | '\r' => {}
                ';' => while self.characters.next_if(|c| *c != '\n').is_some() {},
                '(' => {
                    self.parenthesis.get_or_insert(self.line);
                }
                ')' => {
                    if self.parenthesis.take().is_none() {
                        return Err((self.line, Fault::Unopened));
                    }
                }
                '"' => self.quoted()?,
                first => self.word(first)?,
            }
        }
        if let Some(line) = self.parenthesis {
            return Err((line, Fault::Unclosed('(')));
        }
        self.end_entry();
        Ok(())
    }

    fn end_entry(&mut self) {
        let entry = self.entry.take().filter(|entry| !entry.tokens.is_empty());
        self.entries.extend(entry);
    }

    /// A quoted string, after its opening quote.
    fn quoted(&mut self) -> Result<(), (usize, Fault)> {
        let mut text = String::new();
        self.quote(&mut text)?;
        self.token(text);
        Ok(())
    }

    fn quote(&mut self, text: &mut String) -> Result<(), (usize, Fault)> {
        loop {
            match self.characters.next() {
                Some('"') => return Ok(()),
                None | Some('\n') => return Err((self.line, Fault::Unclosed('"'))),
                Some('\\') => self.escape(text),
                Some(character) => text.push(character),
            }
        }
    }

    /// A word, which may have a quoted part, as in `alpn="h2,h3"`.
    fn word(&mut self, first: char) -> Result<(), (usize, Fault)> {
        let mut text = String::new();
        let mut character = Some(first);
        while let Some(next) = character {
            match next {
                '\\' => self.escape(&mut text),
                '"' => self.quote(&mut text)?,
                next => text.push(next),
            }
            let ends = |c: &char| matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '(' | ')');
            character = self.characters.next_if(|c| !ends(c));
        }
        self.token(text);
        Ok(())
    }

    /// Keeps an escape as it is, so that what it hides ends nothing.
    fn escape(&mut self, text: &mut String) {
        text.push('\\');
        text.extend(self.characters.next_if(|c| *c != '\n'));
    }

    fn token(&mut self, text: String) {
        if let Some(entry) = &mut self.entry {
            entry.tokens.push(text);
        }
    }
}

/// A text's octets with its escapes resolved: `\DDD` is the octet of that number, `\X` is X.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        let first = rest.next().ok_or("`\\` at its end")?;
        if !first.is_ascii_digit() {
            octets.push(first);
            continue;
        }
        let mut number = 0_u32;
        for digit in [Some(first), rest.next(), rest.next()] {
            let digit = digit.filter(u8::is_ascii_digit).ok_or("`\\` needs three digits")?;
            number = number * 10 + u32::from(digit - b'0');
        }
        octets.push(u8::try_from(number).map_err(|_| "`\\` with a number above 255")?);
    }
    Ok(octets)
}

/// The labels of a name as text, escapes kept, split at its unescaped dots.
pub(super) fn labels(name: &str) -> Vec<&str> {
    let mut labels = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, character) in name.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '.' => {
                labels.push(&name[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    labels.push(&name[start..]);
    labels
}
