//! A stop, an ungraceful restart or a kill of the server cut the request off.

use crate::chain;
use crate::doc::{CauseDoc, Fix};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Sig, Stack, Tie};

/// What a person may read about `server-restart`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::ServerRestart,
    says: "The web server was stopped or restarted while the request was in progress.",
    why: "On a fast stop (nginx SIGTERM or SIGINT; Apache SIGTERM or SIGHUP) the processes close their sockets with requests still in \
        them. Cloudflare sees the connection end without an answer. New connections in the gap are refused: those are the 521s right \
        after. A graceful reload finishes what is in progress and gives no 520, unless nginx's `worker_shutdown_timeout` ends the old \
        workers before that.",
    evidence: "A stop or restart line around the request: nginx `signal 15 (SIGTERM) received ... exiting` (level notice), Apache \
        AH00169, AH00491, AH00295, AH00173, AH00494 or AH00298, systemd `Stopping` or `Stopped`. With `worker_shutdown_timeout`: an access line \
        with status 000 and 0 bytes of a request that was running at nginx's `signal 1 (SIGHUP) received` or `gracefully shutting \
        down`. Where the level hides them, traces: \
        521s directly afterwards, a hole in the access log of all hosts at once, nginx connection numbers that begin at 1 again, new \
        process ids.",
    not_when: "A graceful reload (`nginx -s reload`, `apachectl graceful`): requests in progress are answered with 200 (measured). A \
        restart minutes away from the request. A reload that only closed idle connections is the keep-alive race.",
    fix: Fix {
        owner: "Ask your host which job restarts the web server at that time of day (updates, log rotation, certificate renewal, \
            backup) and to make it a reload.",
        admin: "Use `nginx -t && systemctl reload nginx` and `apachectl configtest && apachectl graceful` in deploy scripts, \
            certificate hooks and log rotation; where a real stop is needed, `nginx -s quit` or `apachectl graceful-stop` first. Raise \
            `worker_shutdown_timeout` above the longest answer. For \
            PHP-FPM set `process_control_timeout = 30s`: with the default 0 a reload ends running scripts. With several servers, take \
            one out of the balancer before touching it.",
        developer: "On SIGTERM stop accepting, finish what runs, then exit, and give the process time for it; send `Connection: \
            close` on the last answers. In rolling deploys take the old instance out of traffic some seconds before it is stopped.",
        client: "Retrying helps, a restart takes seconds: wait 1, 2, 4, 8, 16 s. Repeat a POST by machine only with an idempotency \
            key.",
    },
    check: "Make stops visible: `error_log /var/log/nginx/error.log notice;`, and for the past `journalctl -u nginx -u apache2 -u \
        'php*-fpm' --since '-1d' | grep -E 'Stopp|Start|Reload'`. A stop in that second is this cause; none is worker-crash or the \
        keep-alive race.",
    often_blamed: "Reloads: measured with requests in flight, nginx reload and Apache graceful restart answer them all with 200. An \
        empty error log proves little, because nginx writes signals at level notice and its default level is error.",
    sources: &[
        "nginx src/os/unix/ngx_process_cycle.c, src/core/ngx_cycle.c (ngx_set_shutdown_timer) @3f6f782 (2026-08)",
        "apache/httpd 2.4.x server/mpm/{prefork,worker,event} @f45abec1 (2024-10)",
        "php/php-src sapi/fpm/fpm/fpm_events.c, fpm_process_ctl.c",
        "php/php-src sapi/fpm/www.conf.in and php-fpm.conf.in",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// What the web server or its supervisor says of a stop.
const STOPS: &[Sig] = &[Sig::NginxStop, Sig::ApacheStop, Sig::ApacheFatal, Sig::LighttpdStop, Sig::UnitStop, Sig::UnitKilled];
/// A graceful shutdown of lighttpd waits so long at most, with some to spare (8 s by default; earlier ones had no limit).
const GRACE_MS: i64 = 20_000;

/// nginx's `worker_shutdown_timeout` ran out: the old workers of a reload or a graceful stop break off what they still have in hand
/// (`ngx_shutdown_timer_handler` closes each connection; a request that has no answer yet ends with status 000 and no byte). Old
/// workers take nothing new, so the request must have been there when the signal came.
fn cut_by_reload(c: &Case<'_>, server: usize) -> Option<Finding> {
    let life = c.life?;
    let access = c.access.filter(|a| a.1.e.stack == Stack::Nginx && a.1.e.status == Some(0))?;
    if access.1.e.sent() != Some(0) || c.own(&[Sig::FileIo, Sig::AllocFailed]).is_some() {
        return None;
    }
    let (_, reload) = c.w.near(server, Sig::NginxReload, life).next()?;
    let text = "status 000 without a byte: the worker that had taken the request was shut down before it could answer";
    let f = Finding::new(DOC.cause, 0.95, access.2).with(c.line(reload)).with_all(c.access_line());
    Some(f.with(sentence(EvidenceKind::Field, text)).with(c.timing()))
}

/// A stop or ungraceful restart cut the request off.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    let server = c.server?;
    if c.hidden_failure() {
        let own = c.own(&[Sig::UpstreamReset, Sig::UpstreamClosed, Sig::ConnectFailed, Sig::ProxyDispatch]);
        if let Some(o) = own {
            let moment = o.1.utc?;
            let reach = if o.1.e.sig.as_ref().is_some_and(|h| h.sig == Sig::ConnectFailed) { 20_000 } else { 1_500 };
            let stop = c
                .near(&[Sig::FpmStop, Sig::FpmReload, Sig::UnitStop], reach, 2_000)
                .into_iter()
                .find(|(_, e)| e.utc.is_some_and(|u| u.lo <= moment.hi + 1_500_000_000) && chain::backend_unit(e));
            if let Some((_, stop)) = stop {
                return Some(Finding::new(DOC.cause, 0.9, Tie::Chain).with(c.line(stop)).with(c.line(o.1)).with_all(c.access_line()));
            }
        }
    }
    if let Some(f) = cut_by_reload(c, server) {
        return Some(f);
    }
    // Apache logs what it had in hand when it was stopped, with no byte sent.
    let cut = |a: &crate::rule::Owned<'_>| {
        matches!(a.1.e.status, Some(200..=399)) && a.1.e.details().bytes_sent.or(a.1.e.size.get()).or(a.1.e.details().body_bytes) == Some(0)
    };
    if !c.no_line() && !c.access.as_ref().is_some_and(cut) {
        return None;
    }
    // The parent says so when its children are gone, up to a few seconds after the signal.
    let stops = c.near(STOPS, 1_500, 3_000);
    let stop = stops.iter().find(|(_, e)| {
        e.e.sig.as_ref().is_some_and(|h| match h.sig {
            Sig::UnitStop => h.name.as_deref().is_some_and(|n| chain::is_front_process(n, c.stack())),
            Sig::UnitKilled => {
                !super::worker_crash::is_fault(h.num.unwrap_or(0))
                    && h.name.as_deref().is_some_and(|n| chain::is_front_process(n, c.stack()))
            }
            // It ends a graceful shutdown, too, which lets requests finish.
            Sig::LighttpdStop => c.near(&[Sig::LighttpdGraceful], GRACE_MS, 0).is_empty(),
            _ => true,
        })
    });
    let refused = chain::refused_after(c);
    if let Some((_, stop)) = stop {
        let contrast = c.p.windows.get(server, stop.e.sig.as_ref()?.sig);
        let f = Finding::new(DOC.cause, 0.96 * contrast.weight() * c.absence_weight(), Tie::Window).with(c.line(stop));
        let f =
            f.with_all(refused.map(|r| r.sentence())).with(sentence(EvidenceKind::Contrast, contrast.sentence("the server was stopped")));
        return Some(f.with(c.timing()));
    }
    // The level hides the stop: what follows it shows. Where stops are logged, none at this moment means none.
    let logged = [Sig::NginxStop, Sig::ApacheStop, Sig::LighttpdStop].iter().any(|s| c.w.by_sig.contains_key(&(server, *s)));
    let refused = refused.filter(|_| !logged)?;
    let starts = c.near(&[Sig::NginxStart, Sig::ApacheStart, Sig::LighttpdStart, Sig::UnitStart], 0, 30_000);
    let (score, start) = match starts.first() {
        Some((_, e)) => (0.88, Some(c.line(e))),
        None => (0.8, None),
    };
    let burst = if refused.together >= 2 { 1.0 } else { 0.85 };
    let f = Finding::new(DOC.cause, score * burst * c.absence_weight(), if start.is_some() { Tie::Window } else { Tie::None });
    Some(
        f.with_all(start)
            .with(refused.sentence())
            .with_all(c.silent().then(|| c.absence()))
            .with(c.timing())
            .lacking("nginx error_log at level notice (lifecycle lines)"),
    )
}
