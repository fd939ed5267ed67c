//! lighttpd behind a terminator, beside another server, and with an application that closes.

use std::sync::atomic::Ordering;

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::protocol::h2_spells;
use crate::scenarios::{Scenario, backend, background, cut_off, drive};
use crate::stacks::{apache, certificates, fpm, front, lighttpd, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("dev2-http2-fault-lighttpd", "hitch offers h2 by ALPN before a lighttpd whose HTTP/2 is switched off; Kolkata, clock behind.", h2_lighttpd,
            { tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339, profile: Profile::Forum, skew_s: -58 }),
        scenario!("dev2-edge-incident-colo", "One colo breaks requests to two healthy servers, lighttpd and nginx 1.26, while Workers fetch some pages; CSV job.", colo,
            { debian: Debian::Trixie, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::UnixNano, profile: Profile::Magento, job: Job::Csv }),
        scenario!("dev2-wrong-origin-closes", "One of two addresses in DNS is a stale machine that accepts and closes; lighttpd's logs in the journal's short-iso form.", stale,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms, profile: Profile::Api, skew_s: 40 }),
        scenario!("dev2-backend-closed-apache13", "Apache 2.4 of Debian 13 (worker) before an application that closes now and then; its own format with %X and %k; Berlin.", closed,
            { debian: Debian::Trixie, tz: "Europe/Berlin", stamp: Stamp::Unix, profile: Profile::Magento, skew_s: -17 }),
    ]
}

async fn h2_lighttpd(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    let tail = "server.feature-flags += ( \"server.h2proto\" => \"disable\", \"server.h2c\" => \"disable\" )".into();
    lighttpd::Lighttpd { tail, ..Default::default() }.start(run).await?;
    run.local(10, 28080);
    front::hitch(run, 11, 10, 28080, "h2, http/1.1").await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    h2_spells(run).await?;
    run.label = Box::new(|row, _| {
        // The preface is logged as an empty request line, which does not say what it was.
        let label = Label { cause: "http2-fault", accept: "unknown", evidence: "\"  \" 505".into() };
        (row.why == Why::Http2).then_some(label)
    });
    Ok(())
}

async fn colo(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm { log_as: "web2/php8.2-fpm.log", ..Default::default() }.start(run, None).await?;
    lighttpd::Lighttpd { dir: "web1/lighttpd", ..Default::default() }.start(run).await?;
    nginx::Nginx { dir: "web2/nginx", host: 11, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    let end = run.set.seconds as f64;
    background(run);
    run.load(20.0, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.worker) = (1, rng.random_bool(0.2));
        r
    });
    run.until(20.0).await;
    run.event("colo IAD breaks");
    run.edge.broken_colo.store(4, Ordering::Relaxed);
    run.until(37.0).await;
    run.event("colo IAD is well again");
    run.edge.broken_colo.store(usize::MAX, Ordering::Relaxed);
    run.until(end).await;
    run.drain().await;
    run.notes.push(
        "The broken colo is the emulated edge's doing: these requests never left it, their fields say the origin was contacted.".into(),
    );
    run.label = Box::new(|row, _| (row.why == Why::EdgeFault).then(|| Label::new("edge-incident", "")));
    Ok(())
}

async fn stale(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    lighttpd::Lighttpd::default().start(run).await?;
    let all = [
        Source { file: "var/log/lighttpd/access.log", name: "lighttpd" },
        Source { file: "var/log/lighttpd/error.log", name: "lighttpd" },
        Source { file: "var/log/php/php8.2-fpm.log", name: "php-fpm8.2" },
    ];
    collect::start(run, Frame::ShortIso, &all, "journal.txt")?;
    run.origin(10, 28080, None);
    backend(run, 12, 28080, "stale.log", &["/=close"]).await?;
    run.logs.retain(|(_, to, _)| to != "stale.log");
    run.addresses.remove(&run.ip(12).to_string());
    run.origin(12, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.1, (2.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.cached, r.tag) = (1, None, "stale");
        r.host = v.host().into();
        r
    })
    .await;
    run.label = Box::new(|row, _| (row.req.origin == 1 && cut_off(row)).then(|| Label::new("wrong-origin", "")));
    Ok(())
}

const KEEP: &str = r#"%a [%{%d/%b/%Y:%T}t.%{msec_frac}t] \"%r\" %>s %b %D %X %k \"%{User-Agent}i\""#;

async fn closed(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9450, "app.log", &["/rest/V1/=sometimes:2"]).await?;
    let app = apache::App::Proxy(run.ip(20).to_string() + ":9450");
    apache::Apache { app, threads: "worker", format: apache::Format::Custom(KEEP), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    background(run);
    run.load(1.6, (1.0, run.set.seconds as f64), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "totals", "GET", format!("/rest/V1/guest-carts/{n}/totals"), who)
    });
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.uri.starts_with("/rest/V1/")).then(|| Label::new("backend-closed", "AH01102: error reading status line"))
    });
    Ok(())
}
