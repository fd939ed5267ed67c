//! One JSON object a line and incident.

use crate::row_json::RowJson;
use crate::view::View;
use crate::{RenderOptions, ReportError, json_text};
use std::io::Write;

/// Writes one line a row; nothing at all without incidents.
pub fn render(view: &View<'_>, _: &RenderOptions, out: &mut dyn Write) -> Result<(), ReportError> {
    view.pieces(
        |rows| {
            let mut lines = Vec::with_capacity(rows.len() * 1024);
            for row in rows {
                json_text::line(&RowJson(row), &mut lines)?;
                lines.push(b'\n');
            }
            Ok(lines)
        },
        |lines: Result<Vec<u8>, ReportError>| Ok(out.write_all(&lines?)?),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::columns::columns;
    use crate::{OutputFormat, example, render as render_as};

    #[test]
    fn every_line_has_every_column() {
        let mut out = Vec::new();
        render_as(&example::report(), OutputFormat::Ndjson, &RenderOptions::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), example::report().rows.len());
        for line in text.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(row.as_object().unwrap().len(), columns().len());
            assert!(row["evidence"].as_array().unwrap().iter().all(|item| item["text"].is_string()));
        }
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["edge_time"], "2026-11-22T10:02:11.000Z");
        assert_eq!(first["edge_status"], 520);
        assert_eq!(first["origin_tcp_ms"], 0, "a logged 0 stays");
        assert_eq!(first["parent_ray_id"], serde_json::Value::Null);
        assert!(!text.contains("hunter2"));
    }
}
