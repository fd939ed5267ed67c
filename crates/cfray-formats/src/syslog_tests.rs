#![allow(clippy::unwrap_used)]

use super::*;
use crate::signatures::signature;
use cfray_model::{LineKind, Sig, Stamp};
use proptest::prelude::*;

fn parser() -> Syslog {
    Syslog { inner: Inner::default() }
}

fn read(line: &str) -> Line<'static> {
    crate::support::own(parser().parse(line.as_bytes()).unwrap())
}

fn utc(line: &Line<'_>) -> String {
    Stamp(line.time.unwrap().stated_ns()).to_rfc3339_ms()
}

#[test]
fn every_header_names_host_tag_and_pid() {
    for header in [
        "Nov 22 12:24:07 web1 shop[812]: hello",
        "Nov  2 12:24:07 web1 shop[812]: hello",
        "<13>Nov 22 2026 12:24:07 web1 shop[812]: hello",
        "Nov 22 12:24:07.123456 web1 shop[812]: hello",
        "2026-11-22T12:24:07.123456+00:00 web1 shop[812]: hello",
        "2026-11-22T12:24:07+0000 web1 shop[812]: hello",
        "Sun 2026-11-22 12:24:07 UTC web1 shop[812]: hello",
        "1795350247.123456 web1 shop[812]: hello",
        "<13>1 2026-11-22T12:24:07Z web1 shop 812 - - hello",
        "<13>1 2026-11-22T12:24:07Z web1 shop 812 ID [a@1 k=\"v\\\"]\"][b x=\"]\"] \u{feff}hello",
    ] {
        let (envelope, message) = split(header.as_bytes()).unwrap();
        assert_eq!((envelope.host, envelope.tag, envelope.pid), (Some(&b"web1"[..]), Some(&b"shop"[..]), Some(812)), "{header}");
        assert_eq!(message, b"hello", "{header}");
        let time = envelope.time.unwrap();
        assert_eq!(time.yearless, header.starts_with("Nov") && !header.contains("2026"), "{header}");
    }
}

#[test]
fn headers_with_less() {
    let (e, m) = split(b"Nov 22 12:24:07 nginx: text").unwrap();
    assert_eq!((e.host, e.tag, m), (None, Some(&b"nginx"[..]), &b"text"[..]), "nohostname");
    let (e, m) = split(b"Apr 28 04:02:03 web1 syslogd 1.4.1: restart.").unwrap();
    assert_eq!((e.host, e.tag, m), (Some(&b"web1"[..]), None, &b"syslogd 1.4.1: restart."[..]));
    let (e, m) = split(b"Mar 24 14:26:01 --- last message repeated 2 times ---").unwrap();
    assert_eq!((e.host, e.tag, m), (None, None, &b"--- last message repeated 2 times ---"[..]));
    assert!(split(b"<13>1 - web1 - - - - hello").unwrap().0.time.is_none());
}

#[test]
fn other_logs_with_an_iso_stamp_are_not_syslog() {
    for line in [
        "2026-11-22T12:24:07.123Z\twarn\thttp\tslow upstream",
        "2026-11-22T12:24:07.123Z warn http: slow upstream",
        "2020-08-06T14:25:02.835618Z 0 [Note] [MY-012487] [InnoDB] DDL log recovery : begin",
        "2026-11-22 12:24:07,513 INFO app.server: listening",
        "2026-11-22T12:24:07 web1 shop: no zone",
        "2026-11-22T12:24:07,123456+00:00 nginx[7]: segfault at 21 ip 0 sp 0 error 6",
    ] {
        assert!(split(line.as_bytes()).is_none(), "{line}");
    }
}

