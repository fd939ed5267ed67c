//! Names for what is no log of ours, with what to do where something can be done.

use cfray_model::text::lossy;
use serde_json::Value;

/// What a file is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kind {
    /// Its name for people.
    pub what: String,
    /// What the reader could do; may be empty.
    pub hint: String,
    /// Could not be read, as opposed to: is something else.
    pub failed: bool,
}

impl Kind {
    /// Something else than a log.
    pub fn new(what: &str, hint: &str) -> Self {
        Self { what: what.to_owned(), hint: hint.to_owned(), failed: false }
    }
}

const UNPACK: &str = "unpack it and give the directory";
const NDJSON: &str = "cfray reads Cloudflare data as NDJSON or CSV: export it as one of these";

/// First bytes, what they mean, what to do.
const MAGIC: &[(&[u8], &str, &str)] = &[
    (b"LPKSHHRH", "systemd journal (binary)", "journalctl -o json --file FILE > journal.json"),
    (b"PAR1", "Parquet (a cfray report, or Cloudflare data from a pipeline)", NDJSON),
    (b"Obj\x01", "Avro", NDJSON),
    (b"ORC", "ORC", NDJSON),
    (b"\x1f\x8b", "gzip data inside another compression", UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd data inside another compression", UNPACK),
    (b"BZh", "bzip2 data inside another compression", UNPACK),
    (b"\xfd7zXZ\0", "xz data inside another compression", UNPACK),
    (b"\x04\x22\x4d\x18", "lz4 data", "unpack it with lz4 -d"),
    (b"\x1f\x9d", "compress (.Z) data", "unpack it with uncompress"),
    (b"\x5d\x00\x00", "lzma data", "unpack it with unlzma"),
    (b"LZIP", "lzip data", "unpack it with lzip -d"),
    (b"PK\x03\x04", "zip archive", UNPACK),
    (b"PK\x05\x06", "zip archive (empty)", ""),
    (b"7z\xbc\xaf\x27\x1c", "7z archive", UNPACK),
    (b"Rar!\x1a\x07", "rar archive", UNPACK),
    (b"\xd4\xc3\xb2\xa1", "packet capture (pcap)", ""),
    (b"\xa1\xb2\xc3\xd4", "packet capture (pcap)", ""),
    (b"\x4d\x3c\xb2\xa1", "packet capture (pcap)", ""),
    (b"\xa1\xb2\x3c\x4d", "packet capture (pcap)", ""),
    (b"\x0a\x0d\x0d\x0a", "packet capture (pcapng)", ""),
    (b"SQLite format 3\0", "SQLite database", ""),
    (b"ElfFile\0", "Windows event log (evtx)", ""),
    (b"\x7fELF", "program (ELF)", ""),
    (b"MZ", "program (Windows)", ""),
    (b"\xca\xfe\xba\xbe", "program (Java or Mach-O)", ""),
    (b"\xcf\xfa\xed\xfe", "program (Mach-O)", ""),
    (b"\0asm", "program (WebAssembly)", ""),
    (b"\x89PNG\r\n", "image (PNG)", ""),
    (b"\xff\xd8\xff", "image (JPEG)", ""),
    (b"GIF8", "image (GIF)", ""),
    (b"RIFF", "image, sound or video (RIFF)", ""),
    (b"\0\0\x01\0", "image (icon)", ""),
    (b"wOF", "font", ""),
    (b"%PDF-", "PDF", ""),
    (b"\xff\xfe", "text in UTF-16", "convert it: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "convert it: iconv -f UTF-16 -t UTF-8"),
];

/// Magic bytes that are printable text, too: believed only where binary bytes follow.
const WEAK: &[&[u8]] = &[b"MZ", b"ORC", b"BZh", b"RIFF", b"GIF8", b"wOF", b"LZIP"];

/// Things that are not text. `text` is the beginning of the decompressed content, `len` the length
/// of a plain file.
pub fn binary(text: &[u8], name: &str, len: Option<u64>) -> Option<Kind> {
    let odd = text.iter().take(4096).filter(|&&b| b == 0 || (b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0x1b))).count();
    let looked = text.len().min(4096);
    let bytes_look = odd > 0;
    if let Some((magic, what, hint)) = MAGIC.iter().find(|(magic, ..)| text.starts_with(magic))
        && (bytes_look || !WEAK.contains(magic))
    {
        return Some(Kind::new(what, hint));
    }
    if text.get(257..262) == Some(b"ustar") {
        return Some(Kind::new("tar archive", UNPACK));
    }
    // The sample starts behind leading NULs, so records of utmp (which start with a small number)
    // are recognised by size and by what the file is called.
    let base = super::rotated::stem(name);
    if bytes_look && matches!(base, "wtmp" | "btmp" | "utmp") && len.is_none_or(|l| l % 384 == 0) {
        return Some(Kind::new("login records (binary)", ""));
    }
    if bytes_look && matches!(base, "lastlog" | "faillog" | "tallylog") {
        return Some(Kind::new("login records (binary)", ""));
    }
    (odd * 20 > looked).then(|| Kind::new("binary data", ""))
}

/// Text that must not be taken for a log although it may look like one: our own reports, other
/// Logpush datasets, and files that Logpush leaves beside its data.
pub fn not_ours(text: &[u8], name: &str) -> Option<Kind> {
    let report = |form: &str| Kind::new(&format!("cfray report ({form})"), "");
    if text.starts_with(b"ray_id,edge_time,edge_end_time,host") {
        return Some(report("CSV"));
    }
    let head = lossy(text.get(..8192).unwrap_or(text));
    let start = head.trim_start();
    if start.get(..9).is_some_and(|s| s.eq_ignore_ascii_case("<!doctype") || s.get(..5).is_some_and(|s| s.eq_ignore_ascii_case("<html"))) {
        return Some(if start.contains("cfray") { report("HTML") } else { Kind::new("web page (HTML)", "") });
    }
    if start.starts_with("# ") && start.lines().next().is_some_and(|l| l.to_ascii_lowercase().contains("cfray")) {
        return Some(report("Markdown"));
    }
    if name.starts_with("ownership-challenge") || (start.starts_with("eyJ") && !start.trim_end().contains(char::is_whitespace)) {
        let lines = start.lines().count();
        if lines <= 2 {
            return Some(Kind::new("Logpush ownership challenge", ""));
        }
    }
    if let Some(name) = crate::edge::other_dataset(text) {
        return Some(Kind::new(&format!("Logpush dataset {name}"), "cfray reads the dataset http_requests"));
    }
    if !looks_like_json(start) {
        return None;
    }
    if start.trim_end() == r#"{"content":"tests"}"# || start.trim_end() == r#"{"content":"test"}"# {
        return Some(Kind::new("Logpush test file", ""));
    }
    if let Some(first) = first_object(text) {
        let has = |key: &str| first.get(key).is_some();
        if has("ray_id") && has("cause") && has("confidence") {
            return Some(report("NDJSON"));
        }
    }
    if start.contains("\"input_note\"") && start.contains("\"statuses\"") {
        return Some(report("JSON"));
    }
    let squeezed: String = start.chars().take(400).filter(|c| !c.is_whitespace()).collect();
    if squeezed.starts_with(r#"{"log":{"#) && (squeezed.contains(r#""creator":"#) || squeezed.contains(r#""version":"1."#)) {
        return Some(Kind::new("HTTP archive (HAR)", "it holds what a browser saw; cfray needs Logpush data or origin logs"));
    }
    None
}

