//! HAProxy's HTTP log (`option httplog`), TCP log, and what it says about its proxies.
//!
//! `192.0.2.1:53332 [25/Feb/2026:16:19:48.143] front~ back/server 0/0/7/1457/1487 200 11394 - - SH-- 2/1/0/0/0 0/0 {captured} "GET / HTTP/1.1"`.
//! The stamp is the moment of acceptance, in local time. The message of an access record is the
//! termination state when it is not the ordinary `----`.

use crate::fields::number::{integer, status};
use crate::fields::request;
use crate::fields::time::clf_time;
use crate::fields::{addr, text::present};
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::{by_records, word};
use cfray_model::{Line, LineKind, RayId, Stack};
use nom::Parser;
use nom::bytes::complete::tag;
use nom::character::complete::char;
use nom::sequence::delimited;
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "haproxy",
    title: "HAProxy log",
    docs: "https://docs.haproxy.org/2.8/configuration.html#8.2.3",
    stack: Stack::HaProxy,
    detect,
    samples: &[
        "172.70.240.21:53332 [22/Nov/2026:12:24:07.143] http_in~ shop/web1 0/0/7/1457/1487 200 11394 - - ---- 2/1/0/0/0 0/0 \"GET /admin?survey=130 HTTP/1.1\"",
        "172.70.240.21:53333 [22/Nov/2026:12:24:08.001] http_in~ shop/web1 0/0/1/-1/22 502 208 - - SH-- 2/1/0/0/0 0/0 {9e0ad2b9bb609b5c-AMS|www.example.com} \"GET /cart HTTP/1.1\"",
        "172.70.240.21:53334 [22/Nov/2026:12:24:09.000] https_in/1: SSL handshake failure",
        "172.70.240.21:53335 [22/Nov/2026:12:24:10.000] tcp_in tcp_back/web1 0/0/5012 1203 -- 1/1/0/0/0 0/0",
    ],
};

/// Where the ray stands among captured headers: which `{}` block, which element of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct RaySlot(usize, usize);

/// Parser of a file of HAProxy lines without a syslog header.
#[derive(Debug)]
struct HaProxy {
    ray: Option<RaySlot>,
}

impl RecordParser for HaProxy {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        parse(record, self.ray).ok_or(LineError::new("no address and port followed by a stamp such as [22/Nov/2026:10:00:00.000]", 0))
    }
}

/// A line with a client.
pub(crate) fn parse(line: &[u8], ray: Option<RaySlot>) -> Option<Line<'_>> {
    let (rest, (peer, time)) = (word, delimited(char('['), clf_time, tag("] "))).parse(line).ok()?;
    let client = addr::split_port(peer);
    if client.len() == peer.len() || !(addr::is_addr(client) || peer.starts_with(b"unix")) {
        return None;
    }
    let mut out = Line::new(LineKind::Error, Stack::HaProxy);
    out.time = Some(time);
    out.client = Some(Cow::Borrowed(client));
    out.message = Cow::Borrowed(rest);
    if rest.split(|&b| b == b' ').next().is_some_and(|frontend| frontend.ends_with(b":")) {
        return Some(out);
    }
    let mut words = rest.splitn(11, |&b| b == b' ');
    let (frontend, backend, timers) = (words.next()?, words.next()?, words.next()?);
    let timers: Vec<&[u8]> = timers.split(|&b| b == b'/').collect();
    if timers.len() < 3 || !backend.contains(&b'/') {
        return Some(out);
    }
    out.module = Some(Cow::Borrowed(frontend));
    out.upstream = Some(Cow::Borrowed(backend));
    out.time_is_start = true;
    // A `+` marks what was still going on when the line was written.
    let total = timers.last().map(|t| t.strip_prefix(b"+").unwrap_or(t));
    out.duration_us = total.and_then(integer).and_then(|ms| ms.checked_mul(1000));
    if timers.len() < 5 {
        return Some(out);
    }
    out.kind = LineKind::Access;
    let number = words.next()?;
    out.status = status(number).filter(|s| *s != 0);
    if number == b"0" {
        // A session's line without a stream (`sess_log`): its stamp is the end of what came before, its total the time until now.
        out.status = Some(0);
        if let (Some(time), Some(ns)) = (&mut out.time, out.duration_us.and_then(|us| i64::try_from(us).ok()?.checked_mul(1_000))) {
            time.civil_ns = time.civil_ns.saturating_add(ns);
            out.time_is_start = false;
        }
    }
    out.bytes_sent = words.next().and_then(|b| integer(b.strip_prefix(b"+").unwrap_or(b)));
    let (_, _, state) = (words.next()?, words.next()?, words.next()?);
    out.message = if state == b"----" { Cow::Borrowed(b"") } else { Cow::Borrowed(state) };
    let (_, _) = (words.next(), words.next());
    let tail = words.next().unwrap_or_default();
    // Captured headers have `{`, `|`, `}` and quotes encoded, so the first quote opens the request.
    let open = memchr::memchr(b'"', tail).unwrap_or(tail.len());
    let (captured, request) = tail.split_at(open);
    let request = request.strip_prefix(b"\"").unwrap_or(request);
    request::set(&mut out, request.strip_suffix(b"\"").unwrap_or(request));
    out.ray = ray.and_then(|slot| element(captured, slot)).and_then(RayId::parse);
    Some(out)
}

