#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::clf::{learn, parse};
use crate::fields::request;
use crate::spec::Sample;
use cfray_model::LineKind;
use proptest::prelude::*;
use std::sync::LazyLock;

const LINES: &[&str] = &[
    r#"172.70.240.118 - - [22/Nov/2026:12:37:46 +0000] "GET /product/1042?a=1 HTTP/1.1" 200 5587 "-" "Mozilla/5.0" "9e0ad402c9afa70a-FRA""#,
    r#"172.70.240.118 - bob [22/Nov/2026:12:37:60 -0330] "POST / HTTP/1.1" 444 0 "https://a.example/" "" "-""#,
    r#"2001:db8::7 - - [01/Jan/2026:00:00:00 +0530] "GET /\"x\" HTTP/2.0" 304 - "-" "a \"b\" c" "9e0ad402c9afa70b""#,
    r#"www.example.com:443 172.70.1.9 - - [22/Nov/2026:12:37:46 +0000] "GET / HTTP/1.1" 200 5587 "-" "Mozilla/5.0""#,
    r#"198.51.100.7, 172.70.1.9 - - [22/Nov/2026:12:37:46 +0000] "-" 408 0 "-" "-""#,
    r#"10.0.0.1 - - [22/Nov/2026:12:37:46 +0000] "GET /a HTTP/1.1" 200 5587 "-" "curl" rt=0.010 uct="0.1, 0.2" cid=7 bytes_sent=5800 host=a.example ray=9e0ad402c9afa70a-FRA"#,
    r#"10.0.0.1 - - [22/Nov/2026:12:37:46 +0000] "GET /a HTTP/1.1" 502 157 0.010, 0.020 : 0.3 [a b] 9e0ad402c9afa70a"#,
    r#"10.0.0.1 - - [22/Nov/2026:12:37:46 +0000] "\x16\x03\x01" 400 157 "-" "-""#,
    r#"10.0.0.1 - - [22/Nov/2026:12:37:46 +0000] "PRI * HTTP/2.0" 400 157"#,
];

fn learned(line: &str) -> Learned {
    let lines = vec![line.as_bytes(); 20];
    learn::learn(&Sample { lines }).learned
}

static LEARNED: LazyLock<Vec<Learned>> = LazyLock::new(|| LINES.iter().map(|line| learned(line)).collect());

/// What the parser says, in the words of a glance.
fn parsed<'a>(record: &'a [u8], learned: &Learned) -> Option<Glance<'a>> {
    let line = parse(record, Stack::Nginx, learned).ok()?;
    assert!(line.kind == LineKind::Access && line.syslog_host.is_none() && line.level.is_none());
    let part = |value: Option<std::borrow::Cow<'a, [u8]>>| value.map(|v| if let std::borrow::Cow::Borrowed(v) = v { v } else { b"owned" });
    Some(Glance {
        stack: line.stack,
        time: line.time?,
        client_v4: line.client.as_deref().and_then(|c| std::str::from_utf8(c).ok()?.parse().ok()),
        client: part(line.client),
        host: part(line.host),
        request: b"",
        status: line.status,
        size: line.size,
        body_bytes: line.body_bytes,
        bytes_sent: line.bytes_sent,
        ray: line.ray,
        cid: line.cid,
    })
}

/// `false`: the glance declined.
fn holds(record: &[u8], learned: &Learned, memo: &mut ClfMemo) -> bool {
    let Some(glance) = glance(record, Stack::Nginx, learned, memo) else { return false };
    let line = parse(record, Stack::Nginx, learned).expect("parses");
    let request = request::split(glance.request);
    assert_eq!((request.method, request.uri), (line.method.as_deref(), line.uri.as_deref()));
    assert_eq!(Some(Glance { request: b"", ..glance }), parsed(record, learned), "{}", String::from_utf8_lossy(record));
    true
}

#[test]
fn ordinary_lines_need_no_parser() {
    let mut memo = ClfMemo::default();
    for (i, line) in LINES.iter().enumerate() {
        assert!(holds(line.as_bytes(), &learned(line), &mut memo) || [4, 8].contains(&i), "{line}");
    }
    let line = LINES[0];
    let rays = glance(line.as_bytes(), Stack::Nginx, &learned(line), &mut memo).unwrap().ray;
    assert_eq!(rays, RayId::parse(b"9e0ad402c9afa70a"));
}

#[test]
fn tabs_are_for_the_parser() {
    let mut memo = ClfMemo::default();
    let line = LINES[3];
    assert!(holds(line.as_bytes(), &learned(line), &mut memo));
    for (from, to) in [
        ("www.example", "www.\tx-ample"),
        (":443 172", ":443\t172"),
        (" - - ", "\t-\t-\t"),
        (" 200 5587", "\t200\t5587"),
        (" 5587", " 5587\t"),
    ] {
        let line = line.replacen(from, to, 1);
        assert!(!holds(line.as_bytes(), &learned(LINES[3]), &mut memo), "{line:?}");
    }
}

#[test]
fn odd_quotes_sizes_and_spaces() {
    let mut memo = ClfMemo::default();
    for (from, to, read) in [
        ("200 5587 ", "200 5587x ", false),
        ("200 5587 ", "200 99999999999999999999999 ", false),
        ("200 5587 ", "200 5587  ", true),
        ("200 5587 ", "200 - ", true),
        (r#""Mozilla/5.0""#, r#""Moz \""#, false),
        (r#""Mozilla/5.0""#, r#""Moz \\""#, true),
        (r#""Mozilla/5.0""#, r#""Moz \" a""#, true),
        (r#""Mozilla/5.0""#, r#""Moz "a" b""#, false),
    ] {
        let line = LINES[0].replace(from, to);
        assert_ne!(line, LINES[0]);
        assert_eq!(holds(line.as_bytes(), &learned(LINES[0]), &mut memo), read, "{line}");
    }
    // Whatever a glance says of these, the parser says.
    for (from, to) in [(r#""Mozilla/5.0""#, "\"Moz\"\t"), (r#"-FRA""#, "-FRA\" \t "), (r#"-FRA""#, "-FRA")] {
        holds(LINES[0].replace(from, to).as_bytes(), &learned(LINES[0]), &mut memo);
    }
}

#[test]
fn other_arrangements_are_left_to_the_parser() {
    let mut memo = ClfMemo::default();
    let learned = learned(LINES[0]);
    assert!(!learned.layouts.is_empty());
    let forged = LINES[0].replace("Mozilla/5.0", r#"x" "9e0ad402c9afa799-FRA"#);
    assert!(glance(forged.as_bytes(), Stack::Nginx, &learned, &mut memo).is_none());
}

proptest! {
    #[test]
    fn says_what_the_parser_says(
        from in 0..LINES.len(),
        to in 0..LINES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>(), any::<prop::sample::Index>()), 0..6),
    ) {
        const LIKELY: &[u8] = b" \"\\[]-,:=019/\tx|";
        let learned = &LEARNED[from];
        let mut memo = ClfMemo::default();
        let mut record = LINES[to].as_bytes().to_vec();
        for (at, how, byte, other) in edits {
            let byte = if byte < 200 { LIKELY[usize::from(byte) % LIKELY.len()] } else { byte };
            let at = at.index(record.len());
            match how {
                0 => record[at] = byte,
                1 => record.insert(at, byte),
                2 if record.len() > 1 => drop(record.remove(at)),
                _ => record.truncate(other.index(record.len()).max(1)),
            }
            holds(&record, learned, &mut memo);
        }
        holds(LINES[to].as_bytes(), learned, &mut memo);
    }
}
