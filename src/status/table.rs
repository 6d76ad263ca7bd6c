//! Columns of text.

use std::fmt;

/// A table whose columns are as wide as what stands in them.
pub(super) struct Table {
    /// Whether each column's numbers stand at its right.
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// One with these headings. A `>` before one says that its column stands at the right.
    pub(super) fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let heading = |heading: &&str| heading.trim_start_matches('>').to_owned();
        Self { right, rows: vec![headings.iter().map(heading).collect()] }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    fn width(&self, column: usize) -> usize {
        let widths = self.rows.iter().filter_map(|row| row.get(column));
        widths.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

/// What others say can't move the terminal's cursor.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, "?")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.right.len()).map(|column| self.width(column)).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&self.right).zip(&widths);
            let padded = cells.map(|((cell, right), width)| match right {
                true => format!("{cell:>width$}"),
                false => format!("{cell:width$}"),
            });
            let line = padded.collect::<Vec<_>>().join("  ");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
