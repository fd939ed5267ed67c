//! A server, mod_php or PHP-FPM process died on a signal and no valid answer was sent.

use crate::chain::{self, Death};
use crate::doc::{CauseDoc, Fix};
use crate::join::Ev;
use crate::population::cuts::Together;
use crate::population::windows::{AFTER_MS, BEFORE_MS};
use crate::rule::{Case, Finding};
use cfray_model::{Cause, Sig, Stack, Tie};

/// What a person may read about `worker-crash`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::WorkerCrash,
    says: "A server process crashed while it was handling the request, and the connection closed without an answer.",
    why: "Cloudflare had sent the request when the process that held the connection died on a signal: 11 (segmentation fault), 6 \
        (abort), 7 (bus error), 4 (illegal instruction). The kernel closed its sockets, so Cloudflare got a close and not one byte of \
        an answer. With mod_php on prefork one request is lost; an nginx worker, or a child of Apache's worker or event MPM, takes \
        every connection it held along, and none of them gets an access line.\n\n\
        A PHP-FPM child that dies behind nginx or Apache is normally turned into a valid 502 or 503, which is no 520. It becomes one \
        where the site maps such answers to `return 444`.",
    evidence: "A line `exited on signal N` of nginx or PHP-FPM with N other than 9, 15 and 3, Apache's AH00051 or AH00052, \
        HAProxy's `Current worker (P) exited with code N` with N of 128 and such a signal (139: 11), or a \
        kernel segfault or trap line, of the same server, from the request's last moment to 2 s after it: the parent reports late, \
        Apache up to about 1 s. The request itself has no access line, or a 444 whose error line shows the failed upstream. Without a \
        pid or connection id that leads to the request, the crash line must be commoner near failing requests than near succeeding \
        ones.",
    not_when: "The PHP-FPM child's crash was answered with a valid 502 or 503. Signal 9 with a kernel out-of-memory line is oom-kill, \
        signals 15 and 3 belong to stops and time limits. Signal 9 while the kernel log covers that moment and shows no out-of-memory \
        line stays here.",
    fix: Fix {
        owner: "Send your host the minute, some ray IDs and the crash line, and ask which module crashed. Undo the last change of PHP \
            version or PHP extension, and switch off a plugin that came with its own extension.",
        admin: "The kernel line ends in `in LIBRARY[...]`: update or unload that module or PHP extension; `coredumpctl info PID` \
            shows the stack. With mod_php, move PHP to FPM so that a crash costs a valid 503 and not the connection: `a2dismod php8.2 \
            mpm_prefork && a2enmod mpm_event proxy_fcgi setenvif && a2enconf php8.2-fpm && apachectl configtest && systemctl restart \
            apache2` (try it on a copy first: `php_value` lines in .htaccess files give a 500 under FPM). Where errors are mapped to \
            444, send a page: `error_page 502 503 504 /50x.html;`.",
        developer: "Replay the request named in the evidence on a test server. Look first at native code (extensions, FFI, image and \
            XML libraries) and at recursion without an end, which overflows the stack.",
        client: "Retrying helps: a new process takes over at once. Wait 1, 2, 4, 8, 16 s, then stop. Repeat by machine only what may \
            run twice (GET, HEAD, or a request with an idempotency key), because a lost POST may have been carried out. If the very \
            same request fails each time, it is the one that crashes the server: report its ray ID.",
    },
    check: "Crash or memory? `journalctl -k --since '-1h' | grep -Ei 'segfault|traps:|general protection|out of memory|killed \
        process'`: a segfault or trap line with the pid is a crash, an out-of-memory line is oom-kill. The kernel limits how many \
        such lines it writes, so a missing one proves little.",
    often_blamed: "A crashing PHP-FPM child. Behind nginx it gives a valid 502 (`recv() failed (104: ...)`), behind Apache proxy_fcgi \
        a valid 503 (AH01067), and Cloudflare passes both on as they are (measured). Those lines explain a 520 only if the site hides \
        502 and 503 behind 444.",
    sources: &[
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "nginx src/os/unix/ngx_process.c @3f6f782 (2026-08)",
        "apache/httpd 2.4.x server/mpm_unix.c @f45abec1 (2024-10)",
        "haproxy/haproxy src/mworker.c (mworker_catch_sigchld)",
        "php/php-src sapi/fpm/fpm/fpm_children.c",
        "linux arch/x86/mm/fault.c, arch/x86/kernel/traps.c",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// Signals that end a process and are nobody's order, as 1, 2, 3, 9 and 15 are: faults, limits of CPU time (24) and file size (25),
/// pipes and timers that it does not handle. The numbers are Linux's; FreeBSD's bus error is 10, its bad system call 12.
pub(crate) const fn is_fault(signal: i64) -> bool {
    matches!(signal, 4..=8 | 10..=14 | 24..=27 | 31)
}

/// A web server process died under the request, or an FPM child did and its 502 was hidden.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if c.no_line() {
        let server = c.server?;
        let told = [Sig::NginxWorkerSignal, Sig::ApacheChildSignal, Sig::HaProxyWorkerSignal, Sig::KernelFault, Sig::UnitKilled];
        let fault = |ev: &Ev| ev.e.sig.as_ref().is_some_and(|h| fault_of_front(h, c.stack()));
        let mut faults = c.near_that(&told, BEFORE_MS, AFTER_MS, fault).into_iter();
        if let Some((_, nearest)) = faults.next() {
            let sig = nearest.e.sig.as_ref()?.sig;
            let contrast = c.p.windows.get(server, sig);
            // Where deaths come so often that one is near every request, what ended with this one tells.
            let together = cut_off(c, nearest);
            let weight = if together.is_some() { contrast.weight().max(0.95) } else { contrast.weight() };
            let mut f = Finding::new(DOC.cause, 0.96 * weight * c.absence_weight(), Tie::Window).with(c.line(nearest));
            // A second, independent report (kernel beside the server's own) is worth quoting.
            if let Some((_, other)) = faults.find(|(_, ev)| ev.e.stack != nearest.e.stack) {
                f = f.with(c.line(other));
            }
            f = f.with(crate::rule::sentence(cfray_model::EvidenceKind::Contrast, contrast.sentence("a process died")));
            if let Some(t) = together.filter(|_| contrast.weight() < 0.95) {
                let text = format!("{} requests, under way for {} to {} ms, ended in the same moment", t.count, t.ages_ms.0, t.ages_ms.1);
                f = f.with(crate::rule::sentence(cfray_model::EvidenceKind::Contrast, text));
            }
            if c.silent() {
                f = f.with(c.absence());
            }
            return Some(f.with(c.timing()));
        }
        // Killed without a kernel log that says why, but one that covers the moment: not for memory.
        if let Some((_, ev)) = c.near_that(&told, BEFORE_MS, AFTER_MS, killed_front).first()
            && chain::kernel_covers(c)
        {
            let weight = c.p.windows.get(server, ev.e.sig.as_ref()?.sig).weight();
            return Some(
                Finding::new(DOC.cause, 0.7 * weight, Tie::Window)
                    .with(c.line(ev))
                    .with(c.timing())
                    .or_else(cfray_model::Cause::OomKill, 0.2),
            );
        }
    }
    if c.hidden_failure() {
        let own = c.own(&[Sig::UpstreamReset, Sig::UpstreamClosed, Sig::ProxyDispatch]);
        let moment = own.and_then(|o| o.1.utc).or(c.end)?;
        if let Some((death, evs)) = chain::worker_death(c, moment) {
            if matches!(death, Death::Fault) {
                let score = match own {
                    Some(o) if c.closed_by_rule() => {
                        if o.2 >= Tie::Chain {
                            0.96
                        } else {
                            0.9
                        }
                    }
                    Some(_) => 0.85,
                    // An application's log is raw text: alone it proves nothing.
                    None if evs.iter().all(|e| e.e.raw_text) => 0.4,
                    None => 0.68,
                };
                let tie = own.map_or(Tie::Window, |_| Tie::Chain);
                let f = Finding::new(DOC.cause, score, tie)
                    .with_all(evs.iter().map(|e| c.line(e)))
                    .with_all(own.map(|o| c.line(o.1)))
                    .with_all(c.access_line());
                return Some(f.with(c.timing()));
            }
            // Killed while the kernel's log covers the moment and speaks of no shortage: not for memory.
            let shortage = || c.nearest(&[Sig::OomKill], 60_000, 60_000).is_some();
            if matches!(death, Death::Killed) && chain::kernel_covers(c) && !shortage() {
                let f =
                    Finding::new(DOC.cause, 0.64, Tie::Chain).with_all(evs.iter().map(|e| c.line(e))).with_all(own.map(|o| c.line(o.1)));
                return Some(f.with_all(c.access_line()).or_else(cfray_model::Cause::OomKill, 0.2));
            }
        } else if let Some(o) = own.filter(|o| chain::is_fastcgi(o.1) && !chain::has_fpm_log(c)) {
            // A child went away in the middle of a request and its own log was not collected.
            return Some(
                Finding::new(DOC.cause, 0.5, Tie::Request)
                    .with(c.line(o.1))
                    .with_all(c.access_line())
                    .lacking("the PHP-FPM main log (how the child died)")
                    .or_else(cfray_model::Cause::TimeoutKill, 0.2),
            );
        }
    }
    None
}