/// An object, or an array of objects, as opposed to `[section]` or `[date]`.
fn looks_like_json(start: &str) -> bool {
    let inner = |rest: &str, wanted: &[char]| rest.trim_start().starts_with(wanted) || rest.trim_start().is_empty();
    match (start.strip_prefix('{'), start.strip_prefix('[')) {
        (Some(rest), _) => inner(rest, &['"', '}']),
        (_, Some(rest)) => inner(rest, &['{', '[', '"', ']']),
        _ => false,
    }
}

/// The first line, if it is one whole JSON object.
fn first_object(text: &[u8]) -> Option<Value> {
    let line = text.split(|&b| b == b'\n').find(|l| !l.trim_ascii().is_empty())?;
    let value: Value = serde_json::from_slice(line).ok()?;
    value.is_object().then_some(value)
}

/// A name for text in no known log format.
pub fn text(text: &[u8], name: &str) -> Kind {
    let head = lossy(text.get(..16384).unwrap_or(text));
    let start = head.trim_start();
    let lower = name.to_ascii_lowercase();
    let count = |test: &dyn Fn(&str) -> bool| head.lines().filter(|l| test(l.trim())).count();
    let lines = count(&|l| !l.is_empty()).max(1);
    if lower == "cfray.toml" {
        return Kind::new("cfray configuration, not used from a scanned path", "give it with --config if you trust it");
    }
    if looks_like_json(start) {
        return if first_object(text).is_some() && lines > 1 {
            Kind::new(
                "JSON lines in no known log format",
                "if this is an access log, give its log_format string: --log-format 'GLOB=STRING'",
            )
        } else {
            Kind::new("JSON document, not a log", "")
        };
    }
    if start.starts_with("<?php") {
        return Kind::new("PHP program", "");
    }
    if start.starts_with("<?xml") {
        return Kind::new("XML document", "");
    }
    if start.starts_with("#!") {
        return Kind::new("script", "");
    }
    let nginx = count(&|l| l.ends_with(';') || l.ends_with('{') || l == "}" || l.starts_with('#'));
    let nginx_words = ["server {", "http {", "events {", "location ", "listen ", "fastcgi_pass", "upstream "];
    if nginx * 10 >= lines * 8 && nginx_words.iter().any(|w| head.contains(w)) {
        return Kind::new("server configuration (nginx)", "");
    }
    let apache_words = ["<VirtualHost", "LoadModule ", "<Directory", "<IfModule", "ServerRoot ", "DocumentRoot ", "RewriteRule "];
    if apache_words.iter().filter(|w| head.contains(**w)).count() >= 1 && count(&|l| l.starts_with('[')) == 0 {
        return Kind::new("server configuration (Apache)", "");
    }
    if count(&|l| l.starts_with("pm.") || l.starts_with("pm =") || l.starts_with("listen =")) > 1 {
        return Kind::new("server configuration (PHP-FPM)", "");
    }
    let pairs = count(&|l| {
        l.starts_with('[') && l.ends_with(']')
            || l.split_once('=').is_some_and(|(k, _)| !k.trim().contains(' '))
            || l.starts_with(['#', ';']) && !l.starts_with("# ")
    });
    if pairs * 10 >= lines * 9 && lines > 1 {
        return Kind::new("configuration or settings", "");
    }
    if start.starts_with("# ")
        || lower.ends_with(".md")
        || lower.starts_with("readme")
        || lower.starts_with("license")
        || lower.starts_with("copying")
    {
        return Kind::new("text for readers", "");
    }
    if let Some(header) = csv_header(start) {
        return Kind::new(&format!("table (CSV) with columns {header}"), "");
    }
    Kind::new(
        "text in no known log format",
        "if this is a web server's log, give its format: --log-format 'GLOB=STRING' (cfray formats lists what is known)",
    )
}

