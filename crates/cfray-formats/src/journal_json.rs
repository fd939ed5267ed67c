//! `journalctl -o json`: one object a line. Values are strings, `null` (too large), arrays of bytes (not
//! UTF-8 or not printable), or arrays of those when a field occurs more than once.

use crate::block;
use crate::fields::number::integer;
use crate::inner::{Envelope, Inner};
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::stamps::epoch_micros;
use crate::support::{own, score, severity};
use cfray_model::{Line, Stack};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "journal-json",
    title: "systemd journal as JSON (journalctl -o json)",
    docs: "https://systemd.io/JOURNAL_EXPORT_FORMATS/",
    stack: Stack::Systemd,
    detect,
    samples: &[
        r#"{"__REALTIME_TIMESTAMP":"1795350247123456","_HOSTNAME":"web1","_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel","PRIORITY":"3","MESSAGE":"Out of memory: Killed process 2213 (php-fpm8.2) total-vm:812345kB, anon-rss:654321kB, file-rss:0kB, shmem-rss:1024kB, UID:33 pgtables:1500kB oom_score_adj:0"}"#,
        r#"{"__REALTIME_TIMESTAMP":"1795350247200000","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"systemd","_PID":"1","UNIT":"nginx.service","PRIORITY":"5","MESSAGE":"nginx.service: Main process exited, code=killed, status=9/KILL"}"#,
        r#"{"__REALTIME_TIMESTAMP":"1795350247300000","_SOURCE_REALTIME_TIMESTAMP":"1795350247299000","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"php-fpm8.2","_PID":"812","PRIORITY":"4","MESSAGE":[91,87,65,82,78,73,78,71,93,32,91,112,111,111,108,32,119,119,119,93,32,115,101,114,118,101,114,32,114,101,97,99,104,101,100,32,109,97,120,95,99,104,105,108,100,114,101,110,32,115,101,116,116,105,110,103,32,40,53,41,44,32,99,111,110,115,105,100,101,114,32,114,97,105,115,105,110,103,32,105,116]}"#,
        r#"{"__REALTIME_TIMESTAMP":"1795350247400000","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"x","MESSAGE":null}"#,
    ],
};

/// Parser of one export.
#[derive(Debug)]
struct Journal {
    inner: Inner,
}

impl RecordParser for Journal {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    /// A process that prints a trace, or PHP's syslog(3), gives each line an entry.
    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        // Nothing is parsed for entries that cannot be a line of a trace, which nearly all are not.
        if !may_hold_trace(line) {
            return false;
        }
        let lines = memchr::memchr_iter(b'\n', record_so_far).count() + 1;
        let Some(Ok(first)) = record_so_far.split(|&b| b == b'\n').next().map(Entry::read) else { return false };
        Entry::read(line).is_ok_and(|next| {
            let so_far = || Some(ends(&first.message, record_so_far));
            lines < block::MAX_LINES && first.same_process(&next) && block::continues(&first.message, so_far, &next.message)
        })
    }

    fn quote<'a>(&self, record: &'a [u8]) -> Cow<'a, [u8]> {
        let message = read_block(record).ok().map(|entry| entry.message).filter(|m| !m.is_empty());
        message.map_or(Cow::Borrowed(record), Cow::Owned)
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let entry = read_block(record)?;
        Ok(own(self.inner.open(&entry.envelope(), &entry.message)))
    }
}

/// Bytes of an entry that may be a line inside a trace, escaped or not: a frame, an exception's name, what stands between two. Of others
/// the fields need not be read.
fn may_hold_trace(line: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(line, b"\"MESSAGE\"") else { return false };
    let value = line.get(at + b"\"MESSAGE\"".len()..).unwrap_or_default().trim_ascii_start();
    let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii_start();
    // An array of bytes is looked at as a whole.
    value.strip_prefix(b"\"").is_none_or(block::may_continue)
}

/// The messages of a block's first entry and of its last two, which is what decides whether another line belongs to it.
fn ends(first: &[u8], record: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = record.rsplit(|&b| b == b'\n').take(3).collect();
    // Of a block of up to three entries the first is among them.
    if record.split(|&b| b == b'\n').nth(lines.len()).is_none() {
        lines.pop();
    }
    let mut messages = vec![first.to_vec()];
    messages.extend(lines.iter().take(2).rev().filter_map(|line| Entry::read(line).ok()).map(|entry| entry.message));
    messages.join(&b'\n')
}