/// What was cut off together with this request, if the process died right then: nginx's parent reports at once, Apache's
/// looks once a second.
fn cut_off(c: &Case<'_>, death: &Ev) -> Option<Together> {
    let late_ms = if matches!(death.e.stack, Stack::Apache) { 1_100 } else { 300 };
    let right_then = c.window(BEFORE_MS, late_ms)?.meets(death.utc?);
    c.p.cuts.together(c.server?, c.end?).filter(|_| right_then)
}

fn fault_of_front(hit: &cfray_model::SigHit, stack: Option<Stack>) -> bool {
    match hit.sig {
        Sig::NginxWorkerSignal | Sig::ApacheChildSignal | Sig::HaProxyWorkerSignal => hit.num.is_some_and(is_fault),
        // systemd-coredump names no signal: every one that leaves a core dump is a fault.
        Sig::KernelFault | Sig::UnitKilled => {
            hit.num.is_none_or(is_fault) && hit.name.as_deref().is_some_and(|n| chain::is_front_process(n, stack))
        }
        _ => false,
    }
}

fn killed_front(ev: &crate::join::Ev) -> bool {
    ev.e.sig.as_ref().is_some_and(|h| matches!(h.sig, Sig::NginxWorkerSignal | Sig::HaProxyWorkerSignal) && h.num == Some(9))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfray_model::SigHit;

    #[test]
    fn whose_death_it_was() {
        let hit = |sig, num, name: Option<&str>| SigHit { sig, num, pid: Some(7), name: name.map(Into::into) };
        let fits = |h: &SigHit| fault_of_front(h, Some(Stack::Nginx));
        for signal in [4, 5, 6, 7, 8, 11, 24, 25, 31] {
            assert!(fits(&hit(Sig::NginxWorkerSignal, Some(signal), None)), "{signal}");
        }
        for signal in [1, 2, 3, 9, 15] {
            assert!(!fits(&hit(Sig::NginxWorkerSignal, Some(signal), None)), "{signal}");
        }
        // systemd-coredump names no signal.
        assert!(fits(&hit(Sig::KernelFault, None, Some("nginx"))));
        assert!(!fits(&hit(Sig::KernelFault, None, Some("mysqld"))));
        assert!(!fits(&hit(Sig::UnitKilled, Some(15), Some("nginx.service"))));
    }
}
