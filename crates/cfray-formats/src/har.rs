//! HTTP archives (HAR 1.2, what browsers save): sizes of headers and cookies by request. Values are looked at for
//! their length only and never kept.
//!
//! Entries are read one by one, so that a broken or cut one costs itself and no other.

use serde::Deserialize;

/// Sizes of one request and its answer. Header sizes count names, values and framing (`: ` and the line end), as
/// in HTTP/1.1; what a browser measures of HTTP/2 is compressed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HarEntry {
    /// 1-based line of the file on which the entry begins.
    pub line: u64,
    /// When it was sent, RFC 3339 as written; empty if absent.
    pub started: String,
    /// Method.
    pub method: String,
    /// Address with query, as written.
    pub url: String,
    /// Status; 0 when there was no answer.
    pub status: u16,
    /// All response headers, bytes.
    pub response_headers: u64,
    /// All request headers, bytes.
    pub request_headers: u64,
    /// Response headers by name in lower case, bytes of all lines of that name, largest first.
    pub largest: Vec<(String, u64)>,
    /// Cookies set: name and bytes of the whole line.
    pub set_cookies: Vec<(String, u64)>,
    /// Cookies sent: name and bytes of name and value.
    pub sent_cookies: Vec<(String, u64)>,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HarProblem {
    /// 1-based line.
    pub line: u64,
    /// Byte offset in the file.
    pub byte: usize,
    /// What, and what was done about it.
    pub what: String,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default, rename = "startedDateTime")]
    started: String,
    #[serde(default)]
    request: Message,
    #[serde(default)]
    response: Message,
}

#[derive(Deserialize, Default)]
struct Message {
    #[serde(default)]
    method: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    status: Option<f64>,
    #[serde(default)]
    headers: Vec<Header>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    name: String,
    #[serde(default)]
    value: String,
}

/// Problems of one file that are named.
const PROBLEMS: usize = 20;
/// Longest part of an address that is kept, in bytes.
const URL: usize = 2_048;

/// Reads an archive. Entries are given in order of the file.
pub fn read(text: &[u8], mut each: impl FnMut(HarEntry)) -> Vec<HarProblem> {
    let mut problems = Vec::new();
    let mut lines = Lines { text, at: 0, line: 1 };
    let complain = |problems: &mut Vec<HarProblem>, line: u64, byte: usize, what: String| {
        if problems.len() < PROBLEMS {
            problems.push(HarProblem { line, byte, what });
        }
    };
    let Some(mut at) = entries(text) else {
        complain(&mut problems, 1, 0, "no HTTP archive: there is no \"entries\" list in it".to_owned());
        return problems;
    };
    loop {
        while text.get(at).is_some_and(|b| b.is_ascii_whitespace() || *b == b',') {
            at += 1;
        }
        let line = lines.of(at);
        match text.get(at) {
            Some(b'{') => {}
            Some(b']') => return problems,
            None => {
                complain(&mut problems, line, at, "the file ends before its list of entries does".to_owned());
                return problems;
            }
            Some(_) => {
                complain(&mut problems, line, at, "an entry is expected here; the rest of the file is not read".to_owned());
                return problems;
            }
        }
        let Some(end) = object_end(text, at) else {
            complain(&mut problems, line, at, "the file ends inside this entry; it is left out".to_owned());
            return problems;
        };
        match serde_json::from_slice::<Entry>(text.get(at..end).unwrap_or_default()) {
            Ok(entry) => each(sizes(entry, line)),
            Err(error) => {
                let what = format!("this entry cannot be read and is left out: {error} (counted from its beginning)");
                complain(&mut problems, line, at, what);
            }
        }
        at = end;
    }
}

/// The first byte inside of `log.entries`: the first list of that name whose first element is an object.
fn entries(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(hit) = memchr::memmem::find(text.get(from..)?, b"\"entries\"") {
        let mut at = from + hit + b"\"entries\"".len();
        from = at;
        let mut skip = |wanted: u8| {
            while text.get(at).is_some_and(u8::is_ascii_whitespace) {
                at += 1;
            }
            let found = text.get(at) == Some(&wanted);
            at += usize::from(found);
            found
        };
        if skip(b':') && skip(b'[') {
            return Some(at);
        }
    }
    None
}

/// One byte behind the object that begins at `at`.
fn object_end(text: &[u8], at: usize) -> Option<usize> {
    let (mut depth, mut at) = (0usize, at);
    loop {
        at += memchr::memchr3(b'{', b'}', b'"', text.get(at..)?)?;
        match text.get(at)? {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => loop {
                at += 1 + memchr::memchr2(b'"', b'\\', text.get(at + 1..)?)?;
                match text.get(at)? {
                    b'"' => break,
                    _ => at += 1,
                }
            },
        }
        at += 1;
    }
}

