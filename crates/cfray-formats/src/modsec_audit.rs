//! ModSecurity's audit log: native blocks (2.x and 3.x, serial) and JSON, one transaction a line.
//!
//! A native record runs from `--1a2b3c4d-A--` to `--1a2b3c4d-Z--`. Part C is the request's body, so a
//! client can write a line that looks like a border; the letters in the middle are random, and only
//! borders with the letters of the record's own first line count.

use crate::fields::number::{integer, list_first, status};
use crate::fields::request;
use crate::fields::text::present;
use crate::fields::time::{any_time, clf_time};
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::{by_records, own};
use cfray_model::{Line, LineKind, RayId, Stack};
use serde_json::Value;
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "modsec-audit",
    title: "ModSecurity audit log (serial, native or JSON)",
    docs: "https://github.com/owasp-modsecurity/ModSecurity/wiki/ModSecurity-2-Data-Formats",
    stack: Stack::ModSecurity,
    detect,
    samples: &[
        "--5f2a9c1d-A--\n[22/Nov/2026:12:24:07.123456 +0000] Zx9AAQAAAAAAAAAB 172.70.240.21 40112 192.0.2.7 443\n--5f2a9c1d-B--\nGET /wp-login.php?x=1 HTTP/1.1\nHost: www.example.com\nUser-Agent: sqlmap\nCF-RAY: 9e0ad2b9bb609b5c-AMS\nCF-Connecting-IP: 198.51.100.9\n\n--5f2a9c1d-F--\nHTTP/1.1 403 Forbidden\nContent-Length: 199\n\n--5f2a9c1d-H--\nMessage: Access denied with code 403 (phase 2). Pattern match \"sqlmap\" at REQUEST_HEADERS:User-Agent. [id \"913100\"]\nAction: Intercepted (phase 2)\nStopwatch: 1795350247123456 1155 (- - -)\nProducer: ModSecurity for Apache/2.9.7\n\n--5f2a9c1d-Z--",
        "--6f2a9c1d-A--\n[22/Nov/2026:12:24:08 +0000] Zx9AAQAAAAAAAAAC 172.70.240.21 40113 192.0.2.7 80\n--6f2a9c1d-B--\nPOST /login HTTP/1.1\nHost: www.example.com\n\n--6f2a9c1d-H--\nMessage: Access denied with connection close (phase 1). Operator GT matched 9 at IP. [id \"1\"]\nAction: Intercepted (phase 1)\n\n--6f2a9c1d-Z--",
        "{\"transaction\":{\"client_ip\":\"172.70.240.21\",\"time_stamp\":\"Sun Nov 22 12:24:07 2026\",\"server_id\":\"x\",\"client_port\":40112,\"host_ip\":\"192.0.2.7\",\"host_port\":443,\"unique_id\":\"169\",\"is_interrupted\":true,\"request\":{\"method\":\"GET\",\"http_version\":1.1,\"uri\":\"/wp-login.php\",\"headers\":{\"Host\":\"www.example.com\",\"CF-RAY\":\"9e0ad2b9bb609b5c-AMS\"}},\"response\":{\"http_code\":403,\"headers\":{}},\"messages\":[{\"message\":\"Found scanner\",\"details\":{\"match\":\"Matched sqlmap\",\"ruleId\":\"913100\"}}]}}",
    ],
};

/// A lost last border must not swallow the rest of the file.
const MAX_RECORD: usize = 1 << 20;

/// Parser of native blocks.
#[derive(Debug)]
struct Native;

/// Parser of JSON lines.
#[derive(Debug)]
struct Json;

impl RecordParser for Native {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        matches!(border(line), Some((_, b'A')))
    }

    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        // Blank lines end nothing; looking back over them once for each would take quadratic time.
        if line.is_empty() {
            return true;
        }
        let first = record_so_far.split(|&b| b == b'\n').next().unwrap_or_default();
        let Some((name, b'A')) = border(first) else { return !self.starts_record(line) };
        let last = record_so_far.rsplit(|&b| b == b'\n').find(|l| !l.is_empty()).unwrap_or_default();
        if border(last) == Some((name, b'Z')) {
            return false;
        }
        record_so_far.len() < MAX_RECORD || !self.starts_record(line)
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        native(record)
    }
}