/// The header of a table: names without spaces, and a second line with as many cells.
fn csv_header(text: &str) -> Option<String> {
    let mut lines = text.lines();
    let (first, second) = (lines.next()?, lines.next()?);
    let names: Vec<&str> = first.split(',').collect();
    let named = names.len() > 1
        && names.iter().all(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"')));
    (named && second.matches(',').count() + 1 >= names.len()).then(|| {
        let shown: Vec<&str> = names.iter().copied().take(4).collect();
        format!("{}{}", shown.join(", "), if names.len() > 4 { ", …" } else { "" })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(bytes: &[u8], name: &str) -> String {
        binary(bytes, name, Some(bytes.len() as u64)).or_else(|| not_ours(bytes, name)).unwrap_or_else(|| text(bytes, name)).what
    }

    #[test]
    fn things_have_names() {
        let cases: &[(&[u8], &str, &str)] = &[
            (b"LPKSHHRH\0\0\0\0", "system.journal", "systemd journal (binary)"),
            (b"PAR1\x15\0", "r.parquet", "Parquet"),
            (b"\x7fELF\x02\x01", "core", "program (ELF)"),
            (b"\xd4\xc3\xb2\xa1\x02\0", "x.pcap", "packet capture"),
            (b"ray_id,edge_time,edge_end_time,host,method\n", "r.csv", "cfray report (CSV)"),
            (b"{\"ray_id\":\"1\",\"cause\":\"unknown\",\"confidence\":0.1}\n", "r.ndjson", "cfray report (NDJSON)"),
            (b"<!DOCTYPE html><html><title>cfray</title>", "r.html", "cfray report (HTML)"),
            (
                b"{\"Action\":\"block\",\"RuleID\":\"x\",\"RayID\":\"9e0ad402c9afa70a\",\"EdgeResponseStatus\":403,\"Datetime\":1}\n",
                "f.log",
                "Logpush dataset firewall_events",
            ),
            (b"{\"QueryName\":\"a.example\",\"QueryType\":1,\"ResponseCode\":0}\n", "f.log", "Logpush dataset dns_logs"),
            (b"eyJhbGciOiJkaXIi.abc.def", "ownership-challenge-1.txt", "Logpush ownership challenge"),
            (b"{\"log\": {\"version\": \"1.2\", \"creator\": {}}}", "a.har", "HTTP archive (HAR)"),
            (b"{\n \"description\": \"x\"\n}", "scenario.json", "JSON document, not a log"),
            (b"events {\n}\nhttp {\n  server {\n    listen 80;\n  }\n}\n", "nginx.conf", "server configuration (nginx)"),
            (b"<VirtualHost *:80>\nServerName a\n</VirtualHost>\n", "site.conf", "server configuration (Apache)"),
            (b"[www]\npm = static\npm.max_children = 4\nlisten = /run/x\n", "www.conf", "server configuration (PHP-FPM)"),
            (b"[edge]\ntz = \"UTC\"\n", "cfray.toml", "cfray configuration, not used from a scanned path"),
            (b"ray_id,edge_status,cause\n9e0,520,unknown\n", "truth.csv", "table (CSV) with columns ray_id, edge_status, cause"),
            (b"# Recordings\n\nText.\n", "README.md", "text for readers"),
            (b"\x07\0\0\0\x10\0\0\0pts/0\0\0\0", "wtmp", "binary data"),
            (b"Lorem ipsum dolor\nsit amet, consectetur\n", "x.log", "text in no known log format"),
        ];
        for (bytes, name, expected) in cases {
            let got = what(bytes, name);
            assert!(got.starts_with(expected), "{name}: {got} instead of {expected}");
        }
    }

    #[test]
    fn http_requests_are_not_another_dataset() {
        let row = b"{\"EdgeStartTimestamp\":1,\"EdgeResponseStatus\":200,\"SecurityAction\":\"\",\"RayID\":\"9e0ad402c9afa70a\"}\n";
        assert_eq!(not_ours(row, "x.log"), None);
        assert_eq!(not_ours(b"MZ is text 10.0.0.1\n", "x.log"), None);
        assert_eq!(binary(b"MZ is text 10.0.0.1\n", "x.log", None), None);
    }
}
