//! Comma-separated values (RFC 4180), all columns, names of columns in the first line.

use super::Row;

pub fn rows<T: Row>(rows: &[T]) -> String {
    let header = T::COLUMNS.iter().map(|column| column.title.to_lowercase().replace([' ', '/'], "_"));
    let mut text = line(header);
    for row in rows {
        text.push_str(&line(T::COLUMNS.iter().map(|column| {
            let cell = (column.cell)(row);
            if cell == "-" { String::new() } else { cell }
        })));
    }
    text
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let mut line = cells.map(|cell| field(&cell)).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

fn field(text: &str) -> String {
    // A leading = + @ would be run as a formula by spreadsheets.
    let risky = text.starts_with(['=', '+', '@', '\t']);
    if risky {
        format!("\"'{}\"", text.replace('"', "\"\""))
    } else if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_quoted_when_they_must_be_and_are_never_formulas() {
        for (text, written) in
            [("plain", "plain"), ("a,b", "\"a,b\""), ("say \"x\"", "\"say \"\"x\"\"\""), ("=1+1", "\"'=1+1\"")]
        {
            assert_eq!(field(text), written);
        }
    }
}
