//! `journalctl -o export`: `NAME=VALUE` lines, a blank line behind each entry. A value with a line break or bytes that are not
//! UTF-8 is written as `NAME`, a line break, its length in 8 bytes (little endian), the value, a line break.

use crate::block;
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
const CURSOR: &[u8] = b"__CURSOR";

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

    /// A process that prints a trace, or PHP's syslog(3), gives each line an entry: those of one block are one record.
    fn continues_before(&self, record_so_far: &[u8], line: &[u8], rest: &[u8], ended: bool) -> bool {
        if self.continues(record_so_far, line) {
            return true;
        }
        let opens = Fields::new(record_so_far).flatten().find(|(name, _)| *name == MESSAGE).is_some_and(|(_, text)| block::opens(text));
        if !opens {
            return false;
        }
        let Some(next) = head(rest, ended) else { return true };
        let all = entries(record_so_far);
        let (Some(first), Some(next)) = (all.first().and_then(|fields| entry(fields)), entry(&next)) else { return false };
        let so_far = || Some(messages(&all));
        all.len() < block::MAX_LINES && first.same_process(&next) && block::continues(&first.message, so_far, &next.message)
    }

    fn quote<'a>(&self, record: &'a [u8]) -> Cow<'a, [u8]> {
        match entries(record).as_slice() {
            [] => Cow::Borrowed(record),
            [fields] => Cow::Borrowed(value(fields, MESSAGE).unwrap_or(record)),
            all => Cow::Owned(messages(all)),
        }
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
                self.rest = rest.strip_prefix(b"\n").unwrap_or(rest);
                Some(Ok((line, value)))
            }
            None => {
                self.rest = b"";
                Some(Err((line, value)))
            }
        }
    }
}

/// Fields of one entry in their order.
type Named<'a> = Vec<(&'a [u8], &'a [u8])>;

const MESSAGE: &[u8] = b"MESSAGE";

fn value<'a>(fields: &Named<'a>, name: &[u8]) -> Option<&'a [u8]> {
    fields.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
}

/// The entries of a record: one, or those of one block. Of a value that was cut off, what is there.
fn entries(record: &[u8]) -> Vec<Named<'_>> {
    let mut all: Vec<Named<'_>> = Vec::new();
    for field in Fields::new(record).map(|field| field.unwrap_or_else(|cut| cut)) {
        match all.last_mut().filter(|_| field.0 != CURSOR) {
            Some(fields) => fields.push(field),
            None => all.push(vec![field]),
        }
    }
    all
}

/// Bytes of an entry in which what matters has to stand: a core dump in a field is no reason to wait for its end.
const ENOUGH: usize = 64 << 10;

/// The first entry of a text, as far as [`ENOUGH`] goes; `None` while its end was not read.
fn head(text: &[u8], ended: bool) -> Option<Named<'_>> {
    let (text, ended) = text.get(..ENOUGH).map_or((text, ended), |text| (text, true));
    let mut fields = Fields::new(text);
    let mut own: Named<'_> = Vec::new();
    loop {
        if !own.is_empty() && (fields.rest.starts_with(b"\n") || fields.rest.starts_with(b"\r\n")) {
            return Some(own);
        }
        match fields.next() {
            Some(Ok((CURSOR, _))) if !own.is_empty() => return Some(own),
            Some(Ok(field)) => own.push(field),
            Some(Err(_)) | None => return ended.then_some(own),
        }
    }
}

fn entry(fields: &Named<'_>) -> Option<Entry> {
    Entry::of(|name| value(fields, name.as_bytes()).map(<[u8]>::to_vec))
}