impl RecordParser for Json {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let value: Value = serde_json::from_slice(record)
            .map_err(|e| LineError { reason: format!("not JSON: {e}").into(), at: e.column().min(record.len()) })?;
        json(&value).map(own).ok_or(LineError::new("no \"transaction\" in the object", 0))
    }
}

/// `--1a2b3c4d-A--` (2.x) or `---1a2b3c4d---A--` (3.x): everything before the letter, and the letter.
fn border(line: &[u8]) -> Option<(&[u8], u8)> {
    let inner = line.strip_suffix(b"--")?;
    let (&part, name) = inner.split_last()?;
    let random = match name.strip_prefix(b"---") {
        Some(rest) => rest.strip_suffix(b"---")?,
        None => name.strip_prefix(b"--")?.strip_suffix(b"-")?,
    };
    let fits = (4..=32).contains(&random.len()) && random.iter().all(u8::is_ascii_alphanumeric) && part.is_ascii_uppercase();
    fits.then_some((name, part))
}

fn native(record: &[u8]) -> Result<Line<'_>, LineError> {
    let mut next = 0;
    let mut lines = record.split(|&b| b == b'\n').map(|whole| {
        let start = next;
        next += whole.len() + 1;
        (start, whole.strip_suffix(b"\r").unwrap_or(whole))
    });
    let Some((name, b'A')) = lines.next().and_then(|(_, first)| border(first)) else {
        return Err(LineError::new("no border such as --1a2b3c4d-A--", 0));
    };
    let mut line = Line::new(LineKind::Audit, Stack::ModSecurity);
    // 3.x writes the start of the transaction, 2.x the moment of logging.
    line.time_is_start = name.starts_with(b"---");
    let mut part = b'A';
    let mut at_start = true;
    let mut trailer: Option<(usize, usize)> = None;
    for (start, text) in lines {
        if let Some((other, letter)) = border(text)
            && other == name
        {
            (part, at_start) = (letter, true);
            continue;
        }
        match part {
            b'A' if at_start => transaction(&mut line, text),
            b'B' if at_start => request::set(&mut line, text),
            b'B' => header(&mut line, text),
            b'F' if at_start => line.status = text.split(|&b| b == b' ').nth(1).and_then(status),
            b'H' if !text.is_empty() => {
                // All lines of the part are one piece of the record.
                trailer = Some((trailer.map_or(start, |(first, _)| first), start + text.len()));
                if let Some(numbers) = text.strip_prefix(b"Stopwatch: ") {
                    line.duration_us = numbers.split(|&b| b == b' ').nth(1).and_then(integer);
                }
            }
            _ => {}
        }
        at_start = false;
    }
    if line.time.is_none() {
        return Err(LineError::new("part A holds no [time] id address", 0));
    }
    if let Some((start, end)) = trailer {
        line.message = Cow::Borrowed(record.get(start..end).unwrap_or_default());
    }
    Ok(line)
}

/// `[22/Nov/2026:10:00:00 +0000] ID 192.0.2.1 40112 192.0.2.7 443`.
fn transaction<'a>(line: &mut Line<'a>, text: &'a [u8]) {
    let Some(Ok((rest, time))) = text.strip_prefix(b"[").map(clf_time) else { return };
    let mut words = rest.strip_prefix(b"] ").unwrap_or_default().split(|&b| b == b' ');
    line.time = Some(time);
    line.log_id = words.next().and_then(present).map(Cow::Borrowed);
    line.client = words.next().and_then(present).map(Cow::Borrowed);
}

/// One request header.
fn header<'a>(line: &mut Line<'a>, text: &'a [u8]) {
    let Some(colon) = memchr::memchr(b':', text) else { return };
    let (name, value) = text.split_at(colon);
    let Some(value) = present(value.get(1..).unwrap_or_default().trim_ascii()) else { return };
    match name.to_ascii_lowercase().as_slice() {
        b"host" => line.host = Some(Cow::Borrowed(value)),
        b"user-agent" => line.agent = Some(Cow::Borrowed(value)),
        b"referer" => line.referer = Some(Cow::Borrowed(value)),
        b"cf-ray" => line.ray = line.ray.or_else(|| RayId::parse(value)),
        b"cf-connecting-ip" => line.visitor = Some(Cow::Borrowed(value)),
        b"x-forwarded-for" if line.visitor.is_none() => line.visitor = Some(Cow::Borrowed(list_first(value))),
        _ => {}
    }
}