/// One entry, or the entries of one block under the head of the first.
fn read_block(record: &[u8]) -> Result<Entry, LineError> {
    let mut lines = record.split(|&b| b == b'\n');
    let mut first = Entry::read(lines.next().unwrap_or_default())?;
    let mut messages = vec![std::mem::take(&mut first.message)];
    for line in lines {
        messages.push(Entry::read(line)?.message);
    }
    first.message = messages.join(&b'\n');
    Ok(first)
}

/// The fields of an entry that matter.
pub(crate) struct Entry {
    micros: Option<i64>,
    host: Option<Vec<u8>>,
    tag: Option<Vec<u8>>,
    pid: Option<u64>,
    priority: Option<u64>,
    from_kernel: bool,
    unit: Option<Vec<u8>>,
    pub(crate) message: Vec<u8>,
}

impl Entry {
    /// From the fields by name; `None` without a stamp of the journal.
    pub(crate) fn of(get: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Self> {
        let number = |name: &str| get(name).and_then(|v| integer(&v));
        if get("__REALTIME_TIMESTAMP").is_none() && get("_SOURCE_REALTIME_TIMESTAMP").is_none() {
            return None;
        }
        let micros = number("_SOURCE_REALTIME_TIMESTAMP").or_else(|| number("__REALTIME_TIMESTAMP"));
        Some(Self {
            micros: micros.and_then(|n| i64::try_from(n).ok()),
            host: get("_HOSTNAME"),
            tag: get("SYSLOG_IDENTIFIER").or_else(|| get("_COMM")),
            pid: number("_PID").or_else(|| number("SYSLOG_PID")),
            priority: number("PRIORITY"),
            from_kernel: get("_TRANSPORT").as_deref() == Some(b"kernel"),
            unit: get("UNIT").or_else(|| get("USER_UNIT")),
            message: get("MESSAGE").unwrap_or_default(),
        })
    }

    /// Did the same process send both? The journal vouches for `_PID` (an entry without it has what the sender said); the tag alone anybody may choose.
    pub(crate) fn same_process(&self, other: &Self) -> bool {
        self.pid.is_some() && (&self.tag, self.pid, &self.host) == (&other.tag, other.pid, &other.host)
    }

    fn read(record: &[u8]) -> Result<Self, LineError> {
        // `-o json-seq` and `-o json-sse` put something before the object.
        let text = record.strip_prefix(b"\x1e").or_else(|| record.strip_prefix(b"data: ")).unwrap_or(record);
        let fields: Map<String, Value> = serde_json::from_slice(text)
            .or_else(|error| match std::str::from_utf8(text) {
                Ok(_) => Err(error),
                Err(_) => serde_json::from_str(&String::from_utf8_lossy(text)),
            })
            .map_err(|e| LineError { reason: format!("not a JSON object: {e}").into(), at: e.column().min(record.len()) })?;
        Self::of(|name| fields.get(name).and_then(bytes)).ok_or(LineError::new("no __REALTIME_TIMESTAMP: not an entry of the journal", 0))
    }

    pub(crate) fn envelope(&self) -> Envelope<'_> {
        Envelope {
            time: self.micros.and_then(epoch_micros),
            host: self.host.as_deref(),
            tag: self.tag.as_deref(),
            pid: self.pid,
            level: self.priority.and_then(severity),
            from_kernel: self.from_kernel,
            unit: self.unit.as_deref(),
        }
    }
}

/// A field's bytes; of several values the first one that has any.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Array(items) if items.iter().all(Value::is_u64) => {
            items.iter().map(|v| v.as_u64().and_then(|n| u8::try_from(n).ok())).collect()
        }
        Value::Array(items) => items.iter().find_map(bytes),
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let entries: Vec<Entry> = sample.lines.iter().filter_map(|l| Entry::read(l).ok()).collect();
    if entries.is_empty() || entries.len() * 2 < sample.lines.len() {
        return None;
    }
    let why = format!("{} of {} sampled lines are entries of the journal in JSON", entries.len(), sample.lines.len());
    let good = u32::try_from(entries.len()).ok()?;
    let inner = Inner::learn(entries.iter().map(|e| (e.envelope(), e.message.as_slice())));
    Some(Detection { score: score(980, good, u32::try_from(sample.lines.len()).ok()?), why, parser: Box::new(Journal { inner }) })
}

#[cfg(test)]
#[path = "journal_json_tests.rs"]
mod tests;
