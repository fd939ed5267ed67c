//! Kernel messages: `dmesg` (seconds since boot), `dmesg -T`, `dmesg --time-format iso`, or bare.

use crate::fields::time;
use crate::firewall;
use crate::inner::Inner;
use crate::signatures::signature;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::stamps;
use crate::support::{priority, score};
use crate::syslog;
use cfray_model::{Line, LineKind, LogTime, Stack};
use nom::Parser;
use nom::bytes::complete::tag;
use nom::character::complete::char;
use nom::sequence::delimited;
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "kernel",
    title: "Kernel messages (dmesg)",
    docs: "https://docs.kernel.org/core-api/printk-basics.html",
    stack: Stack::Kernel,
    detect,
    samples: &[
        "[20409.613189] php-fpm invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=934",
        "[Sun Nov 22 12:24:07 2026] Out of memory: Killed process 2213 (php-fpm8.2) total-vm:812345kB, anon-rss:654321kB, file-rss:0kB, shmem-rss:1024kB, UID:33 pgtables:1500kB oom_score_adj:0",
        "2026-11-22T12:24:07,123456+00:00 php-fpm8.2[7578]: segfault at 21 ip 00007f3897bbd094 sp 00007fff8ed6fb08 error 6 in libc-2.36.so[7f3897b30000+1bb000] likely on CPU 1 (core 1, socket 0)",
        "traps: nginx[7954] general protection fault ip:6df1d9 sp:7fff8ed6fb10 error:0 in nginx[400000+7a3000]",
        "[  123.456789] TCP: request_sock_TCP: Possible SYN flooding on port 443. Sending cookies.  Check SNMP counters.",
    ],
};

/// Parser of a file of kernel messages.
#[derive(Debug)]
struct Dmesg;

impl RecordParser for Dmesg {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        if let Some((time, text)) = stamped(record) {
            let mut line = message(text);
            line.time = time;
            return Ok(line);
        }
        if record.is_empty() {
            return Err(LineError::new("empty line", 0));
        }
        // Files put together by hand hold lines of both kinds.
        if let Some((envelope, text)) = syslog::split(record)
            && envelope.tag == Some(b"kernel")
        {
            return Ok(Inner::default().open(&envelope, text));
        }
        let line = message(record);
        if is_known(&line) { Ok(line) } else { Err(LineError::new("no stamp of dmesg, and not a kernel message that is known", 0)) }
    }
}

/// A message of the kernel, with or without the seconds since boot in front.
pub(crate) fn message(text: &[u8]) -> Line<'_> {
    let text = stamps::since_boot(text).map_or(text, |(rest, _)| rest);
    firewall::parse(text).unwrap_or_else(|| {
        let mut line = Line::new(LineKind::System, Stack::Kernel);
        line.message = Cow::Borrowed(text);
        line
    })
}

/// Cuts the stamp off a line of `dmesg`. Seconds since boot are a stamp without a time.
fn stamped(line: &[u8]) -> Option<(Option<LogTime>, &[u8])> {
    // `dmesg -r`: `<6>[  123.456789] `.
    let line = priority(line).map_or(line, |(rest, _)| rest);
    if let Ok((rest, _)) = stamps::since_boot(line) {
        return Some((None, rest));
    }
    // Apache stamps its error log alike; there `[module:level]` follows.
    if let Ok((rest, time)) = human(line)
        && (!rest.starts_with(b"[") || rest.starts_with(b"[UFW "))
    {
        return Some((Some(time), rest));
    }
    // The comma tells dmesg's ISO stamp from the one of syslog, after which a host follows; `T` and
    // the zone tell it from those of applications.
    if (line.get(10), line.get(19)) == (Some(&b'T'), Some(&b','))
        && let Ok((rest, time)) = time::iso_time(line)
        && time.offset_s.is_some()
        && let Some(rest) = rest.strip_prefix(b" ")
    {
        return Some((Some(time), rest));
    }
    None
}

