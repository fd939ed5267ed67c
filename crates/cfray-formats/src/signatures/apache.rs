//! Apache error log, 2.2 and 2.4, with the modules that answer for a backend.

use super::php;
use super::table::{Pattern, Scope, Table, any, bare, number, process, process_num};
use cfray_model::{Line, Sig, SigHit};
use regex::bytes::{Regex, RegexBuilder};
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(PATTERNS));

/// What may stand before the text: `(104)Connection reset by peer: `, a client, an AH code, in the
/// orders of 2.4 and 2.2. mod_security2 adds a client of its own.
static LEAD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    RegexBuilder::new(r"^(?:\((?:(?:EAI|OS|os) ?)?(?P<os>0x[0-9a-f]+|\d+)\)[^:]*: |\[(?:client|remote) [^\]]*\] |AH(?P<code>\d{4,6}): )")
        .unicode(false)
        .build()
        .ok()
});

/// A message without what stands before its text.
struct Bare<'a> {
    text: &'a [u8],
    code: Option<u32>,
    os: Option<i64>,
}

fn strip(mut text: &[u8]) -> Bare<'_> {
    let (mut code, mut os) = (None, None);
    for _ in 0..4 {
        let Some(found) = LEAD.as_ref().and_then(|r| r.captures(text)) else { break };
        if let Some(digits) = found.name("code") {
            code = number(digits.as_bytes()).and_then(|n| u32::try_from(n).ok());
        }
        os = os.or_else(|| found.name("os").and_then(|m| number(m.as_bytes())));
        let end = found.get(0).map_or(0, |m| m.end());
        text = text.get(end..).unwrap_or_default();
    }
    Bare { text, code, os }
}

/// mod_qos `QS_SrvMaxConnPerIP`: the connection is closed without an answer (mod_qos.c, message 031). The
/// address is the peer's.
fn throttled(line: &Line<'_>, text: &[u8]) -> Option<SigHit> {
    // A format without `%m` leaves the module out.
    if line.module.as_deref().is_some_and(|m| m != b"qos") || !text.starts_with(b"mod_qos(031): access denied, QS_SrvMaxConnPerIP rule: ") {
        return None;
    }
    let address = text.rsplit(|&b| b == b'=').next().unwrap_or_default();
    let known = std::str::from_utf8(address).ok().filter(|a| a.parse::<std::net::IpAddr>().is_ok())?;
    Some(SigHit { name: Some(known.into()), ..bare(Sig::LiteSpeedThrottle) })
}

/// The signature of an Apache error line.
pub(super) fn signature(line: &Line<'_>) -> Option<SigHit> {
    let Bare { text, code, os } = strip(&line.message);
    let code = line.code.or(code);
    if code == Some(1071) || text.starts_with(b"Got error '") {
        let stderr = text.strip_prefix(b"Got error '").unwrap_or(text);
        return Some(php::signature(stderr).unwrap_or(bare(Sig::ProxyStderr)));
    }
    if code == Some(1215) {
        return Some(php::signature(text).filter(|hit| php::is_fatal(hit.sig)).unwrap_or(bare(Sig::CgiStderr)));
    }
    if line.module.as_deref().is_some_and(|m| m.starts_with(b"php")) || text.starts_with(b"PHP ") {
        return php::signature(text);
    }
    if let Some(hit) = throttled(line, text) {
        return Some(hit);
    }
    let hit = TABLE.find(line, text).or_else(|| by_code(line, code?, text));
    hit.or_else(|| match os? {
        12 => Some(SigHit { num: Some(12), ..bare(Sig::AllocFailed) }),
        full @ (28 | 30 | 122) => Some(SigHit { num: Some(full), ..bare(Sig::FileIo) }),
        _ => None,
    })
}

/// Messages whose wording moved between releases, or that are shorter to tell by number.
fn by_code(line: &Line<'_>, code: u32, text: &[u8]) -> Option<SigHit> {
    let about_process = line.client.is_none();
    let sig = match code {
        161 | 286 | 484 if about_process => Sig::ApacheMaxWorkers,
        485 | 3490 | 288 if about_process => Sig::ApacheScoreboard,
        169 | 491 | 295 if about_process => return Some(SigHit { num: Some(15), ..bare(Sig::ApacheStop) }),
        173 | 494 | 298 if about_process => return Some(SigHit { num: Some(1), ..bare(Sig::ApacheStop) }),
        171 | 493 | 297 | 170 | 492 | 296 if about_process => Sig::ApacheReload,
        163 | 489 | 292 | 94 if about_process => Sig::ApacheStart,
        1102 => Sig::ProxyStatusLine,
        898 => Sig::ProxyErrorSent,
        1075 | 1067 | 1079 | 2454 | 957 | 1114 | 959 => Sig::ProxyDispatch,
        1110 => Sig::UpstreamBodyCut,
        10124 => Sig::UpstreamBigHeader,
        1106 | 10404 | 2428 | 2429 | 2430 => Sig::UpstreamBadHeader,
        1070 => Sig::CgiMalformed,
        1220 => Sig::UpstreamTimedOut,
        1630 | 1797 => Sig::AccessForbidden,
        2039 | 2276 | 2008 | 2010 | 2011 => Sig::ApacheClientCert,
        1382 => Sig::ClientTimedOut,
        560..=563 | 565 | 134 | 135 | 1588 | 1591 => Sig::ClientBadRequest,
        10178 | 10180 | 10230 | 10181 => Sig::Http2TooLarge,
        3048 | 10257 | 10402 | 2940 => Sig::Http2Error,
        3069 if text_holds_goaway(text) => Sig::Http2Error,
        _ => return None,
    };
    Some(bare(sig))
}

