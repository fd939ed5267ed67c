//! Tied lines as they stand in their files, with what stands around them.

use super::archive::Member;
use super::lines::Tied;
use cfray_ingest::{Discovery, Options};
use cfray_model::SourceId;
use cfray_report::Masker;
use cfray_report::escape::{clip, visible};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

/// Lines before and after a tied record.
const AROUND: u64 = 3;
/// Longest line that is looked at, in bytes.
const LONGEST: usize = 64 << 10;
/// Longest line that is shown, in characters: far shorter, so that no secret is cut before it is masked.
const SHOWN: usize = 4000;

/// What is wanted of one file.
#[derive(Debug, Default)]
struct Wanted<'w> {
    name: &'w str,
    /// First line of a tied record to its number of lines, its ties and its text.
    records: BTreeMap<u64, (u64, BTreeSet<&'static str>, &'w str)>,
}

/// One member a file, in order of the sources.
pub fn excerpts(tied: &[Tied<'_>], discovery: &Discovery, options: &Options, masker: &Masker) -> Vec<Member> {
    let mut files: BTreeMap<SourceId, Wanted<'_>> = BTreeMap::new();
    for t in tied {
        let file = files.entry(t.source).or_default();
        file.name = t.name;
        let lines = t.text.split('\n').count() as u64;
        file.records.entry(t.line).or_insert_with(|| (lines, BTreeSet::new(), t.text.as_str())).1.insert(t.how);
    }
    let numbered = (1..).zip(files);
    numbered
        .map(|(number, (source, wanted))| {
            let name = masker.text(wanted.name).into_owned();
            let base: String = name.rsplit('/').next().unwrap_or_default().chars().take(80).map(plain).collect();
            Member::text(&format!("origin/{number:03}-{base}.txt"), excerpt(source, &name, &wanted, discovery, options, masker))
        })
        .collect()
}

/// A character that every file system takes.
const fn plain(c: char) -> char {
    if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }
}

fn excerpt(source: SourceId, name: &str, wanted: &Wanted<'_>, discovery: &Discovery, options: &Options, masker: &Masker) -> String {
    let mut out = format!("{}\nTied lines are marked >, the others stand around them.\n", visible(name));
    // Of records that hold request bodies only the record itself: what is cut out of the middle of one cannot be masked.
    let format = discovery.parser(source).map_or("", |parser| parser.format());
    let content = if format.starts_with("modsec") || discovery.is_stream(source) {
        Err("lines around them are not shown for this source".to_owned())
    } else {
        discovery.open(source, options)
    };
    let content = match content {
        Ok(content) => content,
        Err(why) => {
            out.push_str(&format!("({})\n", visible(&masker.own(&why))));
            for (line, (_, ties, text)) in &wanted.records {
                out.push_str(&chunk(&[(*line, (*text).to_owned())], wanted, ties.iter().copied().collect(), masker));
            }
            return out;
        }
    };
    let mut reader = Lines { inner: BufReader::new(content.reader), number: 0 };
    for (from, to) in windows(wanted) {
        let mut lines: Vec<(u64, String)> = Vec::new();
        while reader.number < to {
            let Some((number, line)) = reader.next_line(from) else { break };
            if number >= from {
                lines.push((number, line));
            }
        }
        // A piece of a record that began above is no line of its own.
        let starts = |line: &str| discovery.parser(source).is_none_or(|parser| parser.starts_record(line.as_bytes()));
        let first = lines.iter().position(|(number, line)| wanted.records.contains_key(number) || starts(line)).unwrap_or(lines.len());
        let lines = lines.get(first..).unwrap_or_default();
        let ties = wanted.records.range(from..=to).flat_map(|(_, (_, ties, _))| ties.iter().copied()).collect();
        out.push_str(&chunk(lines, wanted, ties, masker));
    }
    out
}

/// Spans of lines to show: tied records with what is around them, merged where they meet.
fn windows(wanted: &Wanted<'_>) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for (line, (lines, ..)) in &wanted.records {
        let (from, to) = (line.saturating_sub(AROUND).max(1), line + lines - 1 + AROUND);
        match spans.last_mut() {
            Some(last) if from <= last.1 + 1 => last.1 = last.1.max(to),
            _ => spans.push((from, to)),
        }
    }
    spans
}

