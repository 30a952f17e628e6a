//! What commands print: tables, JSON lines, and complaints.
//!
//! Standard output carries the answer and nothing else; a closed one ends the command quietly.

use std::io::{ErrorKind, IsTerminal, Write};

use serde::Serialize;

use crate::cli::{CliError, Exit};

/// Prints text to standard output.
///
/// # Errors
/// When standard output cannot be written, other than because its reader has gone.
pub fn print(text: &str) -> Result<Exit, CliError> {
    print_bytes(text.as_bytes())
}

/// Prints bytes to standard output.
///
/// # Errors
/// When standard output cannot be written, other than because its reader has gone.
pub fn print_bytes(bytes: &[u8]) -> Result<Exit, CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::io("cannot write to standard output", error))
        }
        Ok(()) | Err(_) => Ok(Exit::Ok),
    }
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// When standard output cannot be written.
pub fn print_json<T: Serialize>(value: &T) -> Result<Exit, CliError> {
    let mut line = serde_json::to_string(value).map_err(|source| CliError::Software {
        what: "cannot write a value as JSON".into(),
        source: source.into(),
    })?;
    line.push('\n');
    print(&line)
}

/// Prints a complaint to standard error; if that is closed, nobody listens.
pub fn complain(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Whether standard output may carry colours.
#[must_use]
pub fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A table with left-aligned columns, two spaces apart.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let heads: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["2,500.0".into(), "x".into()], vec!["1".into(), "übung".into()]];
        assert_eq!(table(&["price", "name"], &rows), "price    name\n2,500.0  x\n1        übung\n");
    }
}
