//! Following a request's own line to what happened behind the web server: FPM children, pools, PHP
//! fatals, refused connections after a stop.

use crate::join::coverage::Covered;
use crate::join::world::{Ev, Span};
use crate::rule::{Case, sentence};
use crate::rules::worker_crash::is_fault;
use cfray_model::time::{MILLI, SECOND};
use cfray_model::{Evidence, EvidenceKind, LineKind, Sig, SourceScan, Stack, Tie};

/// How an FPM child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// On a signal of its own making, or with an exit code that says so.
    Fault,
    /// On signal 9.
    Killed,
    /// Ended by the master for running too long.
    TimedOut,
}

/// FPM stamps whole seconds and its master reports after the web server has noticed.
const FPM_BEFORE: i64 = 1_200 * MILLI;
const FPM_AFTER: i64 = 2_200 * MILLI;

/// The end of an FPM child, or of an application server's worker, that fits a broken upstream at `moment`:
/// nearest first, a timeout before the signal that carries it out.
pub fn worker_death<'w>(c: &Case<'w>, moment: Span) -> Option<(Death, Vec<&'w Ev>)> {
    let server = c.server?;
    let window = Span { lo: moment.lo - FPM_BEFORE, hi: moment.hi + FPM_AFTER };
    let near = |sig: Sig| c.w.near(server, sig, window).map(|(_, e)| e);
    let request = c.fact.map_or(0, |f| f.request);
    let front_controller = |e: &Ev| e.e.path.is_empty() || e.e.path.ends_with("index.php") || e.e.path == "/";
    let mut found: Vec<(i64, u8, Death, Vec<&'w Ev>)> = Vec::new();
    for e in near(Sig::FpmTimeout) {
        // FPM shows the rewritten script, which proves nothing unless it is something of its own.
        let named = e.e.request != 0 && !front_controller(e);
        if named && request != 0 && e.e.request as u32 != request {
            continue;
        }
        found.push((distance(e, moment), 0, Death::TimedOut, vec![e]));
    }
    for e in near(Sig::FpmChildSignal) {
        let Some(hit) = &e.e.sig else { continue };
        let signal = hit.num.unwrap_or(0);
        if matches!(signal, 15 | 3 | 9) {
            // The master says first whom it ends for running too long.
            let before = Span { lo: window.lo - 6 * SECOND, hi: window.hi };
            if let Some((_, timeout)) =
                c.w.near(server, Sig::FpmTimeout, before)
                    .find(|(_, t)| t.e.pid.get().is_some() && t.e.pid.get() == hit.pid.or(e.e.pid.get()))
            {
                found.push((distance(e, moment), 1, Death::TimedOut, vec![timeout, e]));
                continue;
            }
        }
        let death = match signal {
            9 => Death::Killed,
            s if is_fault(s) => Death::Fault,
            _ => continue,
        };
        found.push((distance(e, moment), 2, death, vec![e]));
    }
    // Application servers tell of their workers in the same way.
    for e in near(Sig::AppWorkerTimeout) {
        // uWSGI names the request that the worker was busy with.
        if e.e.request != 0 && request != 0 {
            if e.e.request as u32 == request {
                found.push((0, 0, Death::TimedOut, vec![e]));
            }
            continue;
        }
        found.push((distance(e, moment), 0, Death::TimedOut, vec![e]));
    }
    for e in near(Sig::AppWorkerSignal) {
        let pid = e.e.sig.as_ref().and_then(|h| h.pid);
        let before = Span { lo: window.lo - 6 * SECOND, hi: window.hi };
        let timeout =
            c.w.near(server, Sig::AppWorkerTimeout, before).find(|(_, t)| pid.is_some() && t.e.sig.as_ref().and_then(|h| h.pid) == pid);
        let death = match (timeout, e.e.sig.as_ref().and_then(|h| h.num)) {
            (Some((_, timeout)), _) => {
                found.push((distance(e, moment), 1, Death::TimedOut, vec![timeout, e]));
                continue;
            }
            (None, Some(9)) => Death::Killed,
            (None, Some(s)) if is_fault(s) => Death::Fault,
            _ => continue,
        };
        found.push((distance(e, moment), 2, death, vec![e]));
    }
    // systemd tells of a backend that is a unit of its own.
    for e in near(Sig::UnitKilled) {
        let Some(hit) = e.e.sig.as_ref().filter(|h| h.name.as_deref().is_some_and(|n| serves(n) && !is_front_process(n, None))) else {
            continue;
        };
        let death = match hit.num {
            Some(9) => Death::Killed,
            Some(s) if is_fault(s) => Death::Fault,
            _ => continue,
        };
        found.push((distance(e, moment) + SECOND / 2, 4, death, vec![e]));
    }
    for e in near(Sig::FpmChildCode) {
        let death = match e.e.sig.as_ref().and_then(|h| h.num) {
            Some(124) => Death::TimedOut,
            Some(70 | 255 | 1) => Death::Fault,
            _ => continue,
        };
        found.push((distance(e, moment), 3, death, vec![e]));
    }
    // The hard limit: PHP says so on standard error and leaves with code 124.
    for e in near(Sig::PhpTime).filter(|e| e.e.text().contains("(terminated)")) {
        found.push((distance(e, moment), 3, Death::TimedOut, vec![e]));
    }
    for e in near(Sig::KernelFault) {
        if e.e.sig.as_ref().is_some_and(|h| h.name.as_deref().is_some_and(|n| n.contains("php"))) {
            found.push((distance(e, moment) + SECOND / 2, 4, Death::Fault, vec![e]));
        }
    }
    found.sort_by_key(|(d, rank, _, evs)| (*d / (SECOND / 2), *rank, evs.first().map(|e| e.e.at)));
    let (_, _, death, mut evs) = found.into_iter().next()?;
    // The kernel's report of the same process is a second trace.
    if death == Death::Fault && evs.iter().all(|e| e.e.stack == Stack::Fpm) {
        let pid = evs.first().and_then(|e| e.e.sig.as_ref()?.pid.or(e.e.pid.get()));
        evs.extend(near(Sig::KernelFault).find(|e| pid.is_some() && e.e.sig.as_ref().is_some_and(|h| h.pid == pid)));
    }
    Some((death, evs))
}

fn distance(e: &Ev, moment: Span) -> i64 {
    // Stamps of whole seconds overlap more often than not: the middles tell which is nearer, and the
    // master reports a death after the web server has seen it.
    e.utc.map_or(i64::MAX / 2, |u| {
        let d = u.mid() - moment.mid();
        if d < 0 { -d + SECOND / 4 } else { d }
    })
}

/// May a process or unit of this name be what answers behind a web server? Stores, tools and services of the machine are not.
pub fn serves(name: &str) -> bool {
    const OTHERS: &[&str] = &[
        "mysqld",
        "mariadb",
        "postgres",
        "redis",
        "valkey",
        "memcached",
        "mongo",
        "clickhouse",
        "rabbitmq",
        "beanstalk",
        "tar",
        "gzip",
        "xz",
        "zstd",
        "rsync",
        "restic",
        "borg",
        "mysqldump",
        "pg_dump",
        "duplicity",
        "rclone",
        "clam",
        "freshclam",
        "cron",
        "anacron",
        "sshd",
        "docker",
        "containerd",
        "snapd",
        "systemd",
        "apt",
        "dpkg",
        "certbot",
        "fail2ban",
        "rsyslog",
        "logrotate",
        "postfix",
        "dovecot",
        "exim",
        "rspamd",
        "node_exporter",
        "prometheus",
        "grafana",
    ];
    let name = name.to_ascii_lowercase();
    !OTHERS.iter().any(|other| name.starts_with(other))
}

/// The kernel's or systemd's report that a process which may be the backend was killed for memory at `moment`.
pub fn backend_oom<'w>(c: &Case<'w>, moment: Span) -> Option<&'w Ev> {
    const TOGETHER: i64 = 2_500 * MILLI;
    let window = Span { lo: moment.lo - TOGETHER, hi: moment.hi + TOGETHER };
    let of = |sig: Sig| c.server.into_iter().flat_map(move |s| c.w.near(s, sig, window)).map(|(_, ev)| ev);
    let name = |ev: &Ev| ev.e.sig.as_ref().and_then(|h| h.name.clone()).unwrap_or_default();
    let fits = of(Sig::OomKill).chain(of(Sig::UnitOom)).filter(|ev| serves(&name(ev)) && !is_front_process(&name(ev), None));
    fits.min_by_key(|ev| distance(ev, moment))
}

