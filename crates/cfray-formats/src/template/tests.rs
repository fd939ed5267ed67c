#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use cfray_model::{Line, RayId, Stack};
use proptest::prelude::*;

/// Compiles, parses, and gives owned copies of what tests look at.
fn line<'a>(template: &str, text: &'a str) -> Line<'a> {
    let parser = from_template(template).expect(template);
    parser.parse(text.as_bytes()).expect(text)
}

fn text(value: &Option<std::borrow::Cow<'_, [u8]>>) -> Option<String> {
    value.as_ref().map(|v| String::from_utf8_lossy(v).into_owned())
}

const RAY: &str = "9e0ad402c9afa70a-FRA";

#[test]
fn nginx_directive_as_it_stands() {
    let directive = "log_format cf_custom '$remote_addr - $remote_user [$time_local] '\n    '\"$request\" $status $body_bytes_sent '\n    '\"$http_referer\" \"$http_user_agent\" '\n    '$http_cf_ray';";
    let l = line(
        directive,
        r#"172.68.1.1 - a b [22/Nov/2026:12:30:52 +0000] "GET /x y HTTP/1.1" 200 17 "-" "a \x22b\x22" 9e0ad402c9afa70a-FRA"#,
    );
    assert_eq!((l.status, l.body_bytes, l.size), (Some(200), Some(17), None));
    assert_eq!((text(&l.uri).as_deref(), text(&l.client).as_deref()), (Some("/x y"), Some("172.68.1.1")));
    assert_eq!(l.ray, RayId::parse(RAY.as_bytes()));
    assert!(!l.time_is_start);
}

#[test]
fn nginx_lists_targets_and_times() {
    let l = line(
        "$msec|${request_method}|$scheme://$host$uri$is_args$args|$status|$bytes_sent|$request_time|$upstream_status $upstream_response_time $upstream_addr|$connection",
        "1795350463.123|GET|https://h.example/p/q?a=1|502|0|1.250|502, 504 : 200 0.010, 1.2 : 0.1 127.0.0.1:9000, unix:/x.sock|99",
    );
    assert_eq!((l.bytes_sent, l.duration_us, l.cid, l.upstream_status), (Some(0), Some(1_250_000), Some(99), Some(200)));
    assert_eq!((text(&l.host).as_deref(), text(&l.uri).as_deref()), (Some("h.example"), Some("/p/q?a=1")));
    assert_eq!(text(&l.upstream).as_deref(), Some("unix:/x.sock"));
    assert_eq!(l.time.unwrap().precision_ns, 1_000_000);
}

#[test]
fn nginx_json() {
    let directive = r#"log_format j escape=json '{"t":"$time_iso8601","ms":"$msec","r":"$http_cf_ray","x":"$remote_addr",'
        '"q":"$request_method $request_uri $server_protocol","s":$status,"w":$bytes_sent,"rt":$request_time,"us":"$upstream_status","nobody":"$foo"}';"#;
    let l = line(
        directive,
        r#"{"t":"2026-11-22T12:27:43+00:00","ms":"1795350463.123","r":"9e0ad402c9afa70a-FRA","x":"172.68.1.1","q":"GET /a\"b HTTP/1.1","s":444,"w":0,"rt":,"us":"","nobody":"x"}"#,
    );
    assert_eq!((l.status, l.bytes_sent, l.duration_us), (Some(444), Some(0), None));
    assert_eq!(text(&l.uri).as_deref(), Some("/a\"b"));
    assert_eq!(l.ray, RayId::parse(RAY.as_bytes()));
    assert_eq!(l.time.unwrap().precision_ns, 1_000_000);
}

#[test]
fn apache_directive_as_it_stands() {
    let directive = r#"LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D %L %{CF-Ray}i" cf"#;
    let l = line(
        directive,
        r#"h.example:443 172.68.1.1 - "" [22/Nov/2026:12:30:52 +0530] "GET /\"x HTTP/1.1" 502 0 "-" "a \"b\"" 2100 ZxAb 9e0ad402c9afa70a-FRA"#,
    );
    assert_eq!((l.stack, l.time_is_start, l.status, l.bytes_sent, l.duration_us), (Stack::Apache, true, Some(502), Some(0), Some(2100)));
    assert_eq!(
        (text(&l.uri).as_deref(), text(&l.agent).as_deref(), text(&l.log_id).as_deref()),
        (Some("/\\\"x"), Some("a \\\"b\\\""), Some("ZxAb"))
    );
    assert_eq!(text(&l.host).as_deref(), Some("h.example"));
    assert_eq!(l.time.unwrap().offset_s, Some(19_800));
}