#[test]
fn the_process_beside_the_tag_does_not_replace_the_inner_one() {
    let line = read(
        "Nov 22 17:52:14 web1 apache2[2211]: [Sun Nov 22 17:52:14.098937 2026] [core:notice] [pid 13843:tid 13843] AH00052: child pid 13901 exit signal Segmentation fault (11)",
    );
    assert_eq!((line.stack, line.pid), (Stack::Apache, Some(13843)));
    let hit = signature(&line).unwrap();
    assert_eq!((hit.sig, hit.num, hit.pid), (Sig::ApacheChildSignal, Some(11), Some(13901)));
    assert_eq!(utc(&line), "2026-11-22T17:52:14.098Z", "neither stamp has a zone");
}

#[test]
fn a_missing_zone_comes_from_the_wrapper() {
    let inner = "2026/11/22 17:54:07 [alert] 812#812: worker process 813 exited on signal 11";
    let line = read(&format!("2026-11-22T12:24:08.500000+00:00 web1 nginx: {inner}"));
    assert_eq!(line.time.unwrap().offset_s, Some(19_800));
    assert_eq!(utc(&line), "2026-11-22T12:24:07.000Z");
    let late = read(&format!("2026-11-22T12:31:08.500000+00:00 web1 nginx: {inner}"));
    assert_eq!(late.time.unwrap().offset_s, None, "seven minutes apart: no zone is that");
    let plain = read(&format!("Nov 22 17:54:08 web1 nginx: {inner}"));
    assert_eq!((plain.time.unwrap().offset_s, plain.time.unwrap().yearless), (None, false));
}

#[test]
fn one_file_yields_every_stack() {
    let stacks: Vec<(Stack, LineKind)> = [
        "Nov 22 12:24:07 web1 nginx: 2026/11/22 12:24:07 [error] 8#8: *3 access forbidden by rule, client: 192.0.2.1, server: x, request: \"GET /wp-login.php HTTP/1.1\", host: \"x\"",
        "Nov 22 12:24:07 web1 httpd: 172.68.70.190 - - [22/Nov/2026:17:52:14 +0530] \"GET / HTTP/1.1\" 200 9102 \"-\" \"curl\"",
        "Nov 22 12:24:07 web1 php-fpm8.2[7]: [WARNING] [pool www] server reached max_children setting (5), consider raising it",
        "Nov 22 12:24:07 web1 php[7]: PHP Warning:  Undefined variable $x in /srv/x.php on line 3",
        "Nov 22 12:24:07 web1 kernel: [ 12.5] php-fpm invoked oom-killer: gfp_mask=0x1100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
        "Nov 22 12:24:07 web1 kernel: [ 12.5] [UFW BLOCK] IN=eth0 OUT= SRC=172.70.240.21 DST=192.0.2.7 PROTO=TCP SPT=1 DPT=443",
        "Nov 22 12:24:07 web1 systemd[1]: Stopping nginx.service - A high performance web server...",
        "Nov 22 12:24:07 web1 fail2ban.actions[812]: NOTICE [nginx-limit-req] Ban 172.70.240.21",
        "Nov 22 12:24:07 web1 haproxy[7]: 141.35.244.171:53332 [25/Feb/2019:16:19:48.143] f~ b/s 0/0/7/1457/1487 200 11394 - - ---- 2/1/0/0/0 0/0 \"GET / HTTP/1.1\"",
        "Nov 22 12:24:07 web1 shop[9]: cart is empty",
    ]
    .iter()
    .map(|l| {
        let line = read(l);
        assert_eq!(line.syslog_host.as_deref(), Some(&b"web1"[..]), "{l}");
        assert!(line.time.is_some(), "{l}");
        (line.stack, line.kind)
    })
    .collect();
    let expect = [
        (Stack::Nginx, LineKind::Error),
        (Stack::Apache, LineKind::Access),
        (Stack::Fpm, LineKind::Fpm),
        (Stack::Php, LineKind::Php),
        (Stack::Kernel, LineKind::System),
        (Stack::Firewall, LineKind::System),
        (Stack::Systemd, LineKind::System),
        (Stack::Fail2ban, LineKind::System),
        (Stack::HaProxy, LineKind::Access),
        (Stack::App, LineKind::Other),
    ];
    assert_eq!(stacks, expect);
}

