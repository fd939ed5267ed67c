//! Python behind nginx or Caddy, and a TCP front that ends TLS.

use anyhow::Result;
use rand::Rng;

use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::crash::DROP;
use crate::scenarios::hardened::HIDE_PROXY;
use crate::scenarios::protocol::h2_spells;
use crate::scenarios::{Scenario, backend, background, cut_off, drive};
use crate::stacks::{certificates, edges, front, gunicorn, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held3-worker-crash-gunicorn", "A C extension crashes gunicorn's workers (SIGSEGV) behind the nginx of Debian testing, which maps the 502 to 444; upstream's times in the log; Berlin, clock behind.", crash,
            { debian: Debian::Forky, tz: "Europe/Berlin", stamp: Stamp::UnixNano, profile: Profile::Saas, skew_s: -41 }),
        scenario!("held3-http2-fault-stream-nginx", "nginx's stream module ends TLS and offers h2 before an HTTP/1 nginx with a JSON log; everything in syslog; Sao Paulo.", h2,
            { wrap: Wrap::Syslog, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Rfc3339, profile: Profile::Api, skew_s: 4 }),
        scenario!("held3-edge-incident-caddy", "Cloudflare answers 520 without contacting the origin, in a trickle and one burst; Caddy before gunicorn, 5xx only; New York.", incident,
            { job: Job::Only5xx, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas }),
    ]
}

async fn crash(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    gunicorn::start(run, 20, 9650, &["--workers", "8"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9650");
    nginx::Nginx { app, format: nginx::Format::Timed, in_app: HIDE_PROXY.into(), server: DROP.into(), ..Default::default() }
        .start(run)
        .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.3, (4.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..400);
        v.req(rng, "fault", "POST", format!("/media/frame/{n}"), who)
    })
    .await;
    run.label =
        Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("worker-crash", "was terminated due to signal 11")));
    Ok(())
}

async fn h2(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    backend(run, 20, 9651, "app.log", &[]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9651");
    nginx::Nginx { app, format: nginx::Format::JsonPlain, ..Default::default() }.start(run).await?;
    run.local(10, 28080);
    front::nginx_stream(run, 11, 10, 28080, Some("h2 http/1.1")).await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    h2_spells(run).await?;
    run.label = Box::new(|row, _| (row.why == Why::Http2).then(|| Label::new("http2-fault", "\"request\":\"PRI * HTTP/2.0\"")));
    Ok(())
}

async fn incident(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    gunicorn::start(run, 20, 9652, &["--workers", "8"]).await?;
    edges::caddy(run, 10, 20, 9652, "").await?;
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    for (rate, window) in [(0.5, (2.0, end - 2.0)), (13.0, (29.0, 33.0))] {
        run.load(rate, window, |rng, v| {
            let mut r = v.background(rng);
            (r.cached, r.edge_only, r.tag) = (None, Some(520), "incident");
            r
        });
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| (row.why == Why::EdgeOnly).then(|| Label::new("edge-incident", "")));
    Ok(())
}