/// Line numbers of places that only go up.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn of(&mut self, at: usize) -> u64 {
        self.line += memchr::memchr_iter(b'\n', self.text.get(self.at..at).unwrap_or_default()).count() as u64;
        self.at = at;
        self.line
    }
}

fn sizes(entry: Entry, line: u64) -> HarEntry {
    let all = |headers: &[Header]| headers.iter().filter(|h| !h.name.starts_with(':')).map(bytes).sum();
    let mut by_name: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    let (mut set, mut sent) = (Vec::new(), Vec::new());
    for h in &entry.response.headers {
        *by_name.entry(h.name.to_ascii_lowercase()).or_default() += bytes(h);
        if h.name.eq_ignore_ascii_case("set-cookie") {
            // Some browsers join the lines of several cookies.
            set.extend(h.value.split('\n').map(|one| (cookie(one), one.len() as u64 + "set-cookie: \r\n".len() as u64)));
        }
    }
    for h in entry.request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("cookie")) {
        sent.extend(h.value.split(';').map(|one| one.trim()).filter(|one| !one.is_empty()).map(|one| (cookie(one), one.len() as u64 + 2)));
    }
    let mut largest: Vec<(String, u64)> = by_name.into_iter().collect();
    largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    largest.truncate(8);
    let mut url = entry.request.url;
    if url.len() > URL {
        let cut = (0..=URL).rev().find(|&i| url.is_char_boundary(i)).unwrap_or(0);
        url.truncate(cut);
    }
    HarEntry {
        line,
        started: entry.started,
        method: entry.request.method,
        url,
        status: entry.response.status.filter(|s| (0.0..1000.0).contains(s)).map_or(0, |s| s as u16),
        response_headers: all(&entry.response.headers),
        request_headers: all(&entry.request.headers),
        largest,
        set_cookies: set,
        sent_cookies: sent,
    }
}

fn bytes(h: &Header) -> u64 {
    (h.name.len() + h.value.len() + 4) as u64
}

fn cookie(text: &str) -> String {
    text.split(['=', ';']).next().unwrap_or_default().trim().chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ONE: &str = r#"{"startedDateTime":"2026-11-22T10:00:00Z","request":{"method":"GET","url":"https://a.example/x?token=1",
      "headers":[{"name":"Cookie","value":"sid=abc; theme=dark"}]},
      "response":{"status":200,"headers":[{"name":"Set-Cookie","value":"sid=\"}{]\\\"; Path=/"},{"name":"Link","value":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}]}}"#;

    fn all(text: &str) -> (Vec<HarEntry>, Vec<HarProblem>) {
        let mut out = Vec::new();
        let problems = read(text.as_bytes(), |e| out.push(e));
        (out, problems)
    }

    #[test]
    fn sizes_of_headers_and_cookies() {
        let (got, problems) = all(&format!("{{\"log\":{{\"version\":\"1.2\",\"pages\":[],\n\"entries\":[\n{ONE}]}}}}"));
        assert_eq!(problems, []);
        let e = &got[0];
        assert_eq!((e.line, e.status, e.url.as_str()), (3, 200, "https://a.example/x?token=1"));
        assert_eq!(e.largest[0], ("link".to_owned(), 48));
        assert_eq!(e.sent_cookies, [("sid".to_owned(), 9), ("theme".to_owned(), 12)]);
        assert_eq!(e.set_cookies[0].0, "sid");
        assert_eq!(e.response_headers, e.largest.iter().map(|l| l.1).sum::<u64>());
    }

    #[test]
    fn broken_entries_cost_themselves() {
        let text = format!("{{\"log\":{{\"entries\":[{ONE},\n{{\"request\":7}},\n{ONE},\n{{\"request\":{{\"url\":\"x"); // cut off
        let (got, problems) = all(&text);
        assert_eq!(got.len(), 2);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].what.contains("left out") && problems[0].line == 4, "{problems:?}");
        assert!(problems[1].what.contains("ends inside"));
        assert_eq!(all("{}").1[0].line, 1);
        assert_eq!(all("{\"log\":{\"entries\":[").1.len(), 1);
        assert_eq!(all("{\"log\":{\"entries\":[]}}"), (vec![], vec![]));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(text in "(\"entries\":\\[)?[{}\\[\\]\":,\\\\a \n]{0,200}") {
            let _ = all(&text);
        }
    }
}
