//! A Node service that is the origin itself, or stands behind nginx.

use std::sync::Arc;

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::Visitor;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::crash::{DROP, cgroup};
use crate::scenarios::hardened::HIDE_PROXY;
use crate::scenarios::{Scenario, access, background, cut_off, drive};
use crate::stacks::{nginx, node, site};
use crate::traffic::{self, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held2-oom-kill-node-systemd", "A Node service that is the origin itself outgrows its memory cgroup and is killed; only the journal, with systemd's word for it; no kernel log. Sao Paulo.", oom,
            { tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Rfc3339Ms, profile: Profile::Api }),
        scenario!("held2-app-fatal-node-exit", "An exception that nobody catches ends a Node service; whatever it was answering goes with it. JSON log, New York.", uncaught,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::UnixNano, profile: Profile::Api, status_on_520: 520 }),
        scenario!("held2-client-blocked-pino", "A Node service destroys the sockets of three agents; its JSON log says so; epoch milliseconds.", pino,
            { stamp: Stamp::Unix, profile: Profile::Api, tz: "Europe/Berlin" }),
        scenario!("held2-pool-exhausted-longpoll", "Long polls through nginx 1.26 use up its worker_connections in bursts; journalctl's short-iso lines; Kolkata, clock ahead.", long_poll,
            { debian: Debian::Trixie, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, profile: Profile::Api, skew_s: 45 }),
        scenario!("held2-backend-closed-node444", "A Node service destroys the socket of some searches; nginx 1.26 maps its 502 to 444; New York, clock behind, fourteen fields.", closes,
            { debian: Debian::Trixie, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339, profile: Profile::Saas, skew_s: -52, job: Job::Fourteen }),
        scenario!("held2-cannot-tell-silent", "A Node service destroys sockets now and then and logs nothing but its business.", silent,
            { stamp: Stamp::UnixNano, profile: Profile::Api, tz: "America/Sao_Paulo", site: Site::Brazil }),
    ]
}

/// The journal of the service: its own lines, what it dies with, and systemd's.
fn journal(run: &mut Run, into: &str) -> Result<()> {
    run.write("var/log/systemd.log", "")?;
    run.notes.push("systemd's lines are the lab's, written when the process had ended and was started again.".into());
    let sources = [
        Source { file: "var/log/node/api.log", name: "node" },
        Source { file: "run/api.out", name: "node" },
        Source { file: "var/log/systemd.log", name: "systemd" },
    ];
    collect::start(run, Frame::ShortIso, &sources, into)
}

fn slow(run: &mut Run, rate: f64) {
    let end = run.set.seconds as f64;
    run.load(rate, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/v1/slow/{n}"), who)
    });
}

/// The request was with the process when it died, or on its way to it.
fn died(row: &crate::edge::Row, run: &Run) -> bool {
    cut_off(row) && run.near_event(row, "the service died", 0.15, row.rtt.as_secs_f64() * 2.0 + 0.2)
}

async fn oom(run: &mut Run) -> Result<()> {
    let api = node::Api { host: 10, port: 28080, modes: &["hog"], cgroup: Some(cgroup(run, 330)?) };
    let at = api.start(run).await?;
    journal(run, "journal.txt")?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    background(run);
    slow(run, 3.0);
    run.load(0.2, (5.0, end - 4.0), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..90);
        v.req(rng, "fault", "GET", format!("/v1/export/{n}.csv"), who)
    });
    node::supervise(run, at, &api, end, "oom-kill").await?;
    run.drain().await;
    run.label =
        Box::new(|row, run| died(row, run).then(|| Label::new("oom-kill", "killed by the OOM killer||Failed with result 'oom-kill'")));
    Ok(())
}

