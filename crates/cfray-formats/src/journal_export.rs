//! `journalctl -o export`: `NAME=VALUE` lines, a blank line behind each entry. A value with a line break or bytes that are not
//! UTF-8 is written as `NAME`, a line break, its length in 8 bytes (little endian), the value, a line break.

use crate::inner::Inner;
use crate::journal_json::Entry;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::{own, score};
use cfray_model::{Line, Stack};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "journal-export",
    title: "systemd journal in export format (journalctl -o export)",
    docs: "https://systemd.io/JOURNAL_EXPORT_FORMATS/",
    stack: Stack::Systemd,
    detect,
    samples: &[
        "__CURSOR=s=1;i=1\n__REALTIME_TIMESTAMP=1795350247123456\n_HOSTNAME=web1\n_TRANSPORT=kernel\nSYSLOG_IDENTIFIER=kernel\nPRIORITY=3\nMESSAGE=Out of memory: Killed process 2213 (php-fpm8.2) total-vm:812345kB, anon-rss:654321kB, file-rss:0kB, shmem-rss:1024kB, UID:33 pgtables:1500kB oom_score_adj:0\n",
        "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1795350247200000\n_HOSTNAME=web1\nSYSLOG_IDENTIFIER=systemd\n_PID=1\nUNIT=nginx.service\nPRIORITY=5\nMESSAGE=nginx.service: Main process exited, code=killed, status=9/KILL\n",
        "__CURSOR=s=1;i=3\n__REALTIME_TIMESTAMP=1795350247300000\n_SOURCE_REALTIME_TIMESTAMP=1795350247299000\n_HOSTNAME=web1\nSYSLOG_IDENTIFIER=php-fpm8.2\n_PID=812\nPRIORITY=4\nMESSAGE=[WARNING] [pool www] server reached max_children setting (5), consider raising it\n",
    ],
};

/// Parser of one export.
#[derive(Debug)]
struct Export {
    inner: Inner,
}

/// What every entry begins with.
const FIRST: &[u8] = b"__CURSOR=";

impl RecordParser for Export {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        line.starts_with(FIRST)
    }

    /// What looks like a new entry inside a value is part of that value: anybody may have written it.
    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        !line.starts_with(FIRST) || Fields::new(record_so_far).any(|field| field.is_err())
    }

    fn quote<'a>(&self, record: &'a [u8]) -> Cow<'a, [u8]> {
        let message = Fields::new(record).flatten().find(|(name, _)| *name == b"MESSAGE");
        Cow::Borrowed(message.map_or(record, |(_, value)| value))
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let entry = read(record)?;
        Ok(own(self.inner.open(&entry.envelope(), &entry.message)))
    }
}

/// The fields of an entry; an error where a value is shorter than its length says.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    const fn new(record: &'a [u8]) -> Self {
        Self { rest: record }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), (&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.trim_ascii_start();
        if self.rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let (line, after) = self.rest.split_at(end);
        let after = after.strip_prefix(b"\n").unwrap_or(after);
        if let Some(at) = memchr::memchr(b'=', line) {
            self.rest = after;
            let (name, value) = line.split_at(at);
            return Some(Ok((name, value.strip_prefix(b"=").unwrap_or(value))));
        }
        let Some((length, value)) = after.split_first_chunk::<8>() else {
            self.rest = b"";
            return Some(Err((line, b"")));
        };
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        match value.split_at_checked(length) {
            Some((value, rest)) => {
                self.rest = rest;
                Some(Ok((line, value)))
            }
            None => {
                self.rest = b"";
                Some(Err((line, value)))
            }
        }
    }
}

