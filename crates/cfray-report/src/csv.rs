//! CSV as RFC 4180 has it, with LF, a header row, and nothing that a spreadsheet would run.
//!
//! Written by hand because absent and empty differ: absent is nothing, a logged empty string is `""`.

use crate::columns::{Value, columns};
use crate::view::View;
use crate::{RenderOptions, ReportError};
use cfray_model::verdict::{Evidence, EvidenceKind};
use std::io::Write;

/// Writes the header and one line a row.
pub fn render(view: &View<'_>, options: &RenderOptions, out: &mut dyn Write) -> Result<(), ReportError> {
    let names: Vec<&str> = columns().iter().map(|column| column.name).collect();
    writeln!(out, "{}", names.join(","))?;
    view.pieces(
        |rows| {
            let mut lines = String::with_capacity(rows.len() * 1024);
            for row in rows {
                for (index, column) in columns().iter().enumerate() {
                    if index > 0 {
                        lines.push(',');
                    }
                    cell(&(column.get)(row), column.foreign && !options.csv_raw, &mut lines);
                }
                lines.push('\n');
            }
            lines
        },
        |lines| Ok(out.write_all(lines.as_bytes())?),
    )
}

fn cell(value: &Value<'_>, guard: bool, line: &mut String) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = match value {
        Value::Absent => Ok(()),
        Value::Text(text) => {
            quoted(text, guard, line);
            Ok(())
        }
        Value::Int(number) => write!(line, "{number}"),
        // `{:?}` keeps the point: 3.0, so that readers that guess types see a float.
        Value::Float(number) => write!(line, "{number:?}"),
        Value::Bool(truth) => write!(line, "{truth}"),
        Value::Time(stamp) => write!(line, "{}", stamp.to_rfc3339_ms()),
        Value::Evidence([]) => Ok(()),
        Value::Evidence(items) => {
            let items: Vec<String> = items.iter().map(evidence).collect();
            quoted(&items.join(" | "), guard, line);
            Ok(())
        }
    };
}

/// `FILE:LINE: raw text` for what stands in a file, else the sentence.
pub fn evidence(item: &Evidence) -> String {
    let in_file = matches!(item.kind, EvidenceKind::Line | EvidenceKind::Config) && !item.source.is_empty();
    match (in_file, item.line) {
        (true, Some(number)) => format!("{}:{number}: {}", item.source, item.text),
        (true, None) => format!("{}: {}", item.source, item.text),
        (false, _) => item.text.to_string(),
    }
}

fn quoted(text: &str, guard: bool, line: &mut String) {
    // Tab, LF and CR are data in a quoted cell. Other control bytes only serve to fool a terminal.
    let shown: std::borrow::Cow<'_, str> = if text.chars().any(hostile) {
        text.chars().map(|c| if hostile(c) { format!("\\x{:02X}", u32::from(c)) } else { c.to_string() }).collect::<String>().into()
    } else {
        text.into()
    };
    let apostrophe = guard && shown.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_stdin_place(&shown);
    let quote = shown.is_empty() || shown.contains([',', '"', '\n', '\r']) || shown.starts_with(' ') || shown.ends_with(' ');
    if quote {
        line.push('"');
    }
    if apostrophe {
        line.push('\'');
    }
    if quote {
        line.push_str(&shown.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(&shown);
    }
}

fn hostile(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\x7f'..='\u{9f}')
}

/// `-:12`, our own name for line 12 of standard input.
fn is_stdin_place(text: &str) -> bool {
    text.strip_prefix("-:").is_some_and(|line| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{OutputFormat, example, render as render_as};

    fn csv(options: &RenderOptions) -> String {
        let mut out = Vec::new();
        render_as(&example::report(), OutputFormat::Csv, options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_written() {
        insta::assert_snapshot!(csv(&RenderOptions::default()));
    }

    #[test]
    fn reads_back_with_the_csv_crate() {
        let text = csv(&RenderOptions { csv_raw: true, ..RenderOptions::default() });
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let uri = reader.headers().unwrap().iter().position(|name| name == "uri").unwrap();
        let rows: Vec<::csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        let report = example::report();
        assert_eq!(rows.len(), report.rows.len());
        for (record, row) in rows.iter().zip(report.rows.iter()) {
            assert_eq!(record.len(), columns().len());
            let wanted = crate::mask::mask(row.edge.uri.as_deref().unwrap_or_default()).into_owned();
            assert_eq!(record.get(uri).unwrap(), wanted.replace('\x1b', "\\x1B"));
        }
    }

    #[test]
    fn spreadsheets_run_nothing() {
        let guarded = csv(&RenderOptions::default());
        for (number, line) in guarded.lines().enumerate().skip(1) {
            let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            for (column, cell) in columns().iter().zip(reader.records().next().unwrap().unwrap().iter()) {
                if column.foreign {
                    assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "row {number}, {}: {cell}", column.name);
                }
            }
        }
        assert!(guarded.contains(",'=cmd()"), "guarded");
        assert!(csv(&RenderOptions { csv_raw: true, ..RenderOptions::default() }).contains(",=cmd()"), "raw on request");
    }

    #[test]
    fn absent_is_not_empty() {
        let mut line = String::new();
        cell(&Value::Absent, true, &mut line);
        line.push(',');
        cell(&Value::Text("".into()), true, &mut line);
        line.push(',');
        cell(&Value::Text("-:12".into()), true, &mut line);
        line.push(',');
        cell(&Value::Text("-1+1".into()), true, &mut line);
        assert_eq!(line, ",\"\",-:12,'-1+1");
    }

    #[test]
    fn no_incidents_leave_the_header() {
        let mut out = Vec::new();
        render_as(&example::empty(), OutputFormat::Csv, &RenderOptions::default(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), 1);
    }
}
