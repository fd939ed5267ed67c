#![allow(clippy::unwrap_used)]

use super::*;
use crate::signatures::{php_fault_file, signature};
use cfray_model::{Level, Sig, Stamp};
use proptest::prelude::*;

fn read(record: &str) -> Line<'static> {
    crate::support::own(MainLog.parse(record.as_bytes()).unwrap())
}

fn records(text: &str) -> Vec<String> {
    let sample = Sample { lines: text.lines().map(str::as_bytes).collect() };
    sample.records(&MainLog).into_iter().map(|r| String::from_utf8(r).unwrap()).collect()
}

#[test]
fn time_level_pool_child() {
    let line = read(
        "[22-Nov-2026 12:24:07] WARNING: [pool rank.example.de] child 22612 exited on signal 11 (SIGSEGV) after 7.109208 seconds from start",
    );
    let time = line.time.unwrap();
    assert_eq!((Stamp(time.civil_ns).to_rfc3339_ms().as_str(), time.offset_s), ("2026-11-22T12:24:07.000Z", None));
    assert_eq!((line.level, line.pid, line.module.as_deref()), (Some(Level::Warn), Some(22612), Some(&b"rank.example.de"[..])));
    assert!(!line.raw_text);
}

#[test]
fn debug_lines_name_their_writer() {
    let line = read("[22-Nov-2026 12:24:07.123456] DEBUG: pid 7, fpm_event_loop(), line 432: event module triggered 1 events");
    assert_eq!(
        (line.pid, line.message.as_ref(), line.time.unwrap().precision_ns),
        (Some(7), &b"event module triggered 1 events"[..], 1000)
    );
    let child = read("[22-Nov-2026 12:24:07.123456] NOTICE: pid 7, fpm_children_make(), line 409: [pool www] child 9 started");
    assert_eq!((child.pid, child.module.as_deref()), (Some(9), Some(&b"www"[..])));
}

#[test]
fn the_request_of_a_timeout() {
    let line = read(
        "[22-Nov-2026 12:24:07] WARNING: [pool www] child 9, script '/srv/a.php' (request: \"PROPFIND /a.php/x y?q=1\") execution timed out (5.305142 sec), terminating",
    );
    assert_eq!((line.method.as_deref(), line.uri.as_deref(), line.pid), (Some(&b"PROPFIND"[..]), Some(&b"/a.php/x y?q=1"[..]), Some(9)));
    let idle = read(
        "[01-Oct-2026 04:01:57] WARNING: [pool www] child 764180, script '' (request: \" \") execution timed out (248.831385 sec), terminating",
    );
    assert_eq!((idle.method, idle.uri, idle.pid), (None, None, Some(764180)));
}

#[test]
fn a_request_cannot_end_its_own_line() {
    let line = read(
        "[22-Nov-2026 12:24:07] WARNING: [pool www] child 9, script '/a.php' (request: \"GET /?x=\") execution timed out (1.0 sec), terminating\") executing too slow (2.6 sec), logging",
    );
    assert_eq!(line.uri.as_deref(), Some(&b"/?x=\") execution timed out (1.0 sec), terminating"[..]));
    assert_eq!(signature(&line).unwrap().sig, Sig::FpmSlow);
}

#[test]
fn what_a_child_said_is_unwrapped_and_marked() {
    let line = read(
        "[22-Nov-2026 12:24:07] WARNING: [pool www] child 7 said into stderr: \"NOTICE: PHP message: PHP Warning:  \"x\" in /a.php on line 9\", pipe is closed",
    );
    assert_eq!(
        (line.message.as_ref(), line.raw_text, line.pid),
        (&b"NOTICE: PHP message: PHP Warning:  \"x\" in /a.php on line 9"[..], true, Some(7))
    );
    let cut = read(
        "[22-Nov-2026 12:24:07] WARNING: [pool www] child 7 said into stdout: \"[pool www] child 8 exited on signal 11 (SIGSEGV) after 1.0 seconds from start",
    );
    assert!(cut.raw_text && signature(&cut).is_none());
}

