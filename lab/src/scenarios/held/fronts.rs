//! haproxy, Caddy, Varnish and Node at the front.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rand::Rng;

use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Visitor, Why};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::protocol::h2_spells;
use crate::scenarios::race::{devices, raced};
use crate::scenarios::{Scenario, backend, background, cut_off, drive};
use crate::stacks::{certificates, edges, fpm, front, nginx, node, site, wait_port};
use crate::traffic::{self, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held-server-restart-haproxy", "haproxy 3.0 in HTTP mode before an application is stopped and started again four times.", restart,
            { debian: Debian::Trixie, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, ray: "haproxy capture", tz: "Europe/Berlin" }),
        scenario!("held-client-blocked-haproxy", "haproxy rejects two agents without an answer; its log says so with the termination state.", reject,
            { debian: Debian::Trixie, ipv6: true, stamp: Stamp::Unix, ray: "haproxy capture", tz: "America/New_York", site: Site::UsEast }),
        scenario!("held-rule-dropped-caddy", "Caddy aborts two locations; JSON log with the request's headers.", caddy,
            { stamp: Stamp::Rfc3339, profile: Profile::Saas, ray: "json Cf-Ray", ipv6: true }),
        scenario!("held-keepalive-race-node", "A Node application is the origin itself, with its keep-alive timeout of 5 s; its own combined log.", node_race,
            { stamp: Stamp::UnixNano, tz: "America/New_York", site: Site::UsEast, profile: Profile::Saas }),
        scenario!("held-cannot-tell-varnish", "hitch offers h2 before a Varnish that has HTTP/2 switched off, and neither logs anything of it.", h2_varnish,
            { stamp: Stamp::Rfc3339Ms, tz: "Asia/Kolkata", site: Site::India }),
        scenario!("held-http2-fault-haproxy3", "haproxy 3.0 offers h2 in TCP mode before an HTTP/1 nginx 1.26; virtual host first in the log, IPv6 edges.", h2_haproxy,
            { debian: Debian::Trixie, ipv6: true, stamp: Stamp::UnixNano, skew_s: -44, profile: Profile::WordPress }),
        scenario!("held-control-no-520-varnish", "Varnish before an application that closes, speaks garbage and is slow: every answer is valid.", varnish_valid,
            { stamp: Stamp::Unix, profile: Profile::Saas, skew_s: 12 }),
    ]
}

fn slow(run: &mut Run) {
    let end = run.set.seconds as f64;
    run.load(10.0, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/reports/build/{n}"), who)
    });
}

async fn restart(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9310, "app.log", &["/reports/build=slow:1400"]).await?;
    let web = edges::Haproxy { host: 10, to_host: 20, to_port: 9310, rules: "", ..Default::default() };
    let at = web.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    slow(run);
    for t in [11.2, 23.5, 34.9, 46.1] {
        run.until(t).await;
        run.event("stop: SIGTERM to haproxy");
        run.procs[at].stop(libc::SIGTERM).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let proc = web.launch(run)?;
        run.procs[at] = proc;
        wait_port(run, 10, 28080).await?;
        run.event("haproxy started again");
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let late = Duration::from_secs_f64(row.rtt.as_secs_f64() * 2.0 + 0.3);
        let down = run.events_of("stop").into_iter().zip(run.events_of("haproxy started again"));
        let during = down.into_iter().any(|(from, to)| row.over_at >= from && row.sent_at <= to + late);
        (cut_off(row) && during).then(|| Label::new("server-restart", ""))
    });
    Ok(())
}

async fn reject(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9311, "app.log", &[]).await?;
    let rules = "  acl bad_agent req.hdr(User-Agent) -m sub -i scrapy petalbot\n  http-request reject if bad_agent";
    edges::Haproxy { host: 10, to_host: 20, to_port: 9311, rules, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let mut rng = run.rng.clone();
    let agents =
        &["Scrapy/2.13 (+https://scrapy.org)", "Mozilla/5.0 (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)"];
    let group: Vec<Arc<Visitor>> = (0..7).map(|_| Arc::new(traffic::visitor(&run.edge.colos, agents, None, &mut rng))).collect();
    let end = run.set.seconds as f64;
    drive(run, 2.2, (3.0, end), move |rng, v| {
        let mut r = v.background(rng);
        (r.tag, r.cached, r.cacheable) = ("scraper", None, false);
        r.host = v.host().into();
        r.visitor = group[rng.random_range(0..group.len())].clone();
        r
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "scraper").then(|| Label::new("client-blocked", row.ray.clone())));
    Ok(())
}

async fn caddy(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9312, "app.log", &[]).await?;
    edges::caddy(run, 10, 20, 9312, "  @bad path /vendor/* *.bak\n  abort @bad").await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.9, (3.0, end), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..500);
        let uri = if rng.random_bool(0.6) { format!("/vendor/widgets/{n}.js") } else { format!("/help/page-{n}.bak") };
        v.req(rng, "rule", "GET", uri, who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "rule").then(|| Label::new("rule-dropped", format!("{}||\"uri\":\"{}\"", row.ray, row.req.uri)))
    });
    Ok(())
}

async fn node_race(run: &mut Run) -> Result<()> {
    node::start(run, 10, 28080, "5000").await?;
    run.origin(10, 28080, None);
    background(run);
    // Node 20 waits a second longer than it says.
    devices(run, 6.0, 26);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let idle = row.idle_gap.is_some_and(|gap| gap > Duration::from_secs_f64(4.8));
        (raced(row, 6.0) || cut_off(row) && row.reused && idle).then(|| Label::new("keepalive-race", ""))
    });
    Ok(())
}

async fn h2_varnish(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    backend(run, 20, 9313, "app.log", &[]).await?;
    run.local(10, 28080);
    edges::varnish(run, 10, 28080, 20, 9313).await?;
    front::hitch(run, 11, 10, 28080, "h2, http/1.1").await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    h2_spells(run).await?;
    // Nothing is logged; whoever guesses right all the same is not wrong.
    run.label =
        Box::new(|row, _| (row.why == Why::Http2).then(|| Label { cause: "unknown", accept: "http2-fault", evidence: String::new() }));
    Ok(())
}

async fn h2_haproxy(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { format: nginx::Format::Custom(super::trixie::VHOST_NO_RAY), ..Default::default() }.start(run).await?;
    run.local(10, 28080);
    front::haproxy(run, 11, 10, 28080, "h2,http/1.1").await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    h2_spells(run).await
}

async fn varnish_valid(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let actions = ["/api/v2/search=close", "/api/v2/stream=garbage", "/reports/build=slow:10000"];
    backend(run, 20, 9314, "app.log", &actions).await?;
    edges::varnish(run, 10, 28080, 20, 9314).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.4, (4.0, end - 8.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        let uri = match rng.random_range(0..3) {
            0 => format!("/api/v2/search?q={n}"),
            1 => format!("/api/v2/stream/{n}"),
            _ => format!("/reports/build/{n}"),
        };
        v.req(rng, "fault", "GET", uri, who)
    })
    .await;
    Ok(())
}
