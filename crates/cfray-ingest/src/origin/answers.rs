//! Ordinary answers in an access log, for edge logs that do not deliver them.
//!
//! What failing requests have in common shows only against requests that succeeded. A job filtered to 5xx
//! has none of those, but the origin's own access log has: a choice of its lines is kept, the same
//! whatever order the parts were read in.

use super::unescape::unescape;
use cfray_model::{AnsweredLine, Line, LineRef, key};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Lines kept of one source.
const KEPT: usize = 8192;

/// The lines with the smallest hashes.
#[derive(Debug, Default)]
pub struct Answers {
    kept: BTreeSet<AnsweredLine>,
}

impl Answers {
    /// Takes an access line in, if it tells of an answer.
    pub fn add(&mut self, line: &Line<'_>, at: LineRef, json: bool) {
        // 401, 403 and 406 stay out: a ModSecurity drop is logged as one of them.
        let (Some(200..=399 | 404), Some(uri)) = (line.status, line.uri.as_deref()) else { return };
        if !self.wants(at) {
            return;
        }
        let uri = key::canonical_uri(uri);
        let path = uri.split(|&b| b == b'?').next().unwrap_or_default();
        let client = line.client.as_deref().unwrap_or_default();
        self.kept.insert(AnsweredLine {
            hash: hash_of(at),
            time: line.time,
            client: key::addr_key(client),
            network: key::network_key(client),
            visitor: line.visitor.as_deref().map_or(0, key::addr_key),
            agent: text_key(&line.agent, json),
            path: key::bytes_key(path),
            shape: key::shape_key(path),
            host: line.host.as_deref().map_or(0, key::host_key),
            method: line.method.as_deref().map_or(0, key::bytes_key),
        });
        self.cut();
    }

    /// Would the line at this place be kept, if it tells of an answer?
    pub fn wants(&self, at: LineRef) -> bool {
        self.kept.len() < KEPT || self.kept.last().is_none_or(|last| hash_of(at) <= last.hash)
    }

    /// Adds another part of the same source.
    pub fn merge(&mut self, other: Self) {
        self.kept.extend(other.kept);
        self.cut();
    }

    /// The lines, in order of their hash.
    pub fn finish(self) -> Vec<AnsweredLine> {
        self.kept.into_iter().collect()
    }

    fn cut(&mut self) {
        while self.kept.len() > KEPT {
            self.kept.pop_last();
        }
    }
}

/// Hash of a place: which lines are kept depends on nothing else.
fn hash_of(at: LineRef) -> u64 {
    let mut bytes = [0; 20];
    let parts = at.source.0.to_le_bytes().into_iter().chain(at.offset.to_le_bytes()).chain(at.line.to_le_bytes());
    bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    key::bytes_key(&bytes)
}

/// Hash of a logged text as it was sent; 0 when absent.
pub fn text_key(value: &Option<Cow<'_, [u8]>>, json: bool) -> u64 {
    match value.as_deref() {
        None | Some(b"" | b"-") => 0,
        Some(text) if json => key::bytes_key(text),
        Some(text) => key::bytes_key(&unescape(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfray_model::SourceId;

    fn line(status: u16) -> Line<'static> {
        Line {
            status: Some(status),
            uri: Some(Cow::Borrowed(&b"/a/7?x=1"[..])),
            client: Some(Cow::Borrowed(&b"192.0.2.7"[..])),
            ..Line::new(cfray_model::LineKind::Access, cfray_model::Stack::Nginx)
        }
    }

    fn at(line: u64) -> LineRef {
        LineRef { source: SourceId(1), line, offset: line * 100 }
    }

    #[test]
    fn the_choice_depends_on_the_lines_only() {
        let n = KEPT as u64 + 500;
        let (mut one, mut two, mut back) = (Answers::default(), Answers::default(), Answers::default());
        for i in 0..n {
            if i % 3 == 0 { &mut one } else { &mut two }.add(&line(200), at(i), false);
            back.add(&line(200), at(n - 1 - i), false);
        }
        two.merge(one);
        let (two, back) = (two.finish(), back.finish());
        assert_eq!(two.len(), KEPT);
        assert_eq!(two, back);
    }

    #[test]
    fn only_answers_count() {
        let mut a = Answers::default();
        for status in [0, 408, 444, 499, 500, 502] {
            a.add(&line(status), at(u64::from(status)), false);
        }
        assert_eq!(a.finish(), Vec::new());
    }
}
