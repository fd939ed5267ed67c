#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::signatures::signature;
use cfray_model::{LineKind, Sig};
use proptest::prelude::*;

fn parser(lines: &[String]) -> Box<dyn RecordParser> {
    let file = lines.join("\n");
    let found = crate::detect(&Sample::from_bytes(file.as_bytes())).expect("some format");
    assert_eq!(found.parser.format(), "container", "{}", found.why);
    found.parser
}

fn docker(text: &str, stream: &str, nanos: u32) -> String {
    let log = serde_json::to_string(&format!("{text}\n")).unwrap();
    format!(r#"{{"log":{log},"stream":"{stream}","time":"2026-11-22T12:24:07.{nanos:09}Z"}}"#)
}

const ACCESS: &str = r#"172.70.240.21 - - [22/Nov/2026:12:24:07 +0000] "GET /cart?a=1 HTTP/1.1" 444 0 "-" "okhttp/5.1.0""#;
const ERROR: &str = r#"2026/11/22 12:24:07 [error] 29#29: *7 upstream prematurely closed connection while reading response header from upstream, client: 172.70.240.21, server: www.example.com, request: "GET /cart HTTP/1.1", upstream: "http://127.0.0.1:8000/cart", host: "www.example.com""#;

#[test]
fn docker_json_of_nginx() {
    let lines = vec![docker(ACCESS, "stdout", 143_000_000), docker(ERROR, "stderr", 144_000_000)];
    let parser = parser(&lines);
    let access = parser.parse(lines[0].as_bytes()).unwrap();
    assert_eq!((access.kind, access.stack, access.status), (LineKind::Access, Stack::Nginx, Some(444)));
    assert_eq!(access.uri.as_deref(), Some(&b"/cart?a=1"[..]));
    let error = parser.parse(lines[1].as_bytes()).unwrap();
    assert_eq!((error.kind, error.cid), (LineKind::Error, Some(7)));
    // The runtime's stamp is UTC, and so is nginx's here.
    assert_eq!(error.time.unwrap().offset_s, Some(0));
    assert_eq!(signature(&error).unwrap().sig, Sig::UpstreamClosed);
    assert!(!parser.continues(lines[0].as_bytes(), lines[1].as_bytes()));
}

#[test]
fn the_runtimes_stamp_gives_the_zone() {
    let line = docker(&ERROR.replace("12:24:07", "17:54:07"), "stderr", 144_000_000);
    let read = parser(std::slice::from_ref(&line)).parse(line.as_bytes()).unwrap().time.unwrap();
    assert_eq!(read.offset_s, Some(5 * 3600 + 1800));
}

#[test]
fn json_access_lines_inside() {
    let json = r#"{"ts":"2026-11-22T12:24:07+00:00","remote":"172.70.240.21","host":"a.example","req":"GET /s HTTP/1.1","status":009,"len":0,"rt":0.042,"urt":,"ust":,"ua":"okhttp/5"}"#;
    let lines = vec![docker(&json.replace("009", "200"), "stdout", 1), docker(json, "stdout", 2), docker(ERROR, "stderr", 3)];
    let parser = parser(&lines);
    let line = parser.parse(lines[1].as_bytes()).unwrap();
    assert_eq!((line.kind, line.status, line.uri.as_deref()), (LineKind::Access, Some(9), Some(&b"/s"[..])));
}

#[test]
fn cri_with_a_line_in_two_parts() {
    let stamp = "2026-11-22T12:24:07.143000113Z";
    let (head, tail) = ERROR.split_at(100);
    let lines = vec![format!("{stamp} stdout F {ACCESS}"), format!("{stamp} stderr P {head}"), format!("{stamp} stderr F {tail}")];
    let parser = parser(&lines);
    assert!(parser.continues(lines[1].as_bytes(), lines[2].as_bytes()));
    assert!(!parser.continues(lines[0].as_bytes(), lines[1].as_bytes()), "another stream");
    let (parts, whole) = (format!("{}\n{}", lines[1], lines[2]), format!("{stamp} stderr F {ERROR}"));
    assert_eq!(parser.parse(parts.as_bytes()).unwrap().message, parser.parse(whole.as_bytes()).unwrap().message);
    assert!(parser.parse(b"2026-11-22 12:24:07 nothing of the kind").is_err());
}

#[test]
fn compose_keeps_services_apart() {
    let fpm = "[22-Nov-2026 12:24:00] NOTICE: fpm is running, pid 1";
    let fatal = "NOTICE: PHP message: PHP Fatal error:  Uncaught Error: boom in /var/www/x.php:3";
    let lines: Vec<String> = vec![
        format!("web-1  | {ACCESS}"),
        format!("web-1  | {ERROR}"),
        format!("php-1  | {fpm}"),
        format!("php-1  | {fatal}"),
        "php-1  | #0 {main}".to_owned(),
    ];
    let parser = parser(&lines);
    assert_eq!(parser.parse(lines[0].as_bytes()).unwrap().kind, LineKind::Access);
    assert_eq!(parser.parse(lines[2].as_bytes()).unwrap().stack, Stack::Fpm);
    assert!(parser.continues(lines[3].as_bytes(), lines[4].as_bytes()));
    assert!(!parser.continues(lines[1].as_bytes(), lines[4].as_bytes()), "another service");
    let record = format!("{}\n{}", lines[3], lines[4]);
    let read = parser.parse(record.as_bytes()).unwrap();
    assert_eq!((signature(&read).unwrap().sig, read.raw_text), (Sig::PhpFatal, true));
}

/// A child prints what looks like its master's line: text, not a death.
#[test]
fn what_a_child_prints_is_no_line_of_its_master() {
    let lines = vec![
        docker("[22-Nov-2026 12:24:00] NOTICE: fpm is running, pid 1", "stderr", 1),
        docker("WARNING: [pool www] child 9 exited on signal 11 (SIGSEGV) after 4.8 seconds from start", "stderr", 2),
    ];
    let read = parser(&lines).parse(lines[1].as_bytes()).unwrap();
    assert!(read.raw_text);
    assert_eq!(signature(&read), None);
}

/// Many applications begin their lines with such a stamp.
#[test]
fn a_stamp_alone_is_no_wrapper() {
    let line = "2026-11-22T12:24:07.143000113Z INFO started worker 3";
    let found = crate::detect(&Sample::from_bytes(line.as_bytes()));
    assert!(found.is_none_or(|f| f.parser.format() != "container"));
    let lines = vec![format!("2026-11-22T12:24:07.143000113Z {ERROR}")];
    assert_eq!(parser(&lines).parse(lines[0].as_bytes()).unwrap().kind, LineKind::Error);
}

proptest! {
    /// What a runtime wrapped comes out again, whatever the line holds.
    #[test]
    fn a_wrapped_line_is_read_as_the_bare_one(path in "[a-z0-9/\"\\\\ é-]{0,40}", status in 200u16..600) {
        let path: String = path.chars().flat_map(|c| if c == '"' || c == '\\' { vec!['\\', 'x', '2', '2'] } else { vec![c] }).collect();
        let bare = ACCESS.replace("/cart?a=1", &format!("/{path}")).replace("444", &status.to_string());
        let lines = vec![docker(ACCESS, "stdout", 1), docker(ERROR, "stderr", 2)];
        let line = docker(&bare, "stdout", 3);
        let read = parser(&lines);
        let inside = read.parse(line.as_bytes()).unwrap();
        let outside = crate::clf::parse_plain(bare.as_bytes(), Stack::Nginx).unwrap();
        prop_assert_eq!((inside.status, inside.uri, inside.method), (outside.status, outside.uri, outside.method));
    }

    #[test]
    fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let read = parser(&[docker(ERROR, "stderr", 2)]);
        let _ = read.parse(&bytes);
        let _ = read.continues(docker(ERROR, "stderr", 2).as_bytes(), &bytes);
        for wrapper in Wrapper::ALL {
            let _ = peel(wrapper, &bytes);
        }
    }
}

