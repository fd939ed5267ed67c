//! What the logs at hand do not show.

use anyhow::Result;
use rand::Rng;

use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::{Scenario, backend, background, cut_off, drive};
use crate::stacks::{certificates, fpm, front, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held-edge-incident-short", "Cloudflare answers 520 without contacting the origin for three seconds, twice; nginx 1.26, IPv6 edges.", incident,
            { debian: Debian::Trixie, ipv6: true, stamp: Stamp::UnixNano, profile: Profile::Saas, tz: "Asia/Tokyo", site: Site::India }),
        scenario!("held-wrong-origin-garbage6", "One of two IPv6 addresses of a zone belongs to a service that does not speak HTTP.", stale,
            { debian: Debian::Trixie, ipv6: true, stamp: Stamp::Rfc3339, skew_s: -28, profile: Profile::WordPress }),
        scenario!("held-cannot-tell-tcplog", "Only the log of a TLS terminator in TCP mode: it says that connections ended, and not why.", tcplog,
            { debian: Debian::Trixie, stamp: Stamp::Rfc3339Ms, tz: "America/New_York", site: Site::UsEast }),
    ]
}

async fn incident(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx::default().start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    for window in [(19.0, 22.0), (41.0, 44.0)] {
        run.load(9.0, window, |rng, v| {
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

async fn stale(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx::default().start(run).await?;
    run.origin(10, 28080, None);
    backend(run, 12, 28080, "stale.log", &["/=garbage"]).await?;
    run.logs.retain(|(_, to, _)| to != "stale.log");
    run.addresses.remove(&run.ip(12).to_string());
    run.origin(12, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.3, (3.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.cached, r.tag) = (1, None, "stale");
        r.host = v.host().into();
        r
    })
    .await;
    run.label =
        Box::new(|row, _| (row.req.origin == 1 && (cut_off(row) || row.why == Why::NotHttp)).then(|| Label::new("wrong-origin", "")));
    Ok(())
}

async fn tcplog(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { server: "if ($args ~ \"q=(lamp|desk)\") { return 444; }".into(), ..Default::default() }.start(run).await?;
    run.logs.clear();
    run.local(10, 28080);
    front::haproxy(run, 11, 10, 28080, "http/1.1").await?;
    run.origin(11, 28443, Some(crate::edge::tls::client(crate::edge::tls::TlsOptions::default())?));
    let end = run.set.seconds as f64;
    drive(run, 4.0, (3.0, end), |rng, v| {
        let who = v.person(rng);
        let w = ["lamp", "desk", "rug", "sofa", "vase", "clock"][rng.random_range(0..6)];
        v.req(rng, "find", "GET", format!("/find?q={w}"), who)
    })
    .await;
    run.label = Box::new(|row, _| cut_off(row).then(|| Label::new("unknown", "")));
    Ok(())
}