fn json(value: &Value) -> Option<Line<'_>> {
    let transaction = value.get("transaction")?;
    let mut line = Line::new(LineKind::Audit, Stack::ModSecurity);
    let text = |v: &'_ Value, key: &str| -> Option<Cow<'static, [u8]>> {
        match v.get(key)? {
            Value::String(s) if !s.is_empty() => Some(Cow::Owned(s.clone().into_bytes())),
            Value::Number(n) => Some(Cow::Owned(n.to_string().into_bytes())),
            _ => None,
        }
    };
    // 3.x keeps everything inside the transaction, 2.x beside it.
    let request = transaction.get("request").or_else(|| value.get("request"));
    let response = transaction.get("response").or_else(|| value.get("response"));
    line.time = text(transaction, "time_stamp").or_else(|| text(transaction, "time")).and_then(|t| any_time(&t));
    line.time_is_start = transaction.get("time_stamp").is_some();
    line.client = text(transaction, "client_ip").or_else(|| text(transaction, "remote_address"));
    line.log_id = text(transaction, "unique_id").or_else(|| text(transaction, "transaction_id"));
    if let Some(request) = request {
        if let Some(whole) = text(request, "request_line") {
            request::set_cow(&mut line, whole);
        } else {
            line.method = text(request, "method");
            line.uri = text(request, "uri");
            line.protocol = text(request, "http_version").map(|v| Cow::Owned([b"HTTP/".as_slice(), &v].concat()));
        }
        if let Some(Value::Object(headers)) = request.get("headers") {
            for (name, value) in headers {
                if let Value::String(value) = value {
                    let whole = format!("{name}: {value}").into_bytes();
                    let mut one = Line::new(LineKind::Audit, Stack::ModSecurity);
                    header(&mut one, &whole);
                    let one = own(one);
                    line.host = line.host.or(one.host);
                    line.agent = line.agent.or(one.agent);
                    line.referer = line.referer.or(one.referer);
                    line.ray = line.ray.or(one.ray);
                    line.visitor = if name.eq_ignore_ascii_case("cf-connecting-ip") { one.visitor } else { line.visitor.or(one.visitor) };
                }
            }
        }
    }
    let code = response.and_then(|r| r.get("http_code").or_else(|| r.get("status")));
    line.status = code.and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok()).filter(|n| *n != 0);
    line.message = Cow::Owned(findings(value, transaction));
    Some(line)
}

