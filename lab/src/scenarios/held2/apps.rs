//! Python behind nginx or alone, and a shared host with mod_php.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::crash::DROP;
use crate::scenarios::hardened::HIDE_PROXY;
use crate::scenarios::{Scenario, background, cut_off};
use crate::stacks::{apache, gunicorn, nginx, site, wait_port};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held2-plugin-fault-middleware", "A third-party WSGI middleware raises on some paths behind gunicorn; nginx 1.26 maps the 500 to 444; Docker's JSON; New York.", middleware,
            { debian: Debian::Trixie, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas }),
        scenario!("held2-server-restart-gunicorn", "gunicorn is the origin itself and is stopped and started three times with a graceful timeout of 1 s that is too short; its two logs, Kolkata, clock behind.", restart,
            { tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339, profile: Profile::Api, skew_s: -75, rate: 16.0 }),
        scenario!("held2-mixed-shared-hosting", "A shared host: one virtual host's pages overflow the stack of mod_php, ModSecurity 2 drops an argument on both; a log for each domain; Berlin, sampled.", shared,
            { tz: "Europe/Berlin", stamp: Stamp::UnixNano, profile: Profile::WordPress, job: Job::Sampled(75), skew_s: 17 }),
    ]
}

const MIDDLEWARE: &str = r#"class GeoPricingMiddleware:
    """Sets the currency by country."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"].startswith("/projects/"):
            environ["geo.currency"] = self.currency(environ.get("HTTP_CF_IPCOUNTRY", ""))
        return self.app(environ, start_response)

    def currency(self, country):
        zone = {"DE": "EUR", "FR": "EUR", "NL": "EUR", "US": "USD", "CA": "CAD"}
        return zone[country]
"#;

async fn middleware(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let package = "srv/app/venv/lib/python3.11/site-packages/geo_pricing";
    run.write(&format!("{package}/__init__.py"), "")?;
    run.write(&format!("{package}/middleware.py"), MIDDLEWARE)?;
    run.write("srv/app/site_mw.py", include_str!("../../../apps/site_mw.py"))?;
    let addr = run.local(20, 9530);
    let at = gunicorn::start(run, 20, 9530, &["--workers", "1"]).await?;
    run.procs[at].stop(libc::SIGTERM).await;
    let proc = gunicorn::launch(run, addr, "site_mw:app", &["--workers", "8"])?;
    run.procs[at] = proc;
    wait_port(run, 20, 9530).await?;
    let app = nginx::App::Proxy(addr.to_string());
    nginx::Nginx { app, in_app: HIDE_PROXY.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    let web = [Source { file: "var/log/nginx/access.log", name: "stdout" }, Source { file: "var/log/nginx/error.log", name: "stderr" }];
    collect::start(run, Frame::Docker, &web, "docker/proxy-json.log")?;
    collect::start(run, Frame::Docker, &[Source { file: "var/log/gunicorn/error.log", name: "stderr" }], "docker/app-json.log")?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.uri.starts_with("/projects/"))
            .then(|| Label::new("plugin-fault", "site-packages/geo_pricing/middleware.py"))
    });
    Ok(())
}

async fn restart(run: &mut Run) -> Result<()> {
    let access_log = run.path("var/log/gunicorn/access.log").display().to_string();
    let extra = ["--workers", "22", "--graceful-timeout", "1", "--access-logfile", &access_log];
    let at = gunicorn::start(run, 10, 28080, &extra).await?;
    run.log("var/log/gunicorn/access.log", "gunicorn/access.log", "gunicorn");
    let addr = std::net::SocketAddr::from((run.ip(10), 28080));
    run.addresses.remove(&run.ip(10).to_string());
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    background(run);
    run.load(6.5, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/reports/make/{n}"), who)
    });
    for t in [11.0, 27.5, 42.0] {
        run.until(t).await;
        run.event("stop: SIGTERM to gunicorn");
        run.procs[at].stop(libc::SIGTERM).await;
        run.event("gunicorn ended");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let proc = gunicorn::launch(run, addr, "site_app:app", &extra)?;
        run.procs[at] = proc;
        wait_port(run, 10, 28080).await?;
        run.event("gunicorn started again");
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let late = Duration::from_secs_f64(row.rtt.as_secs_f64() * 2.0 + 0.3);
        let down = run.events_of("stop").into_iter().zip(run.events_of("gunicorn started again"));
        let during = down.into_iter().any(|(from, to)| row.over_at >= from && row.sent_at <= to + late);
        (cut_off(row) && during).then(|| Label::new("server-restart", "Handling signal: term"))
    });
    Ok(())
}

async fn shared(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/feed/tree", "lib/tree.php")], &[])?;
    let root = run.root.display().to_string();
    let global = "php_admin_value memory_limit 1G\nSecRuleEngine On\nSecRule ARGS:s \"@rx ^(office|kitchen)$\" \"id:220010,phase:2,drop,log,msg:'Search flood'\"\n";
    std::fs::create_dir_all(run.path("var/log/domlogs"))?;
    let (host, zone) = (run.visitors.host(), run.visitors.zone());
    let vhost = format!("CustomLog {root}/var/log/domlogs/{host} main");
    // A second customer's site on the same machine.
    let port_of = format!("{}:28080", run.ip(10));
    let tail = format!(
        "<VirtualHost {port_of}>\nServerName shop.{zone}\nDocumentRoot {root}/var/www/site/public\nCustomLog {root}/var/log/domlogs/shop.{zone} main\nRewriteEngine On\nRewriteCond %{{REQUEST_URI}} !^/(assets|img)/\nRewriteRule ^ /index.php [L]\n</VirtualHost>\n"
    );
    apache::Apache {
        modules: &["unique_id", "security2"],
        global: global.into(),
        vhost,
        tail,
        format: apache::Format::Combined,
        ..Default::default()
    }
    .start(run, None)
    .await?;
    run.logs.retain(|(_, to, _)| !to.ends_with("access.log"));
    run.log(&format!("var/log/domlogs/{host}"), &format!("domlogs/{host}"), "httpd");
    run.log(&format!("var/log/domlogs/shop.{zone}"), &format!("domlogs/shop.{zone}"), "httpd");
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    run.set.rate = 22.0;
    drive_both(run, end).await;
    run.label = Box::new(|row, _| {
        if !cut_off(row) {
            return None;
        }
        match row.req.tag {
            "crash" => Some(Label::new("worker-crash", "exit signal Segmentation fault")),
            _ if ["s=office", "s=kitchen"].iter().any(|a| row.req.uri.ends_with(a)) => {
                Some(Label::new("rule-dropped", "Access denied with connection close"))
            }
            _ => None,
        }
    });
    Ok(())
}

async fn drive_both(run: &mut Run, end: f64) {
    background(run);
    run.load(9.0, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        r.host = format!("shop.{}", v.zone());
        r
    });
    run.load(1.2, (2.0, end), |rng, v| {
        let who = v.person(rng);
        let w = ["office", "kitchen", "garden", "lamp"][rng.random_range(0..4)];
        let mut r = v.req(rng, "search", "GET", format!("/?s={w}"), who);
        if rng.random_bool(0.5) {
            r.host = format!("shop.{}", v.zone());
        }
        r
    });
    run.load(1.4, (4.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..400);
        let mut r = v.req(rng, "crash", "GET", format!("/feed/tree?n={n}"), who);
        r.host = format!("shop.{}", v.zone());
        r
    });
    run.until(end).await;
    run.drain().await;
}
