//! Which format is a file? Content decides.

use crate::registry::FORMATS;
use crate::spec::{Detection, RecordParser, Sample};

/// The format with the best score; of equal ones the first in the registry.
pub fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let mut best: Option<Detection> = None;
    for format in FORMATS {
        if let Some(found) = (format.detect)(sample)
            && found.score > best.as_ref().map_or(0, |b| b.score)
            && enough(sample, &*found.parser)
        {
            best = Some(found);
        }
    }
    best
}

/// Of a file that opens with something else, at least one line in this many must be the beginning of a record.
const ONE_IN: usize = 4;

/// So many records are no quotation, however long each is: clients can put line breaks into some.
const MANY: usize = 5;

/// Is the sample a log, and not a text that quotes a line of one? A log opens with a record, or with the rest of
/// one that began in the file before it; otherwise records must be frequent.
fn enough(sample: &Sample<'_>, parser: &dyn RecordParser) -> bool {
    let records = sample.records(parser);
    // Apache's log takes what programs write to standard error, without a time: such lines prove nothing.
    let good = |record: &Vec<u8>| {
        let first = record.split(|&b| b == b'\n').next().unwrap_or_default();
        parser.parse(record).is_ok_and(|line| line.time.is_some() || parser.starts_record(first))
    };
    let before = records.iter().take_while(|record| !good(record));
    if before.clone().all(|record| record.split(|&b| b == b'\n').all(rest_of_a_trace)) {
        return records.iter().any(good);
    }
    let found = records.iter().filter(|record| good(record)).count();
    found >= MANY || found * ONE_IN >= sample.lines.len()
}

/// A line from inside a stack trace: a frame, or what PHP writes around frames.
fn rest_of_a_trace(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let frame = line.strip_prefix(b"#").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit));
    frame || [&b"thrown in "[..], b"Stack trace:", b"PHP message: ", b"at "].iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_text_that_quotes_a_line_is_no_log() {
        let prose = "# What went wrong\n\nOn Monday the shop was slow.\nWe looked at the server and found this:\n\n```\n";
        let after = "```\n\nIt went away when the pool was made larger.\nNobody knows why it had been so small.\nSee the wiki.\nThe end.\n";
        for format in FORMATS {
            for text in format.samples.iter().filter(|text| !text.contains('\n')) {
                let quoted = format!("{prose}{text}\n{after}");
                let found = detect(&Sample::from_bytes(quoted.as_bytes()));
                assert!(found.is_none(), "{}: {}", format.name, found.unwrap().why);
            }
        }
    }

    #[test]
    fn a_log_cut_off_in_the_middle_of_long_records_is_one() {
        let raw = "\u{16}\u{3}\u{1}x\n".repeat(9);
        let record = format!(
            "2026/11/22 12:24:07 [error] 811#811: *9 broken header: \"{raw}\" while reading PROXY protocol, client: 192.0.2.1, server: 0.0.0.0:443\n"
        );
        let text = format!("{raw}{}", record.repeat(6));
        assert_eq!(detect(&Sample::from_bytes(text.as_bytes())).unwrap().parser.format(), "nginx-error");
    }

    #[test]
    fn a_log_that_opens_with_the_rest_of_a_trace_is_one() {
        let line = "2026/11/22 12:24:07 [error] 811#811: *9 FastCGI sent in stderr: \"PHP message: PHP Fatal error: x\" while reading\n";
        let trace = "#0 /var/www/a.php(3): f()\n".repeat(30);
        let text = format!("{trace}  thrown in /var/www/a.php on line 3\n{line}{trace}{line}");
        assert_eq!(detect(&Sample::from_bytes(text.as_bytes())).unwrap().parser.format(), "nginx-error");
    }
}
