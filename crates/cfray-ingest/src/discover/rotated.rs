//! Rotated sets: `access.log`, `access.log.1`, `access.log.2.gz`, `access.log-20261122` are one log
//! in pieces, so what one piece is too small to tell, another tells.

use super::sniff::{Found, Probe, SMALL, Sniffed, Unknown, What, probe};
use cfray_formats::{RecordParser, Sample};
use cfray_model::key;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Endings of compressed files.
const PACKED: &[&str] = &[".gz", ".zst", ".bz2", ".xz"];

/// The name that the pieces of a rotated log share.
pub fn stem(name: &str) -> &str {
    let mut name = name;
    loop {
        let shorter = PACKED.iter().find_map(|e| name.strip_suffix(e)).or_else(|| strip_turn(name));
        match shorter {
            Some(shorter) if !shorter.is_empty() => name = shorter,
            _ => return name,
        }
    }
}

/// Takes off one mark of rotation: a number, a date, `.old`, `.bak`.
fn strip_turn(name: &str) -> Option<&str> {
    for word in [".old", ".bak", ".prev", "~"] {
        if let Some(shorter) = name.strip_suffix(word) {
            return Some(shorter);
        }
    }
    let mark = name.rfind(|c: char| !c.is_ascii_digit()).filter(|&at| matches!(name.as_bytes().get(at), Some(b'.' | b'-' | b'_')))?;
    let digits = name.len() - mark - 1;
    match (digits, name.as_bytes().get(mark)) {
        (1..=4, Some(b'.')) | (8 | 10 | 12 | 14, _) => name.get(..mark),
        // 2026-11-22
        (2, Some(b'-')) => {
            let start = name.len().checked_sub(11)?;
            let date = name.get(start..)?;
            let shape: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            matches!(shape.as_str(), ".0000-00-00" | "-0000-00-00" | "_0000-00-00").then(|| name.get(..start))?
        }
        _ => None,
    }
}

/// Lets the pieces of a set learn from the piece that shows most.
pub fn share_parsers(mut all: Vec<Sniffed>) -> Vec<Sniffed> {
    let mut sets: BTreeMap<(Vec<String>, String), Vec<usize>> = BTreeMap::new();
    for (i, one) in all.iter().enumerate() {
        let candidate = match one {
            Sniffed::Found(f) if !f.is_edge() => &f.candidate,
            Sniffed::Unknown(u, _) => &u.candidate,
            _ => continue,
        };
        let name = candidate.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        sets.entry((candidate.dir.clone(), stem(&name).to_owned())).or_default().push(i);
    }
    for members in sets.into_values().filter(|m| m.len() > 1) {
        let donor = members
            .iter()
            .filter_map(|&i| match all.get(i) {
                Some(Sniffed::Found(f)) if f.probe.parsed > 0 => Some((f.probe.parsed, std::cmp::Reverse(i))),
                _ => None,
            })
            .max()
            .map(|(_, std::cmp::Reverse(i))| i);
        let Some(Sniffed::Found(from)) = donor.and_then(|i| all.get(i)) else { continue };
        let What::Origin(parser) = &from.what else { continue };
        let (parser, name) = (Arc::clone(parser), from.candidate.name.clone());
        for i in members.into_iter().filter(|&i| Some(i) != donor) {
            if let Some(slot) = all.get_mut(i) {
                learn(slot, &parser, &name);
            }
        }
    }
    all
}

/// Gives a piece the set's parser if that reads it at least as well.
fn learn(slot: &mut Sniffed, parser: &Arc<dyn RecordParser>, from: &str) {
    match slot {
        Sniffed::Found(found) if found.sample_lines < SMALL && !found.forced => {
            let Some(bytes) = &found.small else { return };
            let other = probe(&**parser, &Sample::from_bytes(bytes));
            if other.parsed >= found.probe.parsed && other.parsed > 0 {
                found.why = format!("same rotated set as {from}");
                found.format = parser.format().to_owned();
                found.what = What::Origin(Arc::clone(parser));
                found.probe = other;
            }
        }
        Sniffed::Unknown(unknown, _) => {
            let sample = Sample::from_bytes(&unknown.sample);
            let seen = probe(&**parser, &sample);
            let middle = !sample.lines.is_empty() && sample.lines.iter().all(|line| !parser.starts_record(line));
            if seen.parsed == 0 && !middle {
                return;
            }
            let lines = sample.lines.len();
            *slot = rescue(unknown, parser, seen, lines, from);
        }
        _ => {}
    }
}

fn rescue(unknown: &mut Unknown, parser: &Arc<dyn RecordParser>, probe: Probe, lines: usize, from: &str) -> Sniffed {
    Sniffed::Found(Box::new(found(unknown, Arc::clone(parser), probe, lines, format!("same rotated set as {from}"))))
}

/// A file of no known format for which a parser was found all the same.
pub fn found(unknown: &mut Unknown, parser: Arc<dyn RecordParser>, probe: Probe, lines: usize, why: String) -> Found {
    Found {
        candidate: unknown.candidate.clone(),
        compression: unknown.compression,
        stream: unknown.stream.take(),
        format: parser.format().to_owned(),
        what: What::Origin(parser),
        why,
        sample_lines: lines,
        small: None,
        head: (unknown.sample.len(), key::bytes_key(&unknown.sample)),
        probe,
        forced: false,
        scope: String::new(),
        server: String::new(),
        fixed_server: false,
        stack: None,
    }
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn pieces_share_a_stem() {
        for name in [
            "access.log",
            "access.log.1",
            "access.log.2.gz",
            "access.log.10.zst",
            "access.log-20261122",
            "access.log-20261122.xz",
            "access.log.2026-11-22",
            "access.log-2026112212.gz",
            "access.log.old",
            "access.log.1.bz2",
        ] {
            assert_eq!(stem(name), "access.log", "{name}");
        }
        assert_eq!(stem("php8.2-fpm.log"), "php8.2-fpm.log");
        assert_eq!(stem("syslog.1.gz"), "syslog");
        assert_eq!(stem(".gz"), ".gz");
        assert_eq!(stem("site-2.log"), "site-2.log");
        assert_eq!(stem("access_log-20261122"), "access_log");
    }
}
