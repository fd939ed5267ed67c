//! Kernel, systemd, fail2ban, packet filter, ModSecurity's audit log.

use super::table::{Pattern, Table, any, bare, number};
use cfray_model::{Line, Sig, SigHit};
use regex::bytes::{Regex, RegexBuilder};
use std::sync::LazyLock;

static KERNEL: LazyLock<Table> = LazyLock::new(|| Table::new(KERNEL_PATTERNS));
static SYSTEMD: LazyLock<Table> = LazyLock::new(|| Table::new(SYSTEMD_PATTERNS));
static FAIL2BAN: LazyLock<Table> = LazyLock::new(|| Table::new(FAIL2BAN_PATTERNS));
static BLOCKING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    RegexBuilder::new(r"(?:block|drop|reject|den(?:y|ied)|\bban|blacklist|discard)").case_insensitive(true).unicode(false).build().ok()
});

/// OOM killer, faults.
pub(super) fn kernel(line: &Line<'_>) -> Option<SigHit> {
    KERNEL.find(line, &line.message)
}

/// Units.
pub(super) fn systemd(line: &Line<'_>) -> Option<SigHit> {
    let mut hit = SYSTEMD.find(line, &line.message)?;
    // The journal knows the unit even where the text only has its description.
    if let Some(unit) = line.module.as_deref().filter(|m| m.ends_with(b".service")) {
        hit.name = Some(String::from_utf8_lossy(unit).into());
    }
    if hit.name.as_deref().is_some_and(|n| n.starts_with("Session ") || n.starts_with("session-")) {
        return None;
    }
    Some(hit)
}

/// Bans.
pub(super) fn fail2ban(line: &Line<'_>) -> Option<SigHit> {
    FAIL2BAN.find(line, &line.message)
}

/// A line of the packet filter whose prefix says that the packet was not let through. `num` is the
/// destination port.
pub(super) fn firewall(line: &Line<'_>) -> Option<SigHit> {
    let text: &[u8] = &line.message;
    let prefix = text.get(..memchr::memmem::find(text, b"IN=")?)?;
    let says_so = BLOCKING.as_ref().is_some_and(|r| r.is_match(prefix));
    if !says_so || prefix.starts_with(b"[UFW AUDIT") || prefix.starts_with(b"[UFW ALLOW") {
        return None;
    }
    let port = text.split(|&b| b == b' ').find_map(|word| word.strip_prefix(b"DPT=")).and_then(number);
    Some(SigHit { num: port, ..bare(Sig::FirewallBlock) })
}

/// The trailer of an audit record.
pub(super) fn audit(line: &Line<'_>) -> Option<SigHit> {
    let mut intercepted = false;
    for text in line.message.split(|&b| b == b'\n') {
        if let Some(denied) = text.strip_prefix(b"Message: Access denied with ") {
            if denied.starts_with(b"connection close") {
                return Some(bare(Sig::ModsecDrop));
            }
            if let Some(code) = denied.strip_prefix(b"code ") {
                let digits = code.split(|b| !b.is_ascii_digit()).next().unwrap_or_default();
                return Some(SigHit { num: number(digits), ..bare(Sig::ModsecDeny) });
            }
        }
        intercepted |= text.starts_with(b"Action: Intercepted");
    }
    intercepted.then(|| SigHit { num: line.status.map(i64::from), ..bare(Sig::ModsecDeny) })
}

