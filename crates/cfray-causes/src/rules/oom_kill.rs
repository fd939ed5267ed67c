//! The kernel killed the process for memory.

use crate::app_exit;
use crate::chain::{self, Death};
use crate::doc::{CauseDoc, Fix};
use crate::join::Ev;
use crate::population::windows::{AFTER_MS, BEFORE_MS};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Stack, Tie};

/// What a person may read about `oom-kill`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::OomKill,
    says: "The server ran out of memory and the system killed the process that was handling the request.",
    why: "The kernel ends the process with signal 9, which cannot be caught. Its sockets are closed at once, and Cloudflare gets a \
        close without a byte. Apache writes nothing about a child lost to signal 9, so only the kernel or systemd knows; nginx and \
        PHP-FPM do log it. A PHP-FPM child killed this way behind nginx or Apache gives a valid 502 or 503, and a 520 only where \
        those are mapped to `return 444`.",
    evidence: "A kernel line `Out of memory: Killed process PID (NAME)` or `Memory cgroup out of memory`, or systemd's `killed by the \
        OOM killer` or `result 'oom-kill'`, for the server's pid or command, from the request's last moment to 2 s after it, with no \
        access line (or a 444). For a backend (FPM, Node, Python) the broken upstream of the request stands beside it. If only `exited on signal 9` is there and no kernel log covers the moment, confidence is at most 0.6 \
        and worker-crash is the runner-up.",
    not_when: "Signal 9 while the kernel log covers the moment without such a line: someone or something sent it, see worker-crash. \
        An OOM line for a process that serves no web request, such as a backup. PHP's own `Allowed memory size exhausted`: that is \
        the application's limit, see app-fatal.",
    fix: Fix {
        owner: "Ask your host how much memory the plan has and whether the kernel killed processes at that minute. Move imports, \
            backups and image jobs to quiet hours, or take a plan with more memory.",
        admin: "Let the pool fit the memory. Average size of one worker in MB: `ps -C php-fpm8.2 -o rss= | awk '{s+=$1} END {if (NR) \
            print s/NR/1024}'`; memory left for PHP divided by it is the most that fits. Then `pm.max_children = N` (FPM, default 5) \
            or `MaxRequestWorkers N` (Apache prefork, default 256), and `pm.max_requests = 500` against slow leaks. Leave the OOM \
            killer on; add memory or swap, or move the neighbour that the kernel line names.",
        developer: "Stream large files and query results and do not hold them whole. Keep `memory_limit` (default 128M) low enough \
            that workers times limit fits the machine: then one greedy request ends in a valid 500 and does not bring down a process.",
        client: "Waiting 1, 2, 4, 8, 16 s helps for ordinary requests. It does not help for the heavy one (a big export, a large \
            image): ask for less, in pages, and do not repeat it in a loop.",
    },
    check: "`journalctl -k --since '-1h' | grep -Ei 'out of memory|oom-kill|killed process'`. In a container the line is in the \
        host's kernel log; inside it `cat /sys/fs/cgroup/memory.events` counts `oom_kill`. No count and no line: worker-crash.",
    often_blamed: "PHP's `Allowed memory size of N bytes exhausted`: measured, it gives a valid 500 with mod_php and with FPM. And a \
        clean Apache error log proves nothing here, because Apache never reports signal 9.",
    sources: &[
        "linux mm/oom_kill.c",
        "systemd src/core/service.c, src/core/unit.c",
        "apache/httpd 2.4.x server/mpm_unix.c (SIGKILL is not reported) @f45abec1 (2024-10)",
        "nginx src/os/unix/ngx_process.c @3f6f782 (2026-08)",
        "php/php-src sapi/fpm/www.conf.in and php-fpm.conf.in",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// Kills this near in time belong to one shortage.
const SIBLINGS_MS: i64 = 60_000;

/// The kernel killed the process that held the request.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    let server = c.server?;
    let oom =
        |fits: &dyn Fn(&Ev) -> bool| c.near_that(&[Sig::OomKill, Sig::UnitOom], BEFORE_MS + 1000, AFTER_MS + 500, fits).into_iter().next();
    if c.no_line() {
        let killed = |ev: &Ev| {
            ev.e.sig.as_ref().is_some_and(|h| {
                h.num == Some(9)
                    && (h.sig == Sig::NginxWorkerSignal || h.name.as_deref().is_some_and(|n| chain::is_front_process(n, c.stack())))
            })
        };
        let killed = c.near_that(&[Sig::NginxWorkerSignal, Sig::UnitKilled], BEFORE_MS, AFTER_MS, killed).into_iter().next();
        // Without a web server in front, the application's process holds the connections.
        let app = app_exit::app_in_front(c);
        let is_app = |n: &str| app.is_some() && chain::serves(n) && !chain::is_front_process(n, None);
        let fits = |ev: &Ev| {
            ev.e.sig.as_ref().is_some_and(|h| {
                let pid = killed.as_ref().and_then(|k| k.1.e.sig.as_ref()?.pid);
                let named = |n: &str| chain::is_front_process(n, c.stack()) || is_app(n);
                (h.pid.is_some() && h.pid == pid) || h.name.as_deref().is_some_and(named)
            })
        };
        if let Some((_, oom)) = oom(&fits) {
            let contrast = c.p.windows.get(server, oom.e.sig.as_ref()?.sig);
            let mut f = Finding::new(DOC.cause, 0.97 * contrast.weight() * c.absence_weight(), Tie::Window).with(c.line(oom));
            f = f
                .with_all(app.map(|ev| c.line(ev)))
                .with_all(killed.map(|k| c.line(k.1)))
                .with(sentence(EvidenceKind::Contrast, contrast.sentence("the kernel killed a process for memory")));
            if c.silent() {
                f = f.with(c.absence());
            }
            // A kill of this very moment says no less than those of the same minute.
            let stronger = among_kills(c).filter(|other| other.score > f.score);
            return Some(stronger.unwrap_or_else(|| f.with(c.timing())));
        }
        if let Some((_, ev)) = killed
            && !chain::kernel_covers(c)
        {
            let weight = c.p.windows.get(server, Sig::NginxWorkerSignal).weight();
            return Some(
                Finding::new(DOC.cause, (0.62 * weight * c.absence_weight()).min(0.6), Tie::Window)
                    .with(c.line(ev))
                    .with(c.timing())
                    .lacking("the kernel log of that moment (dmesg -T, journalctl -k): signal 9 alone does not say who sent it")
                    .or_else(Cause::WorkerCrash, 0.3),
            );
        }
    }
    if let Some(f) = among_kills(c) {
        return Some(f);
    }
    if c.hidden_failure() {
        let own = c.own(&[Sig::UpstreamReset, Sig::UpstreamClosed, Sig::ProxyDispatch, Sig::ConnectFailed]);
        let moment = own.and_then(|o| o.1.utc).or(c.end)?;
        if let Some((Death::Killed, evs)) = chain::worker_death(c, moment) {
            let pids: Vec<u64> = evs.iter().filter_map(|e| e.e.sig.as_ref()?.pid).collect();
            // Supervisors that tell no process id, or one of a container's own, leave name and moment.
            let by_app = evs.iter().all(|e| e.e.stack == Stack::App);
            let of_worker = |ev: &Ev| {
                let php = |n: &str| n.contains("php") || n.contains("fpm");
                let named = |n: &str| if by_app { chain::serves(n) && !chain::is_front_process(n, None) && !php(n) } else { php(n) };
                ev.e.sig.as_ref().is_some_and(|h| h.pid.is_some_and(|p| pids.contains(&p)) || h.name.as_deref().is_some_and(named))
            };
            let lines = |f: Finding| f.with_all(evs.iter().map(|e| c.line(e))).with_all(own.map(|o| c.line(o.1))).with_all(c.access_line());
            if let Some((_, oom)) = oom(&of_worker) {
                return Some(lines(Finding::new(DOC.cause, if own.is_some() { 0.96 } else { 0.7 }, Tie::Chain).with(c.line(oom))));
            }
            // The kernel limits how often it reports: kills of the same program in the same minute count.
            if let Some((_, other)) = c.near_that(&[Sig::OomKill], SIBLINGS_MS, SIBLINGS_MS, of_worker).first() {
                let f = lines(Finding::new(DOC.cause, 0.74, Tie::Chain).with(c.line(other)));
                return Some(f.lacking("the kernel's own line of this kill (its log is rate limited)").or_else(Cause::WorkerCrash, 0.2));
            }
            let score = if chain::kernel_covers(c) { 0.25 } else { 0.6 };
            let f = lines(Finding::new(DOC.cause, score, Tie::Chain));
            return Some(f.lacking("the kernel log of that moment (dmesg -T, journalctl -k)").or_else(Cause::WorkerCrash, 0.35));
        }
        // Another backend (node, python, java): the kernel's line and the broken upstream are two traces.
        if let Some(o) = own.filter(|o| !chain::is_fastcgi(o.1) || !chain::has_fpm_log(c))
            && let Some(oom) = chain::backend_oom(c, o.1.utc?)
        {
            return Some(Finding::new(DOC.cause, 0.86, Tie::Chain).with(c.line(oom)).with(c.line(o.1)).with_all(c.access_line()));
        }
    }
    None
}

/// Apache writes nothing of a SIGKILL, and the kernel not a line for each: a failure without any trace among several kills of the web
/// server's processes.
fn among_kills(c: &Case<'_>) -> Option<Finding> {
    if !c.silent() || !c.lines.is_empty() {
        return None;
    }
    let is_front = |ev: &Ev| ev.e.sig.as_ref().is_some_and(|h| h.name.as_deref().is_some_and(|n| chain::is_front_process(n, c.stack())));
    let front = c.near_that(&[Sig::OomKill], SIBLINGS_MS, SIBLINGS_MS, is_front);
    let (_, nearest) = front.first()?;
    if front.len() < 3 {
        return None;
    }
    let f = Finding::new(DOC.cause, 0.56, Tie::Window).with(c.line(nearest)).with(c.absence()).with(c.timing());
    Some(f.lacking("the kernel's own line of this kill (its log is rate limited)").or_else(Cause::WorkerCrash, 0.2))
}