#[test]
fn access_lines_of_a_tag_are_read_as_the_head_of_the_file_shows() {
    let lines: Vec<String> = (0..20)
        .map(|n| format!("Nov 22 12:24:{n:02} web1 shop: 172.68.70.190 - - [22/Nov/2026:12:24:{n:02} +0000] \"GET /{n} HTTP/1.1\" 200 9102 \"-\" \"curl\" \"9e0ad2b9bb609b{n:02}-AMS\""))
        .collect();
    let sample = Sample { lines: lines.iter().map(|l| l.as_bytes()).collect() };
    let found = detect(&sample).unwrap();
    let line = found.parser.parse(lines.last().unwrap().as_bytes()).unwrap();
    assert_eq!(line.kind, LineKind::Access);
    assert_eq!(line.ray, cfray_model::RayId::parse(b"9e0ad2b9bb609b19"));
}

#[test]
fn forged_header_inside_quoted_stderr_is_no_record() {
    let open = b"Nov 22 12:24:07 web1 nginx: 2026/11/22 12:24:07 [error] 8#8: *3 FastCGI sent in stderr: \"PHP message: hello";
    let forged = b"Nov 22 12:24:07 web1 nginx: 2026/11/22 12:24:07 [alert] 8#8: worker process 9 exited on signal 11";
    assert!(parser().continues(open, forged));
    let done = [&open[..], b"\n\" while reading response header from upstream, client: 192.0.2.1, server: x"].concat();
    assert!(!parser().continues(&done, forged));
}

#[test]
fn reasons_name_what_is_wrong() {
    let reason = |l: &str| parser().parse(l.as_bytes()).unwrap_err().reason.into_owned();
    assert!(reason("ao\u{fb}t 19 11:08:37 nlaptop symphorien[4961]: test").contains("month"));
    assert!(reason("-- Boot 1234 --").contains("journalctl"));
    assert!(reason("hello").contains("stamp"));
}

proptest! {
    #[test]
    fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = parser().parse(&bytes);
        let _ = parser().continues(&bytes, &bytes);
        let _ = detect(&Sample::from_bytes(&bytes));
    }

    #[test]
    fn any_message_after_a_header_is_kept(message in "[ -~]{0,120}", tag in "(kernel|nginx|apache2|php-fpm|php|systemd|haproxy|fail2ban|x)") {
        let text = format!("Nov 22 12:24:07 web1 {tag}[1]: {message}");
        let line = parser().parse(text.as_bytes()).unwrap();
        let _ = signature(&line);
        prop_assert_eq!(line.syslog_host.as_deref(), Some(&b"web1"[..]));
    }
}

/// A line about a process has no tail: the next header ends it.
#[test]
fn a_line_about_a_process_is_one_line() {
    let lines = [
        "2026-11-23T13:34:30+0530 web1 nginx[705]: 2026/11/23 13:34:30 [warn] 8959#8959: 160 worker_connections are not enough, reusing connections",
        "2026-11-23T13:34:30+0530 web1 nginx[705]: 172.70.240.21 - - [23/Nov/2026:13:34:30 +0530] \"GET / HTTP/1.1\" 200 12 \"-\" \"curl/8\"",
        "2026-11-23T13:34:31+0530 web1 nginx[705]: 2026/11/23 13:34:31 [alert] 705#705: worker process 8959 exited on signal 11",
    ];
    let sample = Sample { lines: lines.iter().map(|l| l.as_bytes()).collect() };
    let found = crate::detect(&sample).unwrap();
    assert_eq!(sample.records(found.parser.as_ref()).len(), 3);
    let sigs: Vec<_> = lines.iter().map(|l| signature(&found.parser.parse(l.as_bytes()).unwrap()).map(|h| h.sig)).collect();
    assert_eq!(sigs, [Some(cfray_model::Sig::ReusingConnections), None, Some(cfray_model::Sig::NginxWorkerSignal)]);
}