/// A span, masked as a whole: a secret may reach over the end of a line.
fn chunk(lines: &[(u64, String)], wanted: &Wanted<'_>, ties: BTreeSet<&str>, masker: &Masker) -> String {
    let mut out = format!("\n-- tied by {}\n", ties.into_iter().collect::<Vec<_>>().join(", "));
    let text = lines.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n");
    let masked = masker.text(&text);
    let same = masked.matches('\n').count() == text.matches('\n').count();
    let numbers: Vec<u64> = lines.iter().flat_map(|(first, line)| (*first..).zip(line.split('\n')).map(|(number, _)| number)).collect();
    for (at, line) in masked.split('\n').enumerate() {
        let number = numbers.get(at).filter(|_| same);
        let own = number
            .is_some_and(|number| wanted.records.range(..=*number).next_back().is_some_and(|(first, (lines, ..))| *number < first + lines));
        let number = number.map(u64::to_string).unwrap_or_default();
        out.push_str(&format!("{} {number:>8}  {}\n", if own { '>' } else { ' ' }, visible(&clip(line, SHOWN))));
    }
    out
}

/// Numbered lines of a file, as the origin pass counts them.
struct Lines<R> {
    inner: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    /// The next line with its number; text is kept from line `from` on. A file that ends early or is broken ends the excerpt.
    fn next_line(&mut self, from: u64) -> Option<(u64, String)> {
        let mut line = Vec::new();
        let mut any = false;
        loop {
            let buffer = self.inner.fill_buf().ok()?;
            if buffer.is_empty() {
                if !any {
                    return None;
                }
                break;
            }
            any = true;
            let end = memchr::memchr(b'\n', buffer);
            let piece = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            if self.number + 1 >= from {
                let room = LONGEST.saturating_sub(line.len()).min(piece.len());
                line.extend_from_slice(piece.get(..room).unwrap_or_default());
            }
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.inner.consume(used);
            if end.is_some() {
                break;
            }
        }
        self.number += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        Some((self.number, String::from_utf8_lossy(line).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cfray_report::RenderOptions;

    fn wanted(records: &[(u64, u64)]) -> Wanted<'static> {
        let records = records.iter().map(|(line, lines)| (*line, (*lines, BTreeSet::from(["ray"]), ""))).collect();
        Wanted { name: "a.log", records }
    }

    #[test]
    fn spans_that_meet_are_one() {
        assert_eq!(windows(&wanted(&[(1, 1), (5, 2), (40, 1)])), [(1, 9), (37, 43)]);
        assert_eq!(windows(&wanted(&[(10, 1), (17, 1)])), [(7, 20)]);
    }

    #[test]
    fn lines_are_numbered_marked_and_masked() {
        let lines = [(9, "before".to_owned()), (10, "GET /?token=hunter2 \u{1b}[2J".to_owned()), (11, "after".to_owned())];
        let text = chunk(&lines, &wanted(&[(10, 1)]), BTreeSet::from(["ray"]), &Masker::new(&RenderOptions::default()));
        let marks: Vec<&str> = text.lines().skip(2).collect();
        assert!(marks[0].starts_with("         9") || marks[0].starts_with("          9"), "{text}");
        assert!(marks[1].starts_with('>') && marks[1].contains("token=***") && !marks[1].contains('\u{1b}'), "{text}");
        assert!(!text.contains("hunter2") && marks[2].contains("11  after"), "{text}");
    }

    #[test]
    fn long_lines_and_missing_ends_are_counted() {
        let mut text = vec![b'x'; LONGEST + 500];
        text.extend_from_slice(b"\r\nsecond\nthird");
        let mut lines = Lines { inner: BufReader::new(text.as_slice()), number: 0 };
        assert_eq!(lines.next_line(1).unwrap().1.len(), LONGEST);
        assert_eq!(lines.next_line(3).unwrap(), (2, String::new()));
        assert_eq!(lines.next_line(3).unwrap(), (3, "third".to_owned()));
        assert!(lines.next_line(3).is_none());
    }
}