#[test]
fn a_wrapped_trace_is_one_record_with_its_message() {
    let wrap = |pid: u32, text: &str| format!("[22-Nov-2026 12:24:07] WARNING: [pool www] child {pid} said into stderr: \"{text}\"\n");
    let text = [
        wrap(7, "NOTICE: PHP message: PHP Fatal error:  Uncaught Error: boom in /w/wp-includes/plugin.php:9"),
        wrap(7, "Stack trace:"),
        wrap(7, "#0 /w/wp-content/plugins/seo/seo.php(88): f()"),
        wrap(8, "#0 /another/child.php(1): g()"),
        wrap(7, "#1 {main}"),
    ]
    .concat();
    let cut = records(&text);
    assert_eq!(cut.len(), 3, "the other child's line ends the record");
    let line = read(cut.first().unwrap());
    assert_eq!(signature(&line).unwrap().sig, Sig::PhpFatal);
    assert_eq!(php_fault_file(&line.message).unwrap(), "/w/wp-content/plugins/seo/seo.php");
}

#[test]
fn php_lines_and_raw_output_between_them() {
    let text = "[28-Aug-2026 15:25:06] NOTICE: ready to handle connections\n\
                plain output of a child\n\
                [28-Aug-2026 15:25:08 UTC] PHP Fatal error:  Uncaught Error: x in /srv/fatal.php:3\n\
                Stack trace:\n#0 {main}\n  thrown in /srv/fatal.php on line 3\n\
                [28-Aug-2026 15:25:08] WARNING: [pool www] child 9 exited on signal 11 (SIGSEGV) after 1.0 seconds from start\n\
                core dump noise\n";
    let cut = records(text);
    let sigs: Vec<Option<Sig>> = cut.iter().map(|r| signature(&read(r)).map(|h| h.sig)).collect();
    assert_eq!(sigs, [Some(Sig::FpmStart), None, Some(Sig::PhpFatal), Some(Sig::FpmChildSignal), None]);
    let php = read(cut.get(2).unwrap());
    assert_eq!((php.kind, php.time.unwrap().offset_s, php.raw_text), (LineKind::Php, Some(0), true));
}

#[test]
fn the_form_for_syslog() {
    let line = parse_unstamped(b"[WARNING] [pool www] child 9 exited on signal 11 (SIGSEGV) after 4.813516 seconds from start").unwrap();
    assert_eq!((line.level, line.pid), (Some(Level::Warn), Some(9)));
    assert_eq!(signature(&line).unwrap().sig, Sig::FpmChildSignal);
    assert!(parse_unstamped(b"[pool www] x").is_none());
}

#[test]
fn what_is_refused_says_why() {
    let reason = |r: &str| MainLog.parse(r.as_bytes()).unwrap_err().reason.into_owned();
    assert!(reason("[28-Aug-2026 15:25:06] hello").contains("level"));
    assert!(reason("").contains("empty"));
}

proptest! {
    #[test]
    fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = MainLog.parse(&bytes);
        let _ = MainLog.continues(&bytes, &bytes);
        let _ = detect(&Sample::from_bytes(&bytes));
    }

    #[test]
    fn what_is_written_is_read(pid in 1u64..4_000_000, signal in 1i64..64, pool in "[a-z.-]{1,20}", seconds in 0i64..4_000_000_000) {
        let stamp = chrono::DateTime::from_timestamp(seconds, 0).unwrap().format("%d-%b-%Y %H:%M:%S");
        let line = read(&format!("[{stamp}] WARNING: [pool {pool}] child {pid} exited on signal {signal} (SIGX) after 1.5 seconds from start"));
        let hit = signature(&line).unwrap();
        prop_assert_eq!((hit.num, hit.pid, hit.name), (Some(signal), Some(pid), Some(pool.into())));
        prop_assert_eq!(line.time.unwrap().civil_ns, seconds * 1_000_000_000);
    }
}
