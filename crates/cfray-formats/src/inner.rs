//! What stands inside a wrapper (syslog, journal): a message of which only the sender's tag is known.
//!
//! The tag chooses which grammars are tried; every grammar checks its own opening bytes, so a wrong
//! tag costs little and a custom one (`tag=shop` of nginx) still finds its way. No state is kept
//! between lines: the same line gives the same record on any thread.

use crate::fields::time::SECONDS;
use crate::haproxy::{self, RaySlot};
use crate::spec::{RecordParser, Sample};
use crate::{apache_error, clf, fail2ban, firewall, kernel, nginx_error, php_error, php_fpm, registry, systemd};
use cfray_model::{Level, Line, LineKind, LogTime, Stack};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What a wrapper says about a message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Envelope<'a> {
    /// The wrapper's stamp.
    pub time: Option<LogTime>,
    /// Host.
    pub host: Option<&'a [u8]>,
    /// Tag, application name, identifier.
    pub tag: Option<&'a [u8]>,
    /// Process id beside the tag.
    pub pid: Option<u64>,
    /// Severity.
    pub level: Option<Level>,
    /// The journal says that the kernel sent it.
    pub from_kernel: bool,
    /// Unit that the message is about, as far as the journal says.
    pub unit: Option<&'a [u8]>,
}

/// Who uses a tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sender {
    Kernel,
    Systemd,
    Fpm,
    Php,
    Nginx,
    Apache,
    Fail2ban,
    HaProxy,
    Other,
}

fn sender(envelope: &Envelope<'_>) -> Sender {
    let Some(tag) = envelope.tag else {
        return if envelope.from_kernel { Sender::Kernel } else { Sender::Other };
    };
    let name = tag.rsplit(|&b| b == b'/').next().unwrap_or(tag).to_ascii_lowercase();
    let opens = |word: &[u8]| name.starts_with(word);
    if envelope.from_kernel || name == b"kernel" {
        Sender::Kernel
    } else if systemd::is_tag(&name) {
        Sender::Systemd
    } else if opens(b"php") && memchr::memmem::find(&name, b"fpm").is_some() {
        Sender::Fpm
    } else if opens(b"php") {
        Sender::Php
    } else if opens(b"nginx") || opens(b"openresty") {
        Sender::Nginx
    } else if opens(b"apache") || opens(b"httpd") {
        Sender::Apache
    } else if opens(b"fail2ban") {
        Sender::Fail2ban
    } else if opens(b"haproxy") {
        Sender::HaProxy
    } else {
        Sender::Other
    }
}

/// How the access lines inside a wrapper look: learned from the head of the file, one parser a tag.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    access: BTreeMap<Vec<u8>, Box<dyn RecordParser>>,
    /// Tags that name no known software, but under which a web server writes: most messages are its own.
    web: BTreeSet<Vec<u8>>,
    ray: Option<RaySlot>,
}