async fn uncaught(run: &mut Run) -> Result<()> {
    let api = node::Api { host: 10, port: 28080, modes: &["fatal"], cgroup: None };
    let at = api.start(run).await?;
    journal(run, "journal.txt")?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    background(run);
    slow(run, 4.0);
    run.load(0.3, (5.0, end - 4.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/v1/quote/{n}"), who)
    });
    node::supervise(run, at, &api, end, "exit-code").await?;
    run.drain().await;
    run.label = Box::new(|row, run| {
        // To whoever was with the process by chance it is also an end of the server.
        let accept = if row.req.tag == "fault" { "" } else { "server-restart" };
        died(row, run).then(|| Label { cause: "app-fatal", accept, evidence: "TypeError: Cannot read properties of undefined".into() })
    });
    Ok(())
}

async fn pino(run: &mut Run) -> Result<()> {
    node::Api { host: 10, port: 28080, modes: &["block"], cgroup: None }.start(run).await?;
    run.origin(10, 28080, None);
    let mut rng = run.rng.clone();
    let agents = &["Scrapy/2.13.3 (+https://scrapy.org)", "python-requests/2.32.5", "Go-http-client/2.0"];
    let group: Vec<Arc<Visitor>> = (0..8).map(|_| Arc::new(traffic::visitor(&run.edge.colos, agents, None, &mut rng))).collect();
    let end = run.set.seconds as f64;
    drive(run, 2.0, (2.0, end), move |rng, v| {
        let mut r = v.background(rng);
        (r.tag, r.cached, r.cacheable) = ("scraper", None, false);
        r.host = v.host().into();
        r.visitor = group[rng.random_range(0..group.len())].clone();
        r
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "scraper").then(|| Label::new("client-blocked", "blocked agent, socket destroyed"))
    });
    Ok(())
}

async fn long_poll(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    run.local(20, 9510);
    node::Api { host: 20, port: 9510, modes: &["poll"], cgroup: None }.start(run).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9510");
    nginx::Nginx { app, level: "warn", workers: 1, connections: 160, ..Default::default() }.start(run).await?;
    let all = [Source { file: "var/log/nginx/access.log", name: "nginx" }, Source { file: "var/log/nginx/error.log", name: "nginx" }];
    collect::start(run, Frame::ShortIso, &all, "journal-nginx.txt")?;
    run.origin(10, 28080, None);
    background(run);
    let bursts = [11.0, 27.0, 43.0];
    for at in bursts {
        run.load(46.0, (at, at + 3.5), |rng, v| {
            let who = v.app(rng);
            let n = rng.random_range(1..900);
            v.req(rng, "poll", "GET", format!("/v1/poll?cursor={n}"), who)
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(move |row, run| {
        let at = row.sent_at.duration_since(run.began_at).unwrap_or_default().as_secs_f64() / run.set.pace;
        let during = bursts.iter().any(|b| at > *b && at < b + 3.5 + 6.0 / run.set.pace);
        (cut_off(row) && during).then(|| Label::new("pool-exhausted", "worker_connections are not enough"))
    });
    Ok(())
}

async fn closes(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    run.local(20, 9511);
    node::start(run, 20, 9511, "").await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9511");
    nginx::Nginx { app, in_app: HIDE_PROXY.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.7, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/api/v2/search?q={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let text = format!("dropping the connection||upstream prematurely closed connection||{}", access(row, "444 0"));
        // The application sent nothing at all: both names fit what nginx's 444 hides.
        let label = Label { cause: "backend-closed", accept: "malformed-response", evidence: text };
        (cut_off(row) && row.req.tag == "fault").then_some(label)
    });
    Ok(())
}

async fn silent(run: &mut Run) -> Result<()> {
    node::Api { host: 10, port: 28080, modes: &["silent"], cgroup: None }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    run.load(1.0, (0.0, run.set.seconds as f64), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "order", "POST", format!("/v1/orders/{n}"), who)
    });
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let meant = ["/v1/items", "/v1/search"].iter().any(|p| row.req.uri.starts_with(p));
        (cut_off(row) && meant).then(|| Label::new("unknown", ""))
    });
    Ok(())
}