fn read(record: &[u8]) -> Result<Entry, LineError> {
    // Of a value that was cut off, what is there.
    let fields: Vec<(&[u8], &[u8])> = Fields::new(record).map(|field| field.unwrap_or_else(|cut| cut)).collect();
    Entry::of(|name| fields.iter().find(|(n, _)| *n == name.as_bytes()).map(|(_, value)| value.to_vec()))
        .ok_or(LineError::new("no __REALTIME_TIMESTAMP: not an entry of the journal", 0))
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let bare = Export { inner: Inner::default() };
    let records = sample.records(&bare);
    let entries: Vec<Entry> = records.iter().filter(|r| r.starts_with(FIRST)).filter_map(|r| read(r).ok()).collect();
    if entries.is_empty() || entries.len() * 2 < records.len() {
        return None;
    }
    let why = format!("{} of {} sampled records are entries of the journal in export format", entries.len(), records.len());
    let good = u32::try_from(entries.len()).ok()?;
    let inner = Inner::learn(entries.iter().map(|e| (e.envelope(), e.message.as_slice())));
    Some(Detection { score: score(980, good, u32::try_from(records.len()).ok()?), why, parser: Box::new(Export { inner }) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::signatures::signature;
    use cfray_model::{LineKind, Sig};
    use proptest::prelude::*;

    fn entry(tag: &str, message: &[u8]) -> Vec<u8> {
        let head = format!("__CURSOR=s=1;i=7\n__REALTIME_TIMESTAMP=1795350247123456\n_HOSTNAME=web1\nSYSLOG_IDENTIFIER={tag}\n");
        let mut out = head.into_bytes();
        if message.contains(&b'\n') {
            out.extend_from_slice(b"MESSAGE\n");
            out.extend_from_slice(&(message.len() as u64).to_le_bytes());
        } else {
            out.extend_from_slice(b"MESSAGE=");
        }
        out.extend_from_slice(message);
        out.extend_from_slice(b"\n_PID=811\n");
        out
    }

    const ACCESS: &str = "172.70.240.21 - - [22/Nov/2026:12:24:07 +0000] \"GET /cart HTTP/1.1\" 444 0 \"-\" \"okhttp/5.1.0\"";

    fn parser() -> Box<dyn RecordParser> {
        let file = [entry("nginx", ACCESS.as_bytes()), b"\n".to_vec(), entry("kernel", b"eth0: link up")].concat();
        crate::detect(&Sample::from_bytes(&file)).expect("journal-export").parser
    }

    #[test]
    fn entries_with_plain_and_counted_values() {
        let record = entry("nginx", ACCESS.as_bytes());
        let parser = parser();
        let line = parser.parse(&record).unwrap();
        assert_eq!((line.kind, line.status, line.pid), (LineKind::Access, Some(444), Some(811)));
        assert_eq!(line.syslog_host.as_deref(), Some(&b"web1"[..]));
        assert_eq!(&*parser.quote(&record), ACCESS.as_bytes());
        let fatal = b"[22-Nov-2026 12:24:07] WARNING: [pool www] child 9 said into stderr: \"NOTICE: PHP message: PHP Fatal error:  Uncaught Error: boom in /srv/x.php:3\nStack trace:\n#0 {main}\"";
        let record = entry("php-fpm8.2", fatal);
        assert_eq!(signature(&parser.parse(&record).unwrap()).unwrap().sig, Sig::PhpFatal);
    }

    /// A message of several lines may hold what looks like an entry of the kernel.
    #[test]
    fn an_entry_forged_inside_a_value_is_part_of_it() {
        let forged = b"a\n\n__CURSOR=s=1;i=8\n__REALTIME_TIMESTAMP=1795350247123456\n_TRANSPORT=kernel\nMESSAGE=Out of memory: Killed process 2213 (nginx)";
        let record = entry("shop", forged);
        let parser = parser();
        let mut so_far: Vec<u8> = Vec::new();
        for line in record.split(|&b| b == b'\n') {
            if !so_far.is_empty() {
                assert!(parser.continues(&so_far, line), "{}", String::from_utf8_lossy(line));
                so_far.push(b'\n');
            }
            so_far.extend_from_slice(line);
        }
        assert_eq!(signature(&parser.parse(&so_far).unwrap()), None);
        assert!(!parser.continues(&so_far, b"__CURSOR=s=1;i=9"));
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let parser = parser();
            let _ = parser.parse(&bytes);
            let _ = parser.continues(&bytes, b"__CURSOR=s=1");
            prop_assert!(Fields::new(&bytes).count() <= bytes.len());
        }
    }
}