impl Inner {
    /// Learns from a sample's messages.
    pub fn learn<'a>(messages: impl Iterator<Item = (Envelope<'a>, &'a [u8])>) -> Self {
        let mut unread: BTreeMap<Vec<u8>, Vec<&'a [u8]>> = BTreeMap::new();
        let mut proxied: Vec<&'a [u8]> = Vec::new();
        // By tag: messages of a web server, and all.
        let mut tags: BTreeMap<Vec<u8>, (u32, u32)> = BTreeMap::new();
        for (envelope, message) in messages {
            if sender(&envelope) == Sender::Other {
                let (web, all) = tags.entry(envelope.tag.unwrap_or_default().to_vec()).or_default();
                *web += u32::from(web_error(message, Sender::Other).is_some() || clf::looks_plain(message));
                *all += 1;
            }
            if haproxy::parse(message, None).is_some() {
                proxied.push(message);
            } else if matches!(sender(&envelope), Sender::Nginx | Sender::Apache | Sender::Other)
                && web_error(message, Sender::Other).is_none()
            {
                unread.entry(envelope.tag.unwrap_or_default().to_vec()).or_default().push(message);
            }
        }
        let mut access = BTreeMap::new();
        for (tag, lines) in unread {
            let sample = Sample { lines };
            // Formats in the order of the registry; the first of the best scores.
            let found = ["apache-access", "custom-access", "json-access", "nginx-access", "uvicorn"]
                .into_iter()
                .filter_map(|name| (registry::by_name(name)?.detect)(&sample));
            let best = found.reduce(|best, next| if next.score > best.score { next } else { best });
            if let Some(best) = best.filter(|b| b.score >= 300) {
                access.insert(tag, best.parser);
            }
        }
        let web =
            tags.into_iter().filter(|(tag, (web, all))| access.contains_key(tag) || *web * 5 >= *all * 4).map(|(tag, _)| tag).collect();
        Self { access, web, ray: haproxy::learn_ray(proxied.into_iter()) }
    }

    /// Did the sample hold access lines?
    pub fn knows_access(&self) -> bool {
        !self.access.is_empty()
    }

    /// Reads a message; what no grammar knows is kept as [`LineKind::Other`].
    pub fn open<'a>(&self, envelope: &Envelope<'a>, message: &'a [u8]) -> Line<'a> {
        let sender = sender(envelope);
        let mut line = self.read(sender, envelope, message).unwrap_or_else(|| other(sender, message));
        settle_time(&mut line, envelope.time);
        line.level = line.level.or(envelope.level);
        line.pid = line.pid.or(envelope.pid);
        line.syslog_host = envelope.host.map(Cow::Borrowed);
        if line.module.is_none() && matches!(line.kind, LineKind::Other | LineKind::System) {
            line.module = envelope.tag.map(Cow::Borrowed);
        }
        line
    }

    fn read<'a>(&self, sender: Sender, envelope: &Envelope<'a>, message: &'a [u8]) -> Option<Line<'a>> {
        match sender {
            Sender::Kernel => Some(kernel::message(message)),
            Sender::Systemd => Some(systemd::parse(message, envelope.unit)),
            Sender::Fpm => php_fpm::joined_output(message)
                .or_else(|| php_fpm::parse(message))
                .or_else(|| php_error::parse(message))
                .or_else(|| php_fpm::parse_unstamped(message))
                .or_else(|| php_error::is_own(message).then(|| php_error::message(message))),
            Sender::Php => php_error::parse(message).or_else(|| Some(php_error::message(message))),
            Sender::Nginx | Sender::Apache => web_error(message, sender).or_else(|| self.access(sender, envelope, message)),
            Sender::Fail2ban => Some(fail2ban::message(message.trim_ascii_start())),
            Sender::HaProxy => haproxy::parse(message, self.ray).or_else(|| Some(haproxy::notice(message))),
            Sender::Other => web_error(message, sender)
                .or_else(|| self.access(sender, envelope, message))
                .map(|line| self.doubted(envelope, line))
                .or_else(|| haproxy::parse(message, self.ray))
                .or_else(|| php_fpm::parse(message))
                .or_else(|| php_error::parse(message))
                .or_else(|| php_error::is_own(message).then(|| php_error::message(message)))
                .or_else(|| envelope.tag.is_none().then(|| firewall::parse(message)).flatten()),
        }
    }

    /// Under a tag of its own an application may write anything, also what looks like a web server's line: unless
    /// the sample showed a web server under that tag, the line is text that others wrote.
    fn doubted<'a>(&self, envelope: &Envelope<'_>, mut line: Line<'a>) -> Line<'a> {
        if !self.web.contains(envelope.tag.unwrap_or_default()) {
            line.kind = LineKind::Other;
            line.raw_text = true;
        }
        line
    }

    fn access<'a>(&self, sender: Sender, envelope: &Envelope<'a>, message: &'a [u8]) -> Option<Line<'a>> {
        let learned = self.access.get(envelope.tag.unwrap_or_default());
        let stack = if sender == Sender::Apache { Stack::Apache } else { Stack::Nginx };
        let mut line = learned.and_then(|parser| parser.parse(message).ok()).or_else(|| clf::parse_plain(message, stack).ok())?;
        // Combined lines look the same from both servers; the tag tells them apart.
        match sender {
            Sender::Nginx => (line.stack, line.time_is_start) = (Stack::Nginx, false),
            Sender::Apache if line.stack != Stack::Apache => (line.stack, line.time_is_start) = (Stack::Apache, true),
            _ => {}
        }
        Some(line)
    }
}

/// Does `line` belong to the message that `so_far` opened? Raw newlines occur where nothing escaped
/// them, and then only in text that nginx quotes.
pub(crate) fn continues(so_far: &[u8], line: &[u8]) -> bool {
    nginx_error::starts(so_far) && nginx_error::is_open(so_far) && nginx_error::NginxError::default().continues(so_far, line)
}

fn web_error(message: &[u8], sender: Sender) -> Option<Line<'_>> {
    if sender != Sender::Apache
        && let Ok(line) = nginx_error::parse(message)
    {
        return Some(line);
    }
    if sender != Sender::Nginx
        && let Ok(line) = apache_error::parse(message)
    {
        return Some(line);
    }
    None
}

fn other(sender: Sender, message: &[u8]) -> Line<'_> {
    let stack = match sender {
        Sender::Nginx => Stack::Nginx,
        Sender::Apache => Stack::Apache,
        Sender::Fpm => Stack::Fpm,
        _ => Stack::App,
    };
    let mut line = Line::new(LineKind::Other, stack);
    line.message = Cow::Borrowed(message);
    line.raw_text = true;
    if stack == Stack::App {
        crate::app::name_request(&mut line, message);
        crate::app::name_peer(&mut line, message);
    }
    line
}

/// The inner stamp wins. Where it has no zone and the wrapper's has one, the difference between the
/// two, rounded to a quarter of an hour, is the zone: they were written in the same moment.
pub(crate) fn settle_time(line: &mut Line<'_>, outer: Option<LogTime>) {
    let (Some(inner), Some(outer)) = (line.time, outer) else {
        line.time = line.time.or(outer);
        return;
    };
    if inner.offset_s.is_some() || outer.offset_s.is_none() || inner.yearless {
        return;
    }
    const QUARTER_S: i64 = 900;
    const DELAY_S: i64 = 300;
    let apart = inner.civil_ns.saturating_sub(outer.stated_ns()) / SECONDS;
    let rounded = (apart + QUARTER_S / 2).div_euclid(QUARTER_S) * QUARTER_S;
    if (apart - rounded).abs() <= DELAY_S && rounded.abs() <= 14 * 3600 {
        line.time = Some(LogTime { offset_s: i32::try_from(rounded).ok(), ..inner });
    }
}