/// AH03069 reports every GOAWAY; the ones that end a session in order carry error 0.
fn text_holds_goaway(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"sent GOAWAY").is_some() && memchr::memmem::find(text, b"err=0,").is_none()
}

#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    // Processes. `child pid` is written by the parent and names no client.
    process(Sig::ApacheChildSignal, r"^child pid (?P<pid>\d+) exit signal [^()]*\((?P<num>\d+)\)(?:, possible coredump in .*)?$"),
    process(Sig::ApacheFatal, r"^Child (?P<pid>\d+) returned a Fatal error\.\.\. *Apache is exiting!$"),
    process_num(Sig::ApacheStop, 15, r"^child process (?P<pid>\d+) still did not exit, sending a SIGTERM$"),
    process_num(Sig::ApacheStop, 9, r"^child process (?P<pid>\d+) still did not exit, sending a SIGKILL$"),
    process(Sig::ApacheStop, r"^could not make child process (?P<pid>\d+) exit, attempting to continue anyway$"),
    process_num(Sig::ApacheStop, 15, r"^caught SIGTERM, shutting down$"),
    process_num(Sig::ApacheStop, 1, r"^SIGHUP received\. +Attempting to restart$"),
    process(Sig::ApacheReload, r"^(?:Graceful restart requested, doing restart|SIGUSR1 received\. +Doing graceful restart|caught SIGWINCH, shutting down gracefully)$"),
    process(Sig::ApacheStart, r"^(?:.* configured -- resuming normal operations|Command line: '.*')$"),
    process(Sig::ProxyProtocolOn, r"^RemoteIPProxyProtocol: enabled on (?P<name>[0-9A-Fa-f.:*]+:\d+)$"),
    process(Sig::ApacheMaxWorkers, r"^server reached (?:MaxClients|MaxRequestWorkers) setting(?:, consider raising the (?:MaxClients|MaxRequestWorkers) setting)?$"),
    process(Sig::ApacheScoreboard, r"^scoreboard is full, not at (?:MaxRequestWorkers|MaxClients)"),
    // Backends.
    any(Sig::ProxyStatusLine, r"^(?:proxy: )?error reading status line from remote server "),
    any(Sig::ProxyErrorSent, r"^(?:proxy: )?(?:Error reading from remote server|DNS lookup failure for: [^ ]*|Corrupt status line returned by remote server: .*|Error during SSL Handshake with remote server) returned by "),
    any(Sig::ProxyDispatch, r"^(?:proxy: )?(?:Error dispatching request to |Failed to read FastCGI header|failed to make connection to backend: |[A-Za-z0-9]+: (?:attempt to connect to |failed to make connection to backend: |disabling worker |disabled connection ))"),
    any(Sig::CgiMalformed, r"^(?:malformed header from script|Premature end of script headers|End of script output before headers|Invalid status line from script|Error parsing script headers)"),
    any(Sig::UpstreamTimedOut, r"^(?:Script timed out before returning headers|Timeout waiting for output from CGI script)"),
    // Refusals.
    any(Sig::ModsecDrop, r"^ModSecurity: Access denied with connection close"),
    any(Sig::ModsecDeny, r"^ModSecurity: Access denied with code (?P<num>\d+)"),
    any(Sig::AccessForbidden, r"^client denied by server configuration: "),
    any(Sig::ApacheClientCert, r"^(?:Certificate Verification: Error \((?P<num>\d+)\)|SSL client authentication failed|No acceptable peer certificate available|SSL Library Error: [^']*peer did not return a certificate)"),
    any(Sig::ClientTimedOut, r"^Request [a-z]+ read timeout$"),
    any(Sig::ClientBadRequest, r"^(?:Request header exceeds LimitRequestFieldSize|Number of request headers exceeds LimitRequestFields|request failed: |Invalid method in request |Invalid URI in request )"),
    // Memory and disk.
    any(Sig::AllocFailed, r"^(?:Ouch! +)?[Oo]ut of memory"),
    Pattern { sig: Some(Sig::FileIo), scope: Scope::Any, num: Some(28), regex: r"^No space left on device" },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(TABLE.compiled(), (PATTERNS.len(), PATTERNS.len()));
        assert!(LEAD.is_some());
    }

    #[test]
    fn both_orders_of_what_stands_before_the_text() {
        let new = strip(b"(104)Connection reset by peer: [client 198.51.100.8:0] AH01075: Error dispatching request to : ");
        assert_eq!((new.code, new.os, new.text), (Some(1075), Some(104), &b"Error dispatching request to : "[..]));
        let old = strip(b"[client 198.51.100.8] (70007)The timeout specified has expired: proxy: error reading");
        assert_eq!((old.code, old.os, old.text), (None, Some(70007), &b"proxy: error reading"[..]));
    }
}
