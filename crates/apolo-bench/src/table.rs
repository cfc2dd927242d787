//! Tables of text, on stdout.

/// Prints a heading, then rows in columns that are as wide as they must be; the first row is that of names. All but the
/// first column end at their right edge.
pub(crate) fn print(heading: &str, rows: &[Vec<String>]) {
    println!("\n{heading}");
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        println!("  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// A row of cells.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// A goal, and whether it is met: `<= 2.50 met`.
pub(crate) fn at_most(goal: f64, figure: f64) -> String {
    format!("<= {goal} {}", if figure <= goal { "met" } else { "missed" })
}

/// As [`at_most`], for a figure that is to be large.
pub(crate) fn at_least(goal: f64, figure: f64) -> String {
    format!(">= {goal} {}", if figure >= goal { "met" } else { "missed" })
}