/// Does the request's own error line name a FastCGI upstream?
pub fn is_fastcgi(ev: &Ev) -> bool {
    ev.e.text().contains("fastcgi://") || ev.e.text().contains("AH01067") || ev.e.text().contains("proxy_fcgi")
}

/// Was an FPM main log collected for this server?
pub fn has_fpm_log(c: &Case<'_>) -> bool {
    c.server
        .and_then(|s| c.w.servers.get(s))
        .is_some_and(|s| s.scans.iter().filter_map(|&i| c.w.scans.get(i)).any(|x| x.stacks.contains_key(&Stack::Fpm)))
}

/// Does a kernel log of the server cover the moment? The packet filter logs through the kernel.
pub fn kernel_covers(c: &Case<'_>) -> bool {
    let kernel = |s: &SourceScan| s.stacks.contains_key(&Stack::Kernel) || s.stacks.contains_key(&Stack::Firewall);
    c.server.is_some_and(|server| covers(c, server, kernel, 0))
}

/// Does a log of an application or its supervisor reach over the moment?
pub fn app_log_covers(c: &Case<'_>, server: usize) -> bool {
    covers(c, server, |s| s.stacks.contains_key(&Stack::App), 15)
}

/// Does an error log of the web server reach over the moment? It may be quiet for minutes at its ends. Where the access log
/// beside it has a hole, the error log has one, too: a quiet log cannot tell.
pub fn error_log_covers(c: &Case<'_>, server: usize) -> bool {
    let hole = || {
        let access = c.w.servers.get(server).is_some_and(|s| s.has_access);
        access && c.access.is_none() && c.end.is_some_and(|end| c.p.coverage.at(server, end, 0) == Covered::No)
    };
    covers(c, server, |s| s.kinds.contains_key(&LineKind::Error), 15) && !hole()
}

