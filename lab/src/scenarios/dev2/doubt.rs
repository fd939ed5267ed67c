//! What logs cannot tell, what is no 520, and two servers at once.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;

use crate::edge::Body;
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::{Scenario, access, backend, background, cut_off};
use crate::stacks::{fpm, lighttpd, nginx, site, wait_port};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("dev2-cannot-tell-onlyerrors", "nginx logs only answers of 500 and more, error_log at crit; an application drops some requests without an answer and a 444 hides it.", only_errors,
            { stamp: Stamp::Rfc3339Ms, profile: Profile::Api, tz: "Europe/Berlin" }),
        scenario!("dev2-control-no-520-lighttpd", "lighttpd and PHP-FPM: crashes, memory limits, uncaught errors and slow pages are all answered; Workers fetch half of the pages.", all_valid,
            { stamp: Stamp::UnixNano, profile: Profile::WordPress, tz: "America/Sao_Paulo", site: Site::Brazil, skew_s: -63 }),
        scenario!("dev2-mixed-restart-uploads", "web1 (lighttpd, clock 41 s behind) is stopped and started; web2 (nginx 1.26, 17 s ahead) gives up on stalled uploads; Workers fetch some pages.", mixed,
            { debian: Debian::Trixie, stamp: Stamp::Rfc3339, profile: Profile::Forum, tz: "America/New_York", site: Site::UsEast }),
    ]
}

async fn only_errors(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9430, "app.log", &["/v1/search=sometimes:2", "/v1/items=sometimes:14"]).await?;
    run.logs.clear();
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9430");
    // The format's line ends with the condition's map; the access log itself is set again in the server.
    let log = run.path("var/log/nginx/errors-only.log").display().to_string();
    nginx::Nginx {
        app,
        level: "crit",
        http: "map $status $failed { ~^5 1; default 0; }".into(),
        server: format!("access_log {log} main if=$failed; location @drop {{ return 444; }}"),
        in_app: "error_page 502 = @drop;".into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.logs.retain(|(_, to, _)| !to.ends_with("access.log"));
    run.log("var/log/nginx/errors-only.log", "nginx/access.log", "nginx");
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    // Nothing says why; whoever guesses right all the same is not wrong.
    run.label = Box::new(|row, _| {
        let meant = ["/v1/search", "/v1/items"].iter().any(|p| row.req.uri.starts_with(p));
        let label = Label { cause: "unknown", accept: "backend-closed malformed-response", evidence: String::new() };
        (cut_off(row) && meant).then_some(label)
    });
    Ok(())
}

async fn all_valid(run: &mut Run) -> Result<()> {
    let routes = [
        ("^/wp-json/menu/", "lib/tree.php"),
        ("^/thumbs/", "lib/thumbs.php"),
        ("^/invoice/", "lib/invoice.php"),
        ("^/quote/", "lib/rates.php"),
    ];
    site::write(run, &routes, &[("SLEEP", "2.5")])?;
    fpm::Fpm { children: 14, extra: "php_admin_value[memory_limit] = 1G\nrequest_terminate_timeout = 2s".into(), ..Default::default() }
        .start(run, None)
        .await?;
    lighttpd::Lighttpd::default().start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    background(run);
    run.load(10.0, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        r.worker = true;
        r
    });
    run.load(2.4, (3.0, end - 4.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..400);
        let uri = match n % 4 {
            0 => format!("/wp-json/menu/v1/tree/{n}"),
            1 => format!("/thumbs/{n}"),
            2 => format!("/invoice/{n}"),
            _ => format!("/quote/{n}"),
        };
        v.req(rng, "fault", "GET", uri, who)
    });
    run.until(end).await;
    run.drain().await;
    Ok(())
}

async fn mixed(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9431, "web1/app.log", &["/reports/build=slow:1300"]).await?;
    let to = run.ip(20).to_string() + ":9431";
    let web1 = lighttpd::Lighttpd { dir: "web1/lighttpd", app: lighttpd::App::Proxy(to), ..Default::default() };
    let at = web1.start(run).await?;
    fpm::Fpm { log_as: "web2/php8.2-fpm.log", ..Default::default() }.start(run, None).await?;
    let server = "client_body_timeout 3s; client_max_body_size 20m;".into();
    nginx::Nginx { dir: "web2/nginx", host: 11, server, ..Default::default() }.start(run).await?;
    run.skews.insert("web1".into(), -41);
    run.skews.insert("web2".into(), 17);
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    let end = run.set.seconds as f64;
    background(run);
    run.load(14.0, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.worker) = (1, rng.random_bool(0.3));
        r
    });
    run.load(9.0, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/reports/build/{n}"), who)
    });
    run.load(0.8, (3.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let declared = rng.random_range(200_000..3_000_000);
        let mut r = v.req(rng, "stalled", "POST", "/uploads.json?type=composer".into(), who);
        r.body = Body::Stalled { declared, sent: rng.random_range(2_000..declared / 2) };
        r.origin = 1;
        r
    });
    for t in [12.4, 26.1, 43.7] {
        run.until(t).await;
        run.event("stop: SIGTERM to lighttpd");
        run.procs[at].stop(libc::SIGTERM).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let proc = web1.launch(run)?;
        run.procs[at] = proc;
        wait_port(run, 10, 28080).await?;
        run.event("lighttpd started again");
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        if row.req.origin == 1 {
            return (cut_off(row) && row.req.tag == "stalled").then(|| Label::new("request-rejected", access(row, "408 0")));
        }
        let late = row.rtt.as_secs_f64() * 2.0 + 0.4;
        (cut_off(row) && run.near_event(row, "stop", 0.02, late)).then(|| Label::new("server-restart", "server stopped by UID"))
    });
    Ok(())
}
