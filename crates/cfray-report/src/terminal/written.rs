//! Where the rest is, and what to ask of it.

use super::page::Page;
use crate::RenderOptions;
use crate::escape::visible;
use crate::format::OutputFormat;
use crate::layout::left;
use crate::words;
use anstyle::AnsiColor;

impl Page {
    pub(super) fn written(&mut self, statuses: &str, options: &RenderOptions) {
        if options.written.is_empty() {
            return;
        }
        self.title("Written");
        for (format, path) in &options.written {
            let line = format!("  {}{}", self.dim(&left(format.name(), 10)), self.strong(&visible(path)));
            self.line(&line);
        }
        if let Some((_, path)) = options.written.iter().find(|(format, _)| *format == OutputFormat::Parquet) {
            self.out.push('\n');
            let note = self.dim(&format!("  Ask more of the {} with DuckDB:", words::incidents(statuses, 2)));
            self.line(&note);
            for query in queries(path) {
                for line in query {
                    let line = format!("  {}", self.paint(&line, AnsiColor::Cyan.on_default()));
                    self.line(&line);
                }
            }
        }
    }
}

/// Two queries that run on the Parquet file just written. (They may be wider than the page when the path
/// is: a query that is cut does not run.)
pub fn queries(path: &str) -> [Vec<String>; 2] {
    // In SQL a quote inside a string is doubled; for the shell's sake the whole is not quoted again.
    let table = format!("'{}'", visible(path).replace('\'', "''"));
    [
        vec![
            "SELECT cause, host, count(*) AS n, round(avg(confidence), 2) AS sure".to_owned(),
            format!("FROM {table} WHERE counted GROUP BY ALL ORDER BY n DESC;"),
        ],
        vec![
            "SELECT edge_time, ray_id, uri, cause, e.source, e.line, e.text".to_owned(),
            format!("FROM (SELECT *, unnest(evidence) AS e FROM {table})"),
            "WHERE e.kind = 'line' ORDER BY edge_time LIMIT 20;".to_owned(),
        ],
    ]
}