fn covers(c: &Case<'_>, server: usize, fits: impl Fn(&SourceScan) -> bool, slack_s: i64) -> bool {
    let (Some(server), Some(end)) = (c.w.servers.get(server), c.end) else { return false };
    let fitting = || server.scans.iter().filter_map(|&i| Some((i, c.w.scans.get(i).filter(|s| fits(s))?)));
    let spans: Vec<(i64, i64)> =
        fitting().filter_map(|(i, scan)| Some((c.w.true_ns(i, scan.first_ns?)?, c.w.true_ns(i, scan.last_ns?)?))).collect();
    let reaches = |from: i64, to: i64| from <= to && (from - slack_s * SECOND..=to + (slack_s + 2) * SECOND).contains(&end.lo);
    if spans.iter().any(|&(from, to)| reaches(from, to)) {
        return true;
    }
    // A rotated set covers what lies between its files, unless one of them is missing.
    let names: Vec<&str> = fitting().map(|(_, scan)| scan.info.name.as_str()).collect();
    let (from, to) = spans.iter().fold((i64::MAX, i64::MIN), |(a, b), &(x, y)| (a.min(x), b.max(y)));
    reaches(from, to) && crate::sources::missing_files(&names).is_empty()
}

/// A sign that the pool was full around the request: listen queue overflow or `pm.max_children`.
pub fn pool_full<'w>(c: &Case<'w>) -> Option<&'w Ev> {
    let full = [Sig::FpmMaxChildren, Sig::ConnectQueueFull, Sig::ApacheMaxWorkers, Sig::AppQueueFull];
    c.nearest(&full, 90_000, 15_000).map(|x| x.1)
}

/// Is the name that of the web server in front (a process or unit name)?
pub fn is_front_process(name: &str, stack: Option<Stack>) -> bool {
    let name = name.to_ascii_lowercase();
    let any = |list: &[&str]| list.iter().any(|n| name.starts_with(n));
    match stack {
        Some(Stack::Nginx) => any(&["nginx", "openresty", "angie", "tengine"]),
        Some(Stack::Apache) => any(&["apache", "httpd", "(wsgi"]),
        Some(Stack::LiteSpeed) => any(&["litespeed", "lshttpd", "openlitespeed", "lsphp"]),
        Some(Stack::Lighttpd) => any(&["lighttpd"]),
        Some(Stack::HaProxy) => any(&["haproxy"]),
        _ => any(&["nginx", "apache", "httpd", "litespeed", "openlitespeed", "lighttpd", "haproxy"]),
    }
}

/// Does a stop line speak of something behind the web server?
pub fn backend_unit(ev: &Ev) -> bool {
    match &ev.e.sig {
        Some(h) if h.sig == Sig::UnitStop => h.name.as_deref().is_some_and(|n| !is_front_process(n, None)),
        _ => true,
    }
}

/// 521s of the same origin right after: nothing listened any more.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// How many within ten seconds.
    pub count: u64,
    /// Seconds to the first.
    pub after_s: f64,
    /// 520s of the same origin that ended within two seconds of this one.
    pub together: u64,
}

