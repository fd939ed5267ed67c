//! What the formats of this crate's system side share: levels, detection by records, owning lines.

use crate::fields::number::integer;
use crate::fields::time::Parsed;
use crate::spec::{Detection, RecordParser, Sample};
use cfray_model::{Level, Line};
use nom::Parser;
use nom::bytes::complete::{take_till, take_while_m_n, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::map_opt;
use nom::sequence::{delimited, terminated};
use std::borrow::Cow;

/// A decimal number.
pub(crate) fn number(input: &[u8]) -> Parsed<'_, u64> {
    map_opt(digit1, integer).parse(input)
}

/// `<190>`: the priority of syslog and of `dmesg -r`.
pub(crate) fn priority(input: &[u8]) -> Parsed<'_, u64> {
    let digits = take_while_m_n(1, 3, |b: u8| b.is_ascii_digit());
    delimited(char('<'), map_opt(digits, integer), char('>')).parse(input)
}

/// Everything up to a blank, which is skipped.
pub(crate) fn word(input: &[u8]) -> Parsed<'_, &[u8]> {
    terminated(take_till(|b| b == b' '), char(' ')).parse(input)
}

/// A level in capitals.
pub(crate) fn level_word(input: &[u8]) -> Parsed<'_, Level> {
    map_opt(take_while1(|b: u8| b.is_ascii_uppercase()), level).parse(input)
}

/// Level words of FPM, fail2ban, LiteSpeed, application logs, in any case.
pub(crate) fn level(word: &[u8]) -> Option<Level> {
    const WORDS: &[(&[u8], Level)] = &[
        (b"emerg", Level::Emerg),
        (b"emergency", Level::Emerg),
        (b"panic", Level::Emerg),
        (b"alert", Level::Alert),
        (b"crit", Level::Crit),
        (b"critical", Level::Crit),
        (b"fatal", Level::Crit),
        (b"err", Level::Error),
        (b"error", Level::Error),
        (b"severe", Level::Error),
        (b"warn", Level::Warn),
        (b"warning", Level::Warn),
        (b"notice", Level::Notice),
        (b"info", Level::Info),
        (b"information", Level::Info),
        (b"debug", Level::Debug),
        (b"trace", Level::Debug),
        (b"verbose", Level::Debug),
        (b"heavydebug", Level::Debug),
        (b"tracedebug", Level::Debug),
    ];
    WORDS.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

/// Level of a syslog severity, 0 to 7.
pub(crate) fn severity(number: u64) -> Option<Level> {
    const BY_NUMBER: [Level; 8] =
        [Level::Emerg, Level::Alert, Level::Crit, Level::Error, Level::Warn, Level::Notice, Level::Info, Level::Debug];
    usize::try_from(number).ok().and_then(|n| BY_NUMBER.get(n)).copied()
}

/// Cuts the sample into records and counts those that are this format's. `weight` is the score for
/// a sample without any foreign record; fewer than half of them is no detection.
pub(crate) fn by_records(
    sample: &Sample<'_>,
    parser: Box<dyn RecordParser>,
    weight: u32,
    what: &str,
    mine: impl Fn(&Line<'_>) -> bool,
) -> Option<Detection> {
    let records = sample.records(parser.as_ref());
    let total = u32::try_from(records.len()).ok()?;
    let good = records.iter().filter(|r| parser.parse(r).is_ok_and(|line| mine(&line))).count();
    let good = u32::try_from(good).ok()?;
    if good == 0 || good.saturating_mul(2) < total {
        return None;
    }
    Some(Detection { score: score(weight, good, total), why: format!("{good} of {total} sampled records are {what}"), parser })
}

/// A share as a score.
pub(crate) fn score(weight: u32, good: u32, total: u32) -> u32 {
    let score = u64::from(weight) * u64::from(good) / u64::from(total.max(1));
    u32::try_from(score).unwrap_or(weight)
}

fn owned(text: Option<Cow<'_, [u8]>>) -> Option<Cow<'static, [u8]>> {
    text.map(|t| Cow::Owned(t.into_owned()))
}

/// The same line, borrowing nothing.
pub(crate) fn own(line: Line<'_>) -> Line<'static> {
    Line {
        kind: line.kind,
        stack: line.stack,
        time: line.time,
        time_is_start: line.time_is_start,
        level: line.level,
        pid: line.pid,
        tid: line.tid,
        cid: line.cid,
        log_id: owned(line.log_id),
        ray: line.ray,
        client: owned(line.client),
        visitor: owned(line.visitor),
        host: owned(line.host),
        method: owned(line.method),
        uri: owned(line.uri),
        protocol: owned(line.protocol),
        referer: owned(line.referer),
        agent: owned(line.agent),
        status: line.status,
        bytes_sent: line.bytes_sent,
        body_bytes: line.body_bytes,
        size: line.size,
        duration_us: line.duration_us,
        verified: line.verified,
        upstream_status: line.upstream_status,
        upstream: owned(line.upstream),
        module: owned(line.module),
        code: line.code,
        syslog_host: owned(line.syslog_host),
        message: Cow::Owned(line.message.into_owned()),
        unsure_ray: line.unsure_ray,
        raw_text: line.raw_text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn severities() {
        assert_eq!(
            (severity(0), severity(3), severity(7), severity(8)),
            (Some(Level::Emerg), Some(Level::Error), Some(Level::Debug), None)
        );
        assert_eq!((level(b"WARNING"), level(b"Notice"), level(b"foo")), (Some(Level::Warn), Some(Level::Notice), None));
    }

    proptest! {
        /// Samples with a piece cut out and another put in: nothing panics, and what is read has
        /// only parts of the record in it.
        #[test]
        fn damaged_records(pick in any::<proptest::sample::Index>(), at in 0usize..600, gone in 0usize..40, put in proptest::collection::vec(any::<u8>(), 0..12)) {
            let samples: Vec<&str> = crate::FORMATS.iter().flat_map(|f| f.samples.iter().copied()).collect();
            let mut bytes = samples.get(pick.index(samples.len())).unwrap().as_bytes().to_vec();
            let at = at.min(bytes.len());
            bytes.splice(at..(at + gone).min(bytes.len()), put);
            let sample = Sample::from_bytes(&bytes);
            let Some(found) = crate::detect(&sample) else { return Ok(()) };
            for record in sample.records(found.parser.as_ref()) {
                let Ok(line) = found.parser.parse(&record) else { continue };
                let _ = (crate::signature(&line), crate::php_fault_file(&line.message));
                prop_assert!(line.client.as_deref().is_none_or(|c| c.len() <= record.len()));
            }
        }
    }

    #[test]
    fn a_single_sample_is_enough_to_tell() {
        // A format of one's own shows only in what several lines have in common.
        for format in crate::FORMATS.iter().filter(|f| f.name != "custom-access") {
            for text in format.samples {
                let found = crate::detect(&Sample::from_bytes(text.as_bytes()));
                let name = found.as_ref().map_or("none", |f| f.parser.format());
                // A trace or a line of another server's log may stand in a file of this one.
                let family = |n: &str| n.split('-').next().unwrap_or_default().to_owned();
                assert!(
                    found.is_some() && (name == format.name || family(name) == family(format.name)),
                    "{text}: {name} instead of {}",
                    format.name
                );
            }
        }
    }
}