#[test]
fn apache_times() {
    let l = line(
        "%{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}t%{%z}t %a %m %U%q %>s %B %{ms}T",
        "2026-11-22T12:30:52.123456+0100 2001:db8::1 GET /a?b=c 200 0 17",
    );
    let time = l.time.unwrap();
    assert_eq!((time.civil_ns % 1_000_000_000, time.precision_ns, time.offset_s), (123_456_000, 1_000, Some(3600)));
    assert_eq!((text(&l.uri).as_deref(), l.body_bytes, l.duration_us), (Some("/a?b=c"), Some(0), Some(17_000)));
    let l = line("%{sec}t.%{msec_frac}t %h %>s", "1795350463.123 192.0.2.1 200");
    assert_eq!(l.time.unwrap().precision_ns, 1_000_000);
    let l = line("%t %{end:msec}t %h %>s", "[22/Nov/2026:12:30:52 +0530] 1795350463123 192.0.2.1 200");
    assert!(!l.time_is_start, "the end is what others are compared with");
    assert_eq!(l.time.unwrap().offset_s, Some(0));
}

#[test]
fn apache_json() {
    let l = line(
        r#"LogFormat "{ \"time\":\"%{%Y-%m-%dT%T}t.%{usec_frac}t\", \"peer\":\"%{c}a\", \"ip\":\"%a\", \"line\":\"%r\", \"code\":\"%>s\", \"us\":\"%D\", \"sent\":%O, \"ray\":\"%{CF-RAY}i\" }" j"#,
        r#"{ "time":"2026-11-22T12:30:52.123456", "peer":"172.68.1.1", "ip":"198.51.100.1", "line":"GET / HTTP/1.1", "code":"200", "us":"10", "sent":300, "ray":"-" }"#,
    );
    assert_eq!((l.status, l.duration_us, l.bytes_sent, l.ray), (Some(200), Some(10), Some(300), None));
    assert_eq!((l.time.unwrap().precision_ns, text(&l.client).as_deref()), (1_000, Some("198.51.100.1")));
}

#[test]
fn fpm() {
    let l = line(
        r#"access.format = "%R - %u %t \"%m %r%Q%q\" %s %f %{milli}d %{kilo}M %C%% %p %{HTTP_CF_RAY}e""#,
        r#"127.0.0.1 -  22/Nov/2026:12:30:52 +0000 "GET /index.php?a=1" 200 /srv/index.php 12.345 2048 10.00% 77 9e0ad402c9afa70a-FRA"#,
    );
    assert_eq!((l.stack, l.pid, l.duration_us, l.time_is_start), (Stack::Fpm, Some(77), Some(12_345), true));
    assert_eq!((text(&l.method).as_deref(), text(&l.uri).as_deref()), (Some("GET"), Some("/index.php?a=1")));
    assert_eq!(l.ray, RayId::parse(RAY.as_bytes()));
    let l = line("%R - %u %t \"%m %r\" %s", "- -  22/Nov/2026:12:30:52 +0000 \"GET /index.php\" 200");
    assert_eq!((l.client, text(&l.uri).as_deref()), (None, Some("/index.php")));
}

