//! Failures that are not the logged server's: another server, Cloudflare itself, an application
//! that says 520, and 520s that the logs at hand cannot explain.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Result;
use rand::Rng;

use super::crash::took;
use super::{Scenario, access, backend, background, cut_off, drive};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::{Visitor, Why};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::{self, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("wrong-origin-garbage", "DNS holds a second, stale address whose service is not HTTP; its logs are not here.", wrong_garbage,
            { ray: "json cf_ray", stamp: Stamp::Rfc3339 }),
        scenario!("wrong-origin-closes", "DNS holds a stale address where something accepts and closes; the right Apache's logs only, no ray.", wrong_closes,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::UnixNano, profile: Profile::Saas, skew_s: -40 }),
        scenario!("edge-incident-empty", "Cloudflare answers 520 without contacting the origin (EdgeServerIP and OriginIP empty) in two bursts.", incident_empty,
            { ray: "nginx $http_cf_ray", stamp: Stamp::Rfc3339Ms }),
        scenario!("edge-incident-colo", "One colo breaks requests to two healthy, different servers.", incident_colo,
            { tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Unix, status_on_520: 520 }),
        scenario!("origin-520-fpm", "The application answers 520 itself (it relays another zone's status).", says_520,
            { stamp: Stamp::UnixNano, profile: Profile::WordPress, skew_s: 10 }),
        scenario!("origin-520-proxy-json", "An application behind nginx answers 520 itself; JSON log without ray.", says_520_proxy,
            { stamp: Stamp::Rfc3339, profile: Profile::Saas, tz: "America/New_York", site: Site::UsEast }),
        scenario!("cannot-tell-edge-only", "mod_php crashes and dropped scrapers, but only Logpush is there.", edge_only,
            { stamp: Stamp::Rfc3339Ms }),
        scenario!("cannot-tell-wrong-half", "The origin's logs end before the fault (Apache children crash) begins.", wrong_half,
            { tz: "Asia/Kolkata", site: Site::India, covered: (0.0, 0.42), stamp: Stamp::UnixNano }),
        scenario!("cannot-tell-other-server", "The logs are of another healthy server of the zone; 520s come from the one without logs, which answers most.", other_server,
            { stamp: Stamp::Unix, profile: Profile::WordPress, job: Job::All }),
    ]
}