/// The rules that matched, as the trailer of a native record writes them.
fn findings(value: &Value, transaction: &Value) -> Vec<u8> {
    let mut lines: Vec<String> = Vec::new();
    let audit = value.get("audit_data");
    let messages = transaction.get("messages").or_else(|| audit.and_then(|a| a.get("messages")));
    for message in messages.and_then(Value::as_array).into_iter().flatten().take(32) {
        match message {
            Value::String(text) => lines.push(format!("Message: {}", text.replace('\n', "\\n"))),
            other => {
                let part = |v: Option<&Value>| v.and_then(Value::as_str).unwrap_or_default().replace('\n', "\\n");
                let details = other.get("details");
                let (text, found, rule) =
                    (part(other.get("message")), part(details.and_then(|d| d.get("match"))), part(details.and_then(|d| d.get("ruleId"))));
                lines.push(format!("Message: {text} {found} [id \"{rule}\"]"));
            }
        }
    }
    let stopped = transaction.get("is_interrupted").and_then(Value::as_bool).unwrap_or(false)
        || audit.and_then(|a| a.pointer("/action/intercepted")).and_then(Value::as_bool).unwrap_or(false);
    if stopped {
        lines.push("Action: Intercepted".to_owned());
    }
    lines.join("\n").into_bytes()
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    if sample.lines.first().is_some_and(|l| l.starts_with(b"{")) {
        let whole = |l: &Line<'_>| l.time.is_some() && l.client.is_some();
        return by_records(sample, Box::new(Json), 970, "transactions of ModSecurity in JSON", whole);
    }
    // The sample may end within a block, and a block may be longer than the sample.
    let starts = sample.lines.iter().filter(|l| Native.starts_record(l)).count();
    if starts == 0 || sample.lines.first().is_none_or(|l| border(l).is_none()) {
        return None;
    }
    Some(Detection { score: 970, why: format!("{starts} audit blocks of ModSecurity begin in the sample"), parser: Box::new(Native) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::signatures::signature;
    use cfray_model::Sig;
    use proptest::prelude::*;

    fn sample(n: usize) -> &'static [u8] {
        FORMAT.samples.get(n).unwrap().as_bytes()
    }

    #[test]
    fn the_ray_stands_in_part_b() {
        let line = Native.parse(sample(0)).unwrap();
        assert_eq!(line.ray, RayId::parse(b"9e0ad2b9bb609b5c"));
        assert_eq!((line.method.as_deref(), line.uri.as_deref()), (Some(&b"GET"[..]), Some(&b"/wp-login.php?x=1"[..])));
        assert_eq!((line.client.as_deref(), line.visitor.as_deref()), (Some(&b"172.70.240.21"[..]), Some(&b"198.51.100.9"[..])));
        assert_eq!((line.status, line.duration_us, line.log_id.as_deref()), (Some(403), Some(1155), Some(&b"Zx9AAQAAAAAAAAAB"[..])));
        let hit = signature(&line).unwrap();
        assert_eq!((hit.sig, hit.num), (Sig::ModsecDeny, Some(403)));
    }

    #[test]
    fn drop_is_not_deny() {
        assert_eq!(signature(&Native.parse(sample(1)).unwrap()).unwrap().sig, Sig::ModsecDrop);
    }

    #[test]
    fn json_of_both_generations() {
        let line = Json.parse(sample(2)).unwrap();
        assert_eq!(
            (line.ray, line.status, line.host.as_deref()),
            (RayId::parse(b"9e0ad2b9bb609b5c"), Some(403), Some(&b"www.example.com"[..]))
        );
        assert_eq!(signature(&line).unwrap().num, Some(403));
        let old = br#"{"transaction":{"time":"22/Nov/2026:12:24:07 +0000","transaction_id":"Z","remote_address":"192.0.2.1"},"request":{"request_line":"GET /a HTTP/1.1","headers":{"CF-Connecting-IP":"198.51.100.9","X-Forwarded-For":"203.0.113.1"}},"response":{"protocol":"HTTP/1.1","status":403},"audit_data":{"messages":["Access denied with connection close (phase 1)."],"action":{"intercepted":true,"phase":1}}}"#;
        let line = Json.parse(old).unwrap();
        assert_eq!((line.uri.as_deref(), line.visitor.as_deref()), (Some(&b"/a"[..]), Some(&b"198.51.100.9"[..])));
        assert_eq!(signature(&line).unwrap().sig, Sig::ModsecDrop);
    }

    #[test]
    fn a_body_cannot_open_a_record() {
        let head = b"--5f2a9c1d-A--\n[22/Nov/2026:12:24:07 +0000] Z 172.70.240.21 1 192.0.2.7 443\n--5f2a9c1d-C--";
        assert!(Native.continues(head, b"--deadbeef-A--"), "forged in the body");
        assert!(Native.continues(head, b"--5f2a9c1d-Z--"));
        let whole = [&head[..], b"\n--deadbeef-H--\nMessage: Access denied with connection close\n--5f2a9c1d-Z--"].concat();
        assert!(!Native.continues(&whole, b"--6f2a9c1d-A--"));
        assert!(Native.continues(&whole, b""));
        assert!(Native.parse(&whole).unwrap().message.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Native.parse(&bytes);
            let _ = Json.parse(&bytes);
            let _ = Native.parse(&[b"--5f2a9c1d-A--\n", bytes.as_slice()].concat());
            let _ = Native.continues(&bytes, &bytes);
            let _ = detect(&Sample::from_bytes(&bytes));
        }
    }
}