impl Refused {
    /// In a sentence.
    pub fn sentence(&self) -> Evidence {
        let text = format!(
            "{} requests to the same origin were refused (521) within 10 s, the first {:.1} s later; {} others were cut off in the same two seconds",
            self.count, self.after_s, self.together
        );
        sentence(EvidenceKind::Contrast, text)
    }
}

/// Looks for a stop by what follows it: 521s after, none in the seconds before.
pub fn refused_after(c: &Case<'_>) -> Option<Refused> {
    let end_ms = c.end?.lo.div_euclid(MILLI);
    let tick = c.row.precision_ns.div_euclid(MILLI);
    let origin = c.row.origin_ip.as_deref().unwrap_or_default();
    let refused = c.p.origins.refused(origin);
    let count =
        |list: &[i64], from: i64, to: i64| list.partition_point(|t| *t <= to).saturating_sub(list.partition_point(|t| *t < from)) as u64;
    let after = count(refused, end_ms - 1_500 - tick, end_ms + 10_000);
    let before = count(refused, end_ms - 6_000, end_ms - 1_501 - tick);
    let first = refused.get(refused.partition_point(|t| *t < end_ms - 1_500 - tick)).map_or(0, |t| t - end_ms);
    // A server that answers what came later was not stopped yet.
    let answers = count(c.p.origins.spoken(origin), end_ms + tick + 200, end_ms + first - tick - 200);
    if first > 1_500 + 2 * tick && answers >= 2 {
        return None;
    }
    // Nor does one that answers some while it refuses others: a ban of single edge addresses does that.
    let last = refused.get(refused.partition_point(|t| *t <= end_ms + 10_000).saturating_sub(1)).map_or(0, |t| t - end_ms);
    if count(c.p.origins.spoken(origin), end_ms + first + tick + 200, end_ms + last - tick - 200) >= 3 {
        return None;
    }
    let together = count(c.p.origins.cut(origin), end_ms - 2_000, end_ms + 2_000);
    (after >= 2 && before == 0).then_some(Refused {
        count: after,
        after_s: first.max(0) as f64 / 1000.0,
        together: together.saturating_sub(1),
    })
}

/// A PHP fatal of a request whose 500 never reached the edge.
pub struct Fatal<'w> {
    /// The line.
    pub ev: &'w Ev,
    /// How it is tied.
    pub tie: Tie,
    /// Base score.
    pub score: f64,
    /// Memory limit: the line names who asked last, not who used most.
    pub memory: bool,
    /// Name of the plugin, theme, module or middleware the deepest foreign frame lies in.
    pub plugin: Option<String>,
}

/// The request's own fatal, or one in another log at the very moment of an unexplained 444.
pub fn php_fatal<'w>(c: &Case<'w>) -> Option<Fatal<'w>> {
    if !c.hidden_failure() {
        return None;
    }
    let sigs = [Sig::PhpFatal, Sig::PhpMemory, Sig::PhpTime];
    let build = |ev: &'w Ev, tie: Tie, score: f64| {
        let memory = ev.e.sig.as_ref().is_some_and(|h| h.sig == Sig::PhpMemory);
        Fatal { ev, tie, score, memory, plugin: plugin_of(&ev.e.details().file) }
    };
    if let Some(o) = c.own(&sigs).filter(|o| !o.1.e.text().contains("(terminated)")) {
        return Some(build(o.1, o.2, if c.closed_by_rule() { 0.96 } else { 0.82 }));
    }
    let explained = c.own(crate::population::drops::EXPLAINS_CLOSE).is_some();
    if explained || !c.closed_by_rule() {
        return None;
    }
    // An application names the page that failed; the access line of the same moment and page is the second trace.
    let page = c.access.map_or("", |a| a.1.e.path.as_str());
    let thrown = c.near(&[Sig::AppException], crate::population::windows::FATAL_MS, crate::population::windows::FATAL_MS);
    if let Some((_, ev)) = thrown.into_iter().find(|(_, e)| !page.is_empty() && e.e.path == page) {
        return Some(build(ev, Tie::Chain, 0.94));
    }
    let near = c.near(&sigs, crate::population::windows::FATAL_MS, crate::population::windows::FATAL_MS);
    let found = near.into_iter().filter(|(i, e)| {
        let unowned = c.w.ties.owner.get(*i as usize).is_none_or(Option::is_none);
        // A journal that splits records at line breaks leaves nginx's error lines without their request. One that has a
        // tail and names nobody all the same has two: somebody forged the other.
        let bare = e.e.kind == LineKind::Error && e.e.request == 0 && !e.e.text().contains(", client: ");
        unowned && (bare || matches!(e.e.kind, LineKind::Php | LineKind::Fpm) || e.e.stack == Stack::App)
    });
    let found: Vec<&Ev> = found.map(|(_, e)| e).collect();
    // The fatal that this kind of page has each time it fails goes before the nearest.
    let shape = c.fact.map_or(0, |f| f.shape);
    let own = c.server.and_then(|s| found.iter().copied().find(|ev| c.p.fatal_pages.fits(s, shape, ev)));
    let ev = own.or_else(|| commonest(c, &found))?;
    // PHP's log names no request; what counts is that failures and fatals come in pairs.
    let score = if c.p.windows.fatals(c.server?).one_to_one() { 0.96 } else { 0.45 };
    // An exception without its frames may be a middleware's.
    let framed = ev.e.stack != Stack::App || !ev.e.details().file.is_empty();
    Some(build(ev, Tie::Window, if framed { score } else { f64::min(score, 0.6) }))
}