async fn stale_address(run: &mut Run) {
    background(run);
    let end = run.set.seconds as f64;
    run.load(2.3, (3.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.cached, r.tag) = (1, None, "stale");
        r.host = v.host().into();
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label =
        Box::new(|row, _| (row.req.origin == 1 && (cut_off(row) || row.why == Why::NotHttp)).then(|| Label::new("wrong-origin", "")));
}

/// A service on the stale address; its own log stays out of the recording.
async fn stale_service(run: &mut Run, action: &str) -> Result<()> {
    let rule = format!("/={action}");
    backend(run, 12, 28080, "stale.log", &[&rule]).await?;
    run.logs.retain(|(_, to, _)| to != "stale.log");
    run.addresses.remove(&run.ip(12).to_string());
    run.origin(12, 28080, None);
    Ok(())
}

async fn wrong_garbage(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { format: nginx::Format::JsonRay, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    stale_service(run, "garbage").await?;
    stale_address(run).await;
    Ok(())
}

async fn wrong_closes(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    apache::Apache::default().start(run, None).await?;
    run.origin(10, 28080, None);
    stale_service(run, "close").await?;
    stale_address(run).await;
    Ok(())
}

async fn incident_empty(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { format: nginx::Format::CfCustom, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    for window in [(14.0, 19.0), (37.0, 41.0)] {
        run.load(11.0, window, |rng, v| {
            let mut r = v.background(rng);
            (r.cached, r.edge_only, r.tag) = (None, Some(520), "incident");
            r
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| (row.why == Why::EdgeOnly).then(|| Label::new("edge-incident", "")));
    Ok(())
}

async fn incident_colo(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    nginx_and_apache(run, String::new()).await?;
    background(run);
    let end = run.set.seconds as f64;
    run.load(run.set.rate * 0.7, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        r.origin = 1;
        r
    });
    let colo = 8; // SIN
    run.until(18.0).await;
    run.event("colo SIN breaks");
    run.edge.broken_colo.store(colo, Ordering::Relaxed);
    run.until(36.0).await;
    run.event("colo SIN is well again");
    run.edge.broken_colo.store(usize::MAX, Ordering::Relaxed);
    run.until(end).await;
    run.drain().await;
    run.notes.push(
        "The broken colo is the emulated edge's doing: these requests never left it, their fields say the origin was contacted.".into(),
    );
    run.label = Box::new(|row, _| (row.why == Why::EdgeFault).then(|| Label::new("edge-incident", "")));
    Ok(())
}

/// web1: nginx and PHP-FPM, web2: Apache with mod_php; origins 0 and 1.
pub async fn nginx_and_apache(run: &mut Run, server: String) -> Result<()> {
    fpm::Fpm { log_as: "web1/php8.2-fpm.log", ..Default::default() }.start(run, None).await?;
    nginx::Nginx { dir: "web1/nginx", server, ..Default::default() }.start(run).await?;
    apache::Apache { dir: "web2/apache2", host: 11, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    Ok(())
}

async fn relays(run: &mut Run, uri: &'static str) {
    let end = run.set.seconds as f64;
    drive(run, 1.5, (4.0, end), move |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("{uri}{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (row.why == Why::Answer && row.req.tag == "fault").then(|| {
            Label::new("origin-520", format!("{}||\"{} {}\" 520||\"status\":\"520\"", access(row, "520 "), row.req.method, row.req.uri))
        })
    });
}

async fn says_520(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/partner/", "lib/upstream.php")], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx::default().start(run).await?;
    run.origin(10, 28080, None);
    relays(run, "/partner/offers/").await;
    Ok(())
}

async fn says_520_proxy(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9160, "app.log", &["/api/v2/partner=status:520"]).await?;
    let to = run.ip(20).to_string() + ":9160";
    nginx::Nginx { format: nginx::Format::JsonPlain, app: nginx::App::Proxy(to), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    relays(run, "/api/v2/partner/").await;
    Ok(())
}

async fn edge_only(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/export/tree", "lib/tree.php")], &[])?;
    let global = "php_admin_value memory_limit 1G\nSecRuleEngine On\nSecRule REQUEST_HEADERS:User-Agent \"@contains scrapy\" \"id:100040,phase:1,drop,log\"\n";
    apache::Apache { modules: &["unique_id", "security2"], global: global.into(), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    run.logs.clear();
    let scraper: Arc<Visitor> = Arc::new(traffic::visitor(&run.edge.colos, &["scrapy/2.13"], None, &mut run.rng));
    background(run);
    let end = run.set.seconds as f64;
    run.load(1.8, (5.0, end - 3.0), move |rng, v| {
        let who = if rng.random_bool(0.25) { scraper.clone() } else { v.person(rng) };
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/export/tree?n={n}"), who)
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("unknown", "")));
    Ok(())
}

async fn wrong_half(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/export/tree", "lib/tree.php")], &[])?;
    apache::Apache { global: "php_admin_value memory_limit 1G".into(), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.2, (end * 0.5, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/export/tree?n={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("unknown", "")));
    Ok(())
}

async fn other_server(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/export/tree", "lib/tree.php")], &[])?;
    fpm::Fpm { log_as: "web1/php8.2-fpm.log", ..Default::default() }.start(run, None).await?;
    nginx::Nginx { dir: "web1/nginx", ..Default::default() }.start(run).await?;
    apache::Apache { dir: "web2/apache2", host: 11, global: "php_admin_value memory_limit 1G".into(), ..Default::default() }
        .start(run, None)
        .await?;
    run.logs.retain(|(_, to, _)| !to.starts_with("web2"));
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(14.0, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        r.origin = 1;
        if rng.random_bool(0.09) {
            let who = v.person(rng);
            let n = rng.random_range(1..700);
            r = v.req(rng, "fault", "GET", format!("/export/tree?n={n}"), who);
            r.origin = 1;
        }
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "fault" && took(row) < 5.0).then(|| Label::new("unknown", "")));
    Ok(())
}
