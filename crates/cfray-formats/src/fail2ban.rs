//! fail2ban: `2026-11-22 10:00:00,123 fail2ban.actions        [812]: NOTICE  [nginx-limit-req] Ban 192.0.2.1`.

use crate::fields::time::{Parsed, iso_time};
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::{by_records, level_word, number};
use cfray_model::{Line, LineKind, Stack};
use nom::Parser;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, space0, space1};
use nom::sequence::{delimited, preceded};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "fail2ban",
    title: "fail2ban log",
    docs: "fail2ban: fail2ban/helpers.py, fail2ban/server/actions.py",
    stack: Stack::Fail2ban,
    detect,
    samples: &[
        "2026-11-22 12:24:07,123 fail2ban.actions        [812]: NOTICE  [nginx-limit-req] Ban 172.70.240.21",
        "2026-11-22 12:24:07,123 fail2ban.filter         [812]: INFO    [sshd] Found 198.51.100.9 - 2026-11-22 12:24:06",
        "2026-11-22 12:34:07,456 fail2ban.actions        [812]: NOTICE  [nginx-limit-req] Unban 172.70.240.21",
        "2026-11-22 12:24:01,000 fail2ban.server         [812]: INFO    Starting Fail2ban v1.0.2",
    ],
};

/// Parser of fail2ban's log.
#[derive(Debug)]
struct Fail2ban;

impl RecordParser for Fail2ban {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        iso_time(line).is_ok()
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let (rest, time) = iso_time(record).map_err(|_| LineError::new("no stamp such as 2026-11-22 10:00:00,123", 0))?;
        let at = record.len() - rest.len();
        let (rest, pid) = logger(rest).map_err(|_| LineError::new("no logger such as fail2ban.actions [812]:", at))?;
        let mut line = message(rest);
        line.time = Some(time);
        line.pid = Some(pid);
        Ok(line)
    }
}

/// ` fail2ban.actions        [812]: `.
fn logger(input: &[u8]) -> Parsed<'_, u64> {
    let name = preceded(tag(" fail2ban"), take_while1(|b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')));
    let pid = delimited(char('['), number, tag("]:"));
    delimited((name, space0), pid, space1).parse(input)
}

/// `NOTICE  [jail] Ban 192.0.2.1`: what follows the logger's name, in a file or in syslog.
pub(crate) fn message(rest: &[u8]) -> Line<'_> {
    let mut line = Line::new(LineKind::System, Stack::Fail2ban);
    let text = match level_word(rest) {
        Ok((text, level)) if text.starts_with(b" ") => {
            line.level = Some(level);
            text.trim_ascii_start()
        }
        _ => rest,
    };
    line.message = Cow::Borrowed(text);
    let Some((jail, act)) = text.strip_prefix(b"[").and_then(|t| Some(t.split_at(memchr::memchr(b']', t)?))) else { return line };
    line.module = Some(Cow::Borrowed(jail));
    let act = act.strip_prefix(b"] ").unwrap_or_default();
    // `[jail] Ban 192.0.2.1`, `[jail] Restore Ban ...`, `[jail] Found 192.0.2.1 - 2026-...`, `[jail] 192.0.2.1 already banned`.
    let address = act.split(|&b| b == b' ').take(3).find(|word| is_address(word));
    line.client = address.map(Cow::Borrowed);
    line
}

fn is_address(word: &[u8]) -> bool {
    let word = std::str::from_utf8(word).unwrap_or_default();
    word.split('/').next().unwrap_or_default().parse::<std::net::IpAddr>().is_ok()
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    by_records(sample, Box::new(Fail2ban), 1000, "lines of fail2ban", |_| true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn jail_and_address() {
        for (text, client) in [
            ("[j] Ban 192.0.2.1", Some("192.0.2.1")),
            ("[j] Restore Ban 192.0.2.1", Some("192.0.2.1")),
            ("[j] Found 2001:db8::1 - 2026-11-22 12:24:06", Some("2001:db8::1")),
            ("[j] 192.0.2.1 already banned", Some("192.0.2.1")),
            ("Jail 'j' started", None),
        ] {
            let line = message(text.as_bytes());
            assert_eq!(line.client.as_deref(), client.map(str::as_bytes), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Fail2ban.parse(&bytes);
            let _ = Fail2ban.continues(&bytes, &bytes);
            let _ = detect(&Sample::from_bytes(&bytes));
        }
    }
}
