//! Tables, the same on a terminal and in a pipe.

use unicode_width::UnicodeWidthStr;

use super::visible;

/// Blanks between two columns, as kubectl has them.
const BETWEEN: usize = 3;

/// Rows under their headers.
#[derive(Debug)]
pub(crate) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one with these columns.
    #[must_use]
    pub(crate) fn new(headers: impl Into<Vec<&'static str>>) -> Self {
        Self { headers: headers.into(), rows: Vec::new() }
    }

    /// Adds a row: a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| on_one_line(&cell)).collect());
    }

    /// All of it as text, with or without the headers.
    #[must_use]
    pub(crate) fn text(&self, with_headers: bool) -> String {
        let headers: Vec<String> = self.headers.iter().map(|&header| header.to_owned()).collect();
        let rows: Vec<&Vec<String>> = with_headers.then_some(&headers).into_iter().chain(&self.rows).collect();
        let widths: Vec<usize> = (0..self.headers.len())
            .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + BETWEEN));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// What would be read as another row or name is shown for what it is.
fn on_one_line(text: &str) -> String {
    visible(text).replace('\n', "\\u{a}")
}

/// Names, one a line.
#[must_use]
pub(crate) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("{}\n", on_one_line(name))).collect()
}

/// The table of keys that users of Apolo know: an empty line, the header, a rule, and the keys.
#[must_use]
pub(crate) fn keys<'a>(keys: impl IntoIterator<Item = &'a str>, with_headers: bool) -> String {
    const HEADER: &str = "KEY";
    let keys: Vec<_> = keys.into_iter().map(visible).collect();
    let longest = keys.iter().map(|key| key.width()).chain([HEADER.len()]).max().unwrap_or(0);
    let lines: String = keys.iter().map(|key| format!("  {key}\n")).collect();
    if !with_headers {
        return lines;
    }
    format!("\n  {HEADER}\n╶{}╴\n{lines}", "─".repeat(longest + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_is_shown() {
        let mut table = Table::new(["KEY", "FOR"]);
        table.row(["日本".to_owned(), "bob".to_owned()]);
        table.row(["a\u{1b}".to_owned(), String::new()]);
        table.row(["a\nb".to_owned(), String::new()]);
        assert_eq!(table.text(true), "KEY       FOR\n日本      bob\na\\u{1b}\na\\u{a}b\n");
        assert_eq!((table.text(false).lines().count(), names(["a\nb"]).as_str()), (3, "a\\u{a}b\n"));
    }

    #[test]
    fn the_table_of_keys_is_the_one_that_its_users_know() {
        assert_eq!(keys(["aws-key", "db"], true), "\n  KEY\n╶─────────╴\n  aws-key\n  db\n");
        assert_eq!(keys([], true), "\n  KEY\n╶─────╴\n");
    }
}