#[test]
fn error_log_format() {
    let directive =
        r#"ErrorLogFormat "[%{u}t] [%-m:%l] [pid %P:tid %T] [%L] [%{CF-Ray}i] %7F: %E: [client\ %a] %M% ,\ referer\ %{Referer}i""#;
    let l = line(
        directive,
        "[Sun Nov 22 12:30:36.123456 2026] [proxy_http:error] [pid 7:tid 9] [ZxAbCdEfGhI] [9e0ad402c9afa70a-FRA] (104)Connection reset by peer: [client 172.68.1.1:5] AH01102: error reading status line, referer http://r/, referer x",
    );
    assert_eq!((l.code, l.pid, l.tid), (Some(1102), Some(7), Some(9)));
    assert_eq!(l.ray, RayId::parse(RAY.as_bytes()));
    assert_eq!((text(&l.log_id).as_deref(), text(&l.client).as_deref()), (Some("ZxAbCdEfGhI"), Some("172.68.1.1")));
    assert_eq!(l.message.as_ref(), b"(104)Connection reset by peer: AH01102: error reading status line");
    assert_eq!(text(&l.referer).as_deref(), Some("http://r/, referer x"));
    // Empty items vanish.
    let l = line(
        directive,
        "[Sun Nov 22 12:30:36.123456 2026] [mpm_prefork:notice] [pid 7:tid 9] AH00163: Apache configured -- resuming normal operations",
    );
    assert_eq!((l.code, l.ray, l.client), (Some(163), None, None));
    // What comes before the format is in force.
    assert_eq!(line(directive, "AH00558: httpd: Could not determine").code, Some(558));
    let l = line("[%{cu}t] [%l] %M [%{CF-RAY}i]", "[2026-11-22 12:30:36.123456] [error] a [b] c [9e0ad402c9afa70a-FRA]");
    assert_eq!((l.ray, l.message.as_ref()), (RayId::parse(RAY.as_bytes()), &b"a [b] c"[..]));
}

#[test]
fn names_and_kinds() {
    for (template, format) in [
        ("combined", "nginx-access"),
        ("vhost_combined", "apache-access"),
        ("$remote_addr $status", "nginx-access"),
        ("%h %>s", "apache-access"),
        ("%R %s %{mili}d", "php-fpm-access"),
        ("[%t] [%l] %M", "apache-error"),
        ("{\"a\":\"$status\"}", "json-access"),
    ] {
        assert_eq!(from_template(template).expect(template).format(), format, "{template}");
    }
}

#[test]
fn refusals_say_why() {
    for (template, word) in [
        ("", "empty"),
        ("no variables", "no variable"),
        ("$http_user_agent$http_referer", "side by side"),
        ("${status", "not closed"),
        ("log_format x '$status", "not closed"),
        ("%{%Y-%Q}t %h %>s", "%Q"),
        ("ErrorLogFormat \"[%t] %l\"", "%M"),
        ("{\"a\" $status}", "no JSON"),
        ("%h %", "without a letter"),
    ] {
        let error = from_template(template).expect_err(template);
        assert!(error.reason.contains(word), "{template}: {error}");
    }
}

#[test]
fn lines_of_another_form_say_where() {
    let parser = from_template("$remote_addr [$time_local] $status").unwrap();
    let error = parser.parse(b"192.0.2.1 [22/Nov/2026:12:30:52 +0000] 200 more").unwrap_err();
    assert_eq!(error.at, 42);
    assert!(parser.parse(b"2026/11/22 12:30:36 [error] 1#1: x").is_ok(), "both logs in one stream");
}

#[test]
fn a_forged_end_of_a_quoted_field_loses() {
    // Apache escapes the quote, so what looks like the end of the field is not.
    let l = line(r#"%h "%{User-Agent}i" %{CF-RAY}i"#, r#"192.0.2.1 "x\" 1111111111111111-FRA \"" 9e0ad402c9afa70a-FRA"#);
    assert_eq!(l.ray, RayId::parse(RAY.as_bytes()));
}

proptest! {
    #[test]
    fn any_template_any_line(template in "[ -~]{0,40}|(\\$(status|msec|uri|args|host|time_local|upstream_addr|http_cf_ray)[ |\"{}:]?){1,6}|(%[a-zA-Z{}t<>]{1,3} ?){1,6}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(parser) = from_template(&template) {
            let _ = parser.parse(&bytes);
            let _ = parser.parse(b"192.0.2.1 [22/Nov/2026:12:30:52 +0000] 200 \"a\" | {} : 1.0");
        }
    }

    #[test]
    fn rendered_lines_read_back(status in 100u16..600, uri in "/[a-z0-9/]{0,20}", ms in 0u64..100_000, host in "[a-z.]{1,12}", cid in any::<u32>()) {
        let parser = from_template("$host|$request_uri|$status|$request_time|$connection").unwrap();
        let text = format!("{host}|{uri}|{status}|{}.{:03}|{cid}", ms / 1000, ms % 1000);
        let line = parser.parse(text.as_bytes()).unwrap();
        prop_assert_eq!((line.status, line.duration_us, line.cid), (Some(status), Some(ms * 1000), Some(u64::from(cid))));
        prop_assert_eq!((line.host.as_deref(), line.uri.as_deref()), (Some(host.as_bytes()), Some(uri.as_bytes())));
    }
}