// Process names are up to 15 bytes of anything, `(sd-pam)` included.
#[rustfmt::skip]
const KERNEL_PATTERNS: &[Pattern] = &[
    any(Sig::OomKill, r"^(?:Memory cgroup out of memory|Out of memory)(?: \([^)]*\))?: Kill(?:ed)? process (?P<pid>\d+),?(?: UID \d+,)? \((?P<name>.{1,32}?)\)(?:,? total-vm:|,? score |\.|, UID|$)"),
    any(Sig::OomKill, r"^Killed process (?P<pid>\d+),?(?: UID \d+,)? \((?P<name>.{1,32}?)\)(?:,? total-vm:|,? vsz:|, UID|\.|$)"),
    any(Sig::OomContext, r"^(?P<name>.{1,32}?) invoked oom-killer: "),
    any(Sig::OomContext, r"^oom-kill:constraint=.*,task=(?P<name>[^,]{1,32}),pid=(?P<pid>\d+),"),
    any(Sig::OomContext, r"^oom_reaper: (?:reaped|unable to reap) (?:process |pid:)(?P<pid>\d+) \((?P<name>.{1,32}?)\)"),
    any(Sig::OomContext, r"^Task in /.* killed as a result of limit of "),
    fault(11, r"^(?P<name>.{1,32}?)\[(?P<pid>\d+)\]:? segfault (?:\(11\) )?at [0-9a-fx]+ [rn]?ip:? ?"),
    any(Sig::KernelFault, r"^(?P<name>.{1,32}?)\[(?P<pid>\d+)\]: unhandled [a-z0-9 -]{1,60} \((?P<num>\d+)\) at "),
    fault(11, r"^(?:traps: )?(?P<name>.{1,32}?)\[(?P<pid>\d+)\]:? (?:trap )?general protection(?: fault)?(?: in [^ ]+)? r?ip:"),
    fault(4, r"^(?:traps: )?(?P<name>.{1,32}?)\[(?P<pid>\d+)\]:? (?:trap )?invalid opcode r?ip:"),
    fault(8, r"^(?:traps: )?(?P<name>.{1,32}?)\[(?P<pid>\d+)\]:? (?:trap )?divide error r?ip:"),
    fault(5, r"^(?:traps: )?(?P<name>.{1,32}?)\[(?P<pid>\d+)\]:? (?:trap )?int3 r?ip:"),
    fault(7, r"^(?:traps: )?(?P<name>.{1,32}?)\[(?P<pid>\d+)\]:? (?:trap )?(?:stack segment|alignment check) r?ip:"),
    any(Sig::KernelFault, r"^(?:(?P<name>[^ /\[\]]{1,32})(?:/(?P<pid>\d+)|\[[^\]]*\])?: )?potentially unexpected fatal signal (?P<num>\d+)\."),
];

const fn fault(signal: i64, regex: &'static str) -> Pattern {
    Pattern { num: Some(signal), ..any(Sig::KernelFault, regex) }
}

#[rustfmt::skip]
const SYSTEMD_PATTERNS: &[Pattern] = &[
    any(Sig::UnitOom, r"^(?P<name>[^ :]+(?::[^ :]+)*): (?:A process of this unit has been killed by the OOM killer\.|Failed with result 'oom-kill'\.)$"),
    any(Sig::UnitOom, r"^Killed (?:/[^ ]*/)?(?P<name>[^ /]+) due to memory "),
    any(Sig::UnitKilled, r"^(?P<name>[^ :]+(?::[^ :]+)*): [Mm]ain process exited, code=(?:killed|dumped), status=(?P<num>\d+)/[A-Z0-9+]+$"),
    any(Sig::UnitExited, r"^(?P<name>[^ :]+(?::[^ :]+)*): [Mm]ain process exited, code=exited, status=(?P<num>[1-9]\d{0,2})(?:/[A-Z0-9_]+|/n/a)?$"),
    any(Sig::UnitStop, r"^(?P<name>[^ :]+(?::[^ :]+)*): (?:Deactivated successfully\.|Succeeded\.|Stopping timed out\. (?:Killing|Terminating)\.|State 'stop-sigterm' timed out\. Killing\.)$"),
    any(Sig::UnitStop, r"^(?:Stopping|Stopped) (?P<name>.+?)(?: - .*)?\.*$"),
    any(Sig::UnitStart, r"^Started (?P<name>.+?)(?: - .*)?\.*$"),
    // systemd-coredump: the number of the signal is not in the text.
    any(Sig::KernelFault, r"^Process (?P<pid>\d+) \((?P<name>[^)]{1,32})\) of user \d+ (?:dumped core|terminated abnormally)"),
];

#[rustfmt::skip]
const FAIL2BAN_PATTERNS: &[Pattern] = &[
    any(Sig::Ban, r"^\[(?P<name>[^\]]+)\] (?:Restore |Increase )?(?:Ban|Reban) [0-9a-fA-F.:/]+"),
    any(Sig::Unban, r"^\[(?P<name>[^\]]+)\] Unban [0-9a-fA-F.:/]+$"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(KERNEL.compiled(), (KERNEL_PATTERNS.len(), KERNEL_PATTERNS.len()));
        assert_eq!(SYSTEMD.compiled(), (SYSTEMD_PATTERNS.len(), SYSTEMD_PATTERNS.len()));
        assert_eq!(FAIL2BAN.compiled(), (FAIL2BAN_PATTERNS.len(), FAIL2BAN_PATTERNS.len()));
        assert!(BLOCKING.is_some());
    }
}