/// The messages of entries, one a line.
fn messages(all: &[Named<'_>]) -> Vec<u8> {
    let texts: Vec<&[u8]> = all.iter().map(|fields| value(fields, MESSAGE).unwrap_or_default()).collect();
    texts.join(&b'\n')
}

fn read(record: &[u8]) -> Result<Entry, LineError> {
    let all = entries(record);
    let first = all.first().and_then(|fields| entry(fields));
    let mut first = first.ok_or(LineError::new("no __REALTIME_TIMESTAMP: not an entry of the journal", 0))?;
    if all.len() > 1 {
        first.message = messages(&all);
    }
    Ok(first)
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

    /// Cuts as the reader does, with the file at hand up to `read` bytes behind each line.
    fn records(file: &[u8], read: usize) -> Vec<Vec<u8>> {
        let parser = parser();
        let (mut all, mut from, mut at): (Vec<Vec<u8>>, usize, usize) = (Vec::new(), 0, 0);
        while at < file.len() {
            let end = memchr::memchr(b'\n', &file[at..]).map_or(file.len(), |n| at + n);
            // What cannot be told yet is asked again with more.
            let goes_on = |to: usize| parser.continues_before(&file[from..at - 1], &file[at..end], &file[at..to], to == file.len());
            if at > 0 && (!goes_on((end + read).min(file.len())) || !goes_on(file.len())) {
                all.push(file[from..at].to_vec());
                from = at;
            }
            at = end + 1;
        }
        all.push(file[from..].to_vec());
        all
    }

    /// A core dump lies behind what tells the process: nobody waits for its end, and the entry is not lost in the one before.
    #[test]
    fn an_entry_with_a_large_field_stands_alone() {
        let fatal = entry("php", b"PHP Fatal error:  Uncaught Error: boom in /srv/x.php:3");
        let mut next =
            String::from_utf8(entry("systemd", b"nginx.service: Main process exited")).unwrap().replace("_PID=811", "_PID=1").into_bytes();
        next.extend_from_slice(&[&b"COREDUMP\n"[..], &40_000_000u64.to_le_bytes(), &[b'x'; 90_000]].concat());
        for seen in [70_000, 90_000] {
            assert!(!parser().continues_before(&fatal, b"__CURSOR=s=1;i=9", &next[..seen], false));
        }
    }

    #[test]
    fn entries_of_one_trace_are_one_record() {
        let lines = [
            "PHP Fatal error:  Uncaught Error: boom in /srv/wp-includes/x.php:3",
            "Stack trace:",
            "#0 /srv/wp-content/plugins/seo/a.php(9): f()",
            "#1 {main}",
            "  thrown in /srv/wp-includes/x.php on line 3",
        ];
        let mut file: Vec<u8> = Vec::new();
        for text in lines.into_iter().chain(["cart is empty"]) {
            file.extend_from_slice(&[&entry("php", text.as_bytes())[..], b"\n"].concat());
        }
        file.extend_from_slice(&entry("php", b"PHP Fatal error:  Uncaught Error: b in /srv/x.php:3"));
        file.extend_from_slice(b"\n");
        // Another process of that moment, and a line of nobody's trace.
        file.extend_from_slice(&String::from_utf8(entry("php", b"#0 {main}")).unwrap().replace("_PID=811", "_PID=812").into_bytes());
        file.extend_from_slice(b"\n");
        for read in [0, 40, 4_000] {
            let all = records(&file, read);
            assert_eq!(all.len(), 4, "{read}");
            let parser = parser();
            let fatal = parser.parse(&all[0]).unwrap();
            assert_eq!(*fatal.message, *lines.join("\n").as_bytes());
            assert_eq!(signature(&fatal).unwrap().sig, Sig::PhpFatal);
            assert_eq!(&*parser.quote(&all[0]), lines.join("\n").as_bytes());
            assert_eq!(&*parser.parse(&all[1]).unwrap().message, b"cart is empty");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let parser = parser();
            let _ = parser.parse(&bytes);
            let _ = parser.continues(&bytes, b"__CURSOR=s=1");
            let _ = parser.continues_before(&bytes, b"__CURSOR=s=1", &[b"__CURSOR=s=1\n", bytes.as_slice()].concat(), false);
            prop_assert!(Fields::new(&bytes).count() <= bytes.len());
        }
    }
}