/// `[Sun Nov 22 10:00:00 2026] ` of `dmesg -T`.
fn human(line: &[u8]) -> time::Parsed<'_, LogTime> {
    delimited(char('['), time::apache_error_time, tag("] ")).parse(line)
}

/// Is a bare line one that only a kernel writes?
fn is_known(line: &Line<'_>) -> bool {
    const OPENINGS: &[&[u8]] = &[
        b"Memory cgroup ",
        b"memory: usage ",
        b"memory+swap: usage ",
        b"kmem: usage ",
        b"[ pid ]",
        b"[  pid  ]",
        b" [<ffff",
        b"Call Trace:",
        b"Mem-Info:",
        b"Hardware name:",
        b"Tasks state (memory values in pages):",
        b"TCP: ",
        b"nf_conntrack: ",
    ];
    line.stack == Stack::Firewall || OPENINGS.iter().any(|o| line.message.starts_with(o)) || signature(line).is_some()
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let stamps = sample.lines.iter().filter(|l| stamped(l).is_some_and(|(_, text)| !is_display_server(text))).count();
    let bare = sample.lines.iter().filter(|l| stamped(l).is_none() && is_known(&message(l))).count();
    let total = sample.lines.len();
    if stamps + bare == 0 || (stamps + bare) * 2 < total {
        return None;
    }
    let why = format!("{stamps} of {total} sampled lines carry a stamp of dmesg, {bare} are kernel messages without one");
    let good = u32::try_from(stamps + bare).ok()?;
    Some(Detection { score: score(if stamps > 0 { 850 } else { 600 }, good, u32::try_from(total).ok()?), why, parser: Box::new(Dmesg) })
}

/// Xorg stamps its lines in the same way, and marks them `(II)`, `(WW)`, `(--)`.
fn is_display_server(text: &[u8]) -> bool {
    text.first() == Some(&b'(') && text.get(3) == Some(&b')')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stamps_with_and_without_a_time() {
        assert_eq!(Dmesg.parse(b"[20409.613189] x").unwrap().time, None);
        assert_eq!(Dmesg.parse(b"<6>[    0.000000] x").unwrap().message.as_ref(), b"x");
        assert_eq!(Dmesg.parse(b"[Sun Nov 22 12:24:07 2026] x").unwrap().time.unwrap().offset_s, None);
        let iso = Dmesg.parse(b"2026-11-22T12:24:07,123456+01:00 x").unwrap();
        assert_eq!((iso.time.unwrap().offset_s, iso.message.as_ref()), (Some(3600), &b"x"[..]));
    }

    #[test]
    fn a_bare_line_must_be_known() {
        assert!(Dmesg.parse(b"ruby invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0").is_ok());
        assert!(Dmesg.parse(b"something else").is_err());
    }

    #[test]
    fn filter_lines_inside_dmesg() {
        let line = Dmesg.parse(b"[ 12.5] [UFW BLOCK] IN=eth0 OUT= SRC=172.70.240.21 DST=192.0.2.7 PROTO=TCP SPT=1 DPT=443").unwrap();
        assert_eq!(line.stack, Stack::Firewall);
    }

    #[test]
    fn an_apache_error_log_is_not_dmesg() {
        let lines = [
            "[Sun Nov 22 12:24:07.123456 2026] [core:notice] [pid 1] AH00094: x",
            "[Sun Nov 22 12:24:07 2026] [error] [client 192.0.2.1] x",
        ];
        assert!(detect(&Sample { lines: lines.iter().map(|l| l.as_bytes()).collect() }).is_none());
        assert!(stamped(b"2026-11-22 12:19:54,513 INFO app.server: listening").is_none(), "an application");
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Dmesg.parse(&bytes);
            let _ = Dmesg.continues(&bytes, &bytes);
            let _ = detect(&Sample::from_bytes(&bytes));
        }
    }
}
