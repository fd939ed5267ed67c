#![allow(clippy::unwrap_used)]

use super::*;
use crate::signatures::signature;
use cfray_model::{LineKind, Sig, Stamp};
use proptest::prelude::*;

fn read(record: &[u8]) -> Line<'static> {
    own(Journal { inner: Inner::default() }.parse(record).unwrap())
}

fn sample(n: usize) -> &'static [u8] {
    FORMAT.samples.get(n).unwrap().as_bytes()
}

#[test]
fn kernel_units_and_pools() {
    let oom = read(sample(0));
    let hit = signature(&oom).unwrap();
    assert_eq!((hit.sig, hit.pid, hit.name.as_deref()), (Sig::OomKill, Some(2213), Some("php-fpm8.2")));
    assert_eq!(Stamp(oom.time.unwrap().stated_ns()).to_rfc3339_ms(), "2026-11-22T12:24:07.123Z");
    let unit = signature(&read(sample(1))).unwrap();
    assert_eq!((unit.sig, unit.num, unit.name.as_deref()), (Sig::UnitKilled, Some(9), Some("nginx.service")));
}

#[test]
fn bytes_instead_of_text_and_the_better_clock() {
    let pool = read(sample(2));
    let hit = signature(&pool).unwrap();
    assert_eq!((hit.sig, hit.num, hit.name.as_deref()), (Sig::FpmMaxChildren, Some(5), Some("www")));
    assert_eq!(pool.time.unwrap().civil_ns, 1_795_350_247_299_000_000);
    assert_eq!((pool.pid, pool.syslog_host.as_deref()), (Some(812), Some(&b"web1"[..])));
}

#[test]
fn values_that_are_missing_or_doubled() {
    let empty = read(sample(3));
    assert_eq!((empty.kind, empty.message.len()), (LineKind::Other, 0));
    let doubled =
        read(br#"{"__REALTIME_TIMESTAMP":["1795350247400000","1"],"SYSLOG_IDENTIFIER":[[107,101,114,110,101,108]],"MESSAGE":[null,"x"]}"#);
    assert_eq!((doubled.stack, doubled.message.as_ref()), (Stack::Kernel, &b"x"[..]));
    let odd = read(br#"{"__REALTIME_TIMESTAMP":"99999999999999999999999","MESSAGE":[300],"_PID":{}}"#);
    assert_eq!((odd.time, odd.message.len()), (None, 0));
}

#[test]
fn a_unit_is_known_where_the_text_has_its_description() {
    let line = read(br#"{"__REALTIME_TIMESTAMP":"1795350247400000","SYSLOG_IDENTIFIER":"systemd","UNIT":"apache2.service","MESSAGE":"Stopping The Apache HTTP Server..."}"#);
    let hit = signature(&line).unwrap();
    assert_eq!((hit.sig, hit.name.as_deref()), (Sig::UnitStop, Some("apache2.service")));
}

#[test]
fn invalid_text_is_read_all_the_same() {
    assert_eq!(read(b"{\"__REALTIME_TIMESTAMP\":\"1\",\"MESSAGE\":\"a\xffb\"}").message.as_ref(), "a\u{fffd}b".as_bytes());
    let journal = Journal { inner: Inner::default() };
    assert!(journal.parse(b"{\"MESSAGE\":\"x\"}").unwrap_err().reason.contains("__REALTIME_TIMESTAMP"));
    assert!(journal.parse(b"[1]").is_err());
}

fn said(pid: u32, message: &str) -> String {
    serde_json::json!({"__REALTIME_TIMESTAMP": "1795350247400000", "_PID": pid.to_string(), "SYSLOG_IDENTIFIER": "app", "MESSAGE": message})
        .to_string()
}

/// Cuts a file into records as a reader does.
fn records(lines: &[String]) -> Vec<Vec<u8>> {
    Sample { lines: lines.iter().map(|l| l.as_bytes()).collect() }.records(&Journal { inner: Inner::default() })
}

#[test]
fn entries_of_one_traceback_are_one_record() {
    let text = "[2026-11-22 12:24:07 +0000] [811] [ERROR] Error handling request /cart/7\nTraceback (most recent call last):\n  File \"/srv/shop/views.py\", line 9, in cart\n    total()\nKeyError: 'IN'";
    let mut lines: Vec<String> = text.lines().map(|line| said(811, line)).collect();
    lines.push(said(811, "started again"));
    let all = records(&lines);
    assert_eq!(all.len(), 2);
    let fatal = read(&all[0]);
    assert_eq!(fatal.message.as_ref(), text.as_bytes());
    assert_eq!((fatal.uri.as_deref(), fatal.pid), (Some(&b"/cart/7"[..]), Some(811)));
    assert_eq!(Journal { inner: Inner::default() }.quote(&all[0]).as_ref(), text.as_bytes());
}

#[test]
fn entries_of_others_stay_apart() {
    let fatal = "PHP Fatal error:  Uncaught Error: boom in /srv/x.php:3";
    assert_eq!(records(&[said(811, fatal), said(811, "#0 {main}")]).len(), 1);
    assert_eq!(records(&[said(811, fatal), said(812, "#0 {main}")]).len(), 2, "another process");
    assert_eq!(records(&[said(811, "cart is empty"), said(811, "#0 {main}")]).len(), 2, "under no fatal");
    let nobody = |message: &str| said(811, message).replace("_PID", "PID");
    assert_eq!(records(&[nobody(fatal), nobody("#0 {main}")]).len(), 2, "a process that the journal does not know");
}

proptest! {
    #[test]
    fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = Journal { inner: Inner::default() }.parse(&bytes);
        let _ = detect(&Sample::from_bytes(&bytes));
    }

    #[test]
    fn text_and_bytes_mean_the_same(message in "\\PC{0,60}", tag in "[a-z]{1,12}") {
        let as_text = serde_json::json!({"__REALTIME_TIMESTAMP": "1795350247400000", "SYSLOG_IDENTIFIER": &tag, "MESSAGE": &message});
        let as_bytes = serde_json::json!({"__REALTIME_TIMESTAMP": "1795350247400000", "SYSLOG_IDENTIFIER": &tag, "MESSAGE": message.as_bytes()});
        let (a, b) = (read(as_text.to_string().as_bytes()), read(as_bytes.to_string().as_bytes()));
        prop_assert_eq!(a.message, b.message);
        prop_assert_eq!((a.kind, a.stack, a.time), (b.kind, b.stack, b.time));
    }
}