/// The nearest; an application also reports what it goes on without, so of its exceptions that stand as near, the one whose
/// place fails most often.
fn commonest<'w>(c: &Case<'w>, near: &[&'w Ev]) -> Option<&'w Ev> {
    const LOOKED_AT: usize = 2_000;
    let first = *near.first()?;
    let end = c.end?;
    let distance = |ev: &Ev| ev.utc.map_or(i64::MAX, |u| u.distance(end));
    let alike = || near.iter().copied().filter(|ev| ev.e.stack == Stack::App && distance(ev) <= distance(first));
    if first.e.stack != Stack::App || alike().all(|ev| ev.e.details().file == first.e.details().file) {
        return Some(first);
    }
    let all = c.w.by_sig.get(&(c.server?, Sig::PhpFatal)).map_or(&[][..], Vec::as_slice);
    let times =
        |file: &str| all.iter().take(LOOKED_AT).filter(|&&i| c.w.evs.get(i as usize).is_some_and(|e| e.e.details().file == file)).count();
    alike().max_by_key(|ev| (times(&ev.e.details().file), std::cmp::Reverse(ev.e.at.line)))
}

/// `wp-content/plugins/woocommerce/...` is "the plugin woocommerce".
pub fn plugin_of(file: &str) -> Option<String> {
    for (dir, word) in [
        ("/wp-content/plugins/", "plugin"),
        ("/mu-plugins/", "must-use plugin"),
        ("/wp-content/themes/", "theme"),
        ("/themes/", "theme"),
        ("/plugins/", "plugin"),
        ("/modules/", "module"),
        ("/extensions/", "extension"),
    ] {
        if let Some(at) = file.find(dir) {
            let name = file.get(at + dir.len()..)?.split('/').next().unwrap_or_default();
            return (!name.is_empty()).then(|| format!("the {word} {name} ({file})"));
        }
    }
    // Frameworks of Python keep middleware in modules of that name as often as in packages.
    let path = file.to_ascii_lowercase();
    let middleware = path.contains("/middleware/") || path.ends_with("/middleware.py") || path.ends_with("/middlewares.py");
    middleware.then(|| format!("the middleware {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_named() {
        assert_eq!(
            plugin_of("/var/www/wp-content/plugins/shop-seo/inc/a.php").as_deref(),
            Some("the plugin shop-seo (/var/www/wp-content/plugins/shop-seo/inc/a.php)")
        );
        assert_eq!(plugin_of("/var/www/shop/lib/cart.php"), None);
        assert!(plugin_of("/srv/app/Http/Middleware/Auth.php").is_some());
        assert!(plugin_of("/srv/venv/lib/python3.11/site-packages/tax_rates/middleware.py").is_some());
        assert_eq!(plugin_of("/srv/shop/middleware_views.py"), None);
    }

    #[test]
    fn what_may_answer_behind_a_web_server() {
        assert!(["node", "gunicorn", "python3", "shop.service", "java", "php-fpm8.2"].iter().all(|n| serves(n)));
        assert!(["mysqld", "postgres", "tar", "certbot.service", "redis-server"].iter().all(|n| !serves(n)));
    }

    #[test]
    fn front_processes() {
        assert!(is_front_process("nginx.service", Some(Stack::Nginx)));
        assert!(!is_front_process("php-fpm8.2", Some(Stack::Nginx)));
        assert!(!is_front_process("mysqld", None));
    }
}