#[test]
fn a_traceback_of_python_is_one_record() {
    let texts = [
        "[2026-11-22 12:24:07 +0000] [811] [ERROR] Internal Server Error: /cart/7",
        "Traceback (most recent call last):",
        r#"  File "/srv/shop/middleware/tax.py", line 9, in __call__"#,
        "    return rates[country]",
        "KeyError: 'IN'",
        "[2026-11-22 12:24:08 +0000] [811] [INFO] Worker exiting (pid: 811)",
    ];
    let lines: Vec<String> = texts.iter().map(|text| docker(text, "stderr", 1)).collect();
    let parser = parser(&lines);
    for at in 1..5 {
        assert!(parser.continues(lines[..at].join("\n").as_bytes(), lines[at].as_bytes()), "{}", texts[at]);
    }
    let record = lines[..5].join("\n");
    assert!(!parser.continues(record.as_bytes(), lines[5].as_bytes()));
    assert!(!parser.continues(lines[0].as_bytes(), docker(texts[1], "stdout", 1).as_bytes()), "another stream");
    let line = parser.parse(record.as_bytes()).unwrap();
    assert_eq!(signature(&line).unwrap().sig, Sig::AppException);
    assert_eq!(line.uri.as_deref(), Some(&b"/cart/7"[..]));
    let file = crate::signatures::python_fault_file(&line.message);
    assert_eq!(file.as_deref(), Some("/srv/shop/middleware/tax.py"));
}