/// What HAProxy says about itself: `Proxy http_in started.`, `Server shop/web1 is DOWN, reason: ...`.
pub(crate) fn notice(message: &[u8]) -> Line<'_> {
    let mut line = Line::new(LineKind::Error, Stack::HaProxy);
    line.message = Cow::Borrowed(message);
    line
}

fn element(captured: &[u8], RaySlot(block, index): RaySlot) -> Option<&[u8]> {
    let inner = captured.split(|&b| b == b'{').nth(block + 1)?;
    let inner = inner.get(..memchr::memchr(b'}', inner)?)?;
    present(inner.split(|&b| b == b'|').nth(index)?)
}

/// The slot that holds a ray in most of the lines. Other slots hold what clients wrote.
pub(crate) fn learn_ray<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<RaySlot> {
    let mut counts = std::collections::BTreeMap::<RaySlot, usize>::new();
    let mut total = 0usize;
    for line in lines.filter(|l| parse(l, None).is_some_and(|l| l.kind == LineKind::Access)) {
        total += 1;
        let captured = memchr::memchr(b'"', line).and_then(|end| line.get(..end)).unwrap_or_default();
        for block in 0..2 {
            for index in 0..16 {
                if element(captured, RaySlot(block, index)).and_then(RayId::parse).is_some() {
                    *counts.entry(RaySlot(block, index)).or_default() += 1;
                }
            }
        }
    }
    let (slot, count) = counts.into_iter().max_by_key(|(slot, count)| (*count, std::cmp::Reverse(*slot)))?;
    (count * 2 > total).then_some(slot)
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let ray = learn_ray(sample.lines.iter().copied());
    by_records(sample, Box::new(HaProxy { ray }), 950, "lines of HAProxy", |_| true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn line(n: usize) -> &'static [u8] {
        FORMAT.samples.get(n).unwrap().as_bytes()
    }

    #[test]
    fn an_access_line_has_its_start_and_wire_bytes() {
        let l = parse(line(0), None).unwrap();
        assert_eq!((l.kind, l.status, l.bytes_sent, l.duration_us), (LineKind::Access, Some(200), Some(11_394), Some(1_487_000)));
        assert_eq!(
            (l.uri.as_deref(), l.client.as_deref(), l.time_is_start),
            (Some(&b"/admin?survey=130"[..]), Some(&b"172.70.240.21"[..]), true)
        );
        assert!(l.message.is_empty());
    }

    #[test]
    fn the_state_of_a_cut_session_is_kept() {
        let l = parse(line(1), learn_ray([line(1)].into_iter())).unwrap();
        assert_eq!((l.status, l.message.as_ref(), l.ray), (Some(502), &b"SH--"[..], RayId::parse(b"9e0ad2b9bb609b5c")));
    }

    #[test]
    fn a_session_without_a_stream_is_stamped_at_its_end() {
        let text =
            b"172.71.134.94:59261 [23/Nov/2026:13:33:35.530] web~ web/<NOSRV> -1/-1/-1/-1/2011 0 0 - - PR-- 21/21/0/0/0 0/0 \"<BADREQ>\"";
        let l = parse(text, None).unwrap();
        let (_, end) = clf_time(b"23/Nov/2026:13:33:37.541] ").unwrap();
        assert_eq!((l.status, l.time_is_start, l.time.map(|t| t.civil_ns)), (Some(0), false, Some(end.civil_ns)));
        let rejected =
            b"172.71.134.94:59261 [23/Nov/2026:13:33:35.530] web~ web/<NOSRV> -1/-1/-1/-1/0 -1 0 - - PR-- 21/21/0/0/0 0/0 \"<BADREQ>\"";
        assert_eq!(parse(rejected, None).map(|l| (l.status, l.time_is_start)), Some((None, true)));
    }

    #[test]
    fn a_ray_that_a_client_wrote_is_not_taken() {
        // Most lines capture the agent in that place; one client calls itself a ray.
        let plain = b"172.70.240.21:1 [22/Nov/2026:12:24:08.001] f b/s 0/0/1/2/3 200 8 - - ---- 2/1/0/0/0 0/0 {curl} \"GET / HTTP/1.1\"";
        let forged = b"172.70.240.21:1 [22/Nov/2026:12:24:08.001] f b/s 0/0/1/2/3 200 8 - - ---- 2/1/0/0/0 0/0 {9e0ad2b9bb609b5c-AMS} \"GET / HTTP/1.1\"";
        assert_eq!(learn_ray([&plain[..], plain, forged].into_iter()), None);
    }

    #[test]
    fn handshakes_and_tcp() {
        let l = parse(line(2), None).unwrap();
        assert_eq!((l.kind, l.message.as_ref()), (LineKind::Error, &b"https_in/1: SSL handshake failure"[..]));
        let l = parse(line(3), None).unwrap();
        assert_eq!((l.kind, l.status, l.duration_us), (LineKind::Error, None, Some(5_012_000)));
        assert!(parse(b"2026 [22/Nov/2026:12:24:09.000] x", None).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = HaProxy { ray: Some(RaySlot(0, 1)) }.parse(&bytes);
            let _ = HaProxy { ray: Some(RaySlot(0, 1)) }.continues(&bytes, &bytes);
            let _ = detect(&Sample::from_bytes(&bytes));
        }
    }
}
