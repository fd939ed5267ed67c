//! Listeners that expect another protocol, and requests the server gives up on.

use anyhow::Result;
use rand::Rng;

use super::{Scenario, access, backend, background, cut_off, drive};
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Body, Origin, Why};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, certificates, fpm, front, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("proxy-protocol-nginx", "One of two addresses of a zone has a listener with proxy_protocol; the other is healthy.", proxy_protocol,
            { stamp: Stamp::Rfc3339Ms }),
        scenario!("proxy-protocol-nginx-newyork", "The same in New York time with a clock ahead, an application behind nginx.", proxy_protocol_app,
            { tz: "America/New_York", site: Site::UsEast, profile: Profile::Saas, skew_s: 40, stamp: Stamp::Unix, status_on_520: 520 }),
        scenario!("http2-fault-haproxy-nginx", "haproxy offers h2 by ALPN in TCP mode before an HTTP/1 nginx; HTTP/2 to origin is switched on for some seconds.", h2_haproxy,
            { stamp: Stamp::UnixNano, site: Site::UsEast, tz: "America/New_York" }),
        scenario!("http2-fault-hitch-apache", "hitch offers h2 by ALPN before an HTTP/1 Apache; HTTP/2 to origin is switched on for some seconds.", h2_hitch,
            { stamp: Stamp::Rfc3339, skew_s: -15, profile: Profile::Saas }),
        scenario!("request-rejected-body-timeout", "Uploads stall for longer than client_body_timeout: nginx closes and logs 408.", body_timeout,
            { ray: "nginx $http_cf_ray", stamp: Stamp::Rfc3339Ms, profile: Profile::WordPress }),
        scenario!("request-rejected-h2-header", "HTTP/2 to nginx: a request header over the limit ends the whole connection.", h2_header,
            { tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::UnixNano, profile: Profile::Shop }),
        scenario!("request-rejected-header-combined", "Uploads stall; combined log, clock ahead, status 520 as origin status.", body_timeout_combined,
            { stamp: Stamp::Unix, skew_s: 28, status_on_520: 520, tz: "America/New_York", site: Site::UsEast }),
    ]
}

async fn two_listeners(run: &mut Run, app: nginx::App) -> Result<()> {
    let ip = run.ip(11);
    let (host, root) = (run.visitors.host(), run.root.display());
    let http = format!("server {{ listen {ip}:28080 proxy_protocol; server_name {host}; root {root}/var/www/site/public; }}");
    nginx::Nginx { http, app, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(2.0, (6.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.cached, r.tag) = (1, None, "fault");
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.origin == 1)
            .then(|| Label::new("proxy-protocol", format!("CF-Ray: {}||while reading PROXY protocol", row.ray)))
    });
    Ok(())
}

async fn proxy_protocol(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    two_listeners(run, nginx::App::Fpm("www")).await
}

async fn proxy_protocol_app(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9150, "app.log", &[]).await?;
    let to = run.ip(20).to_string() + ":9150";
    two_listeners(run, nginx::App::Proxy(to)).await
}

/// HTTP/2 to origin on for two spells.
pub async fn h2_spells(run: &mut Run) -> Result<()> {
    let h1 = run.edge.origins.lock().unwrap()[0].clone();
    let h2 = Origin { tls: Some(client(TlsOptions { h2: true, ..Default::default() })?), ..h1.clone() };
    background(run);
    for (on, off) in [(16.0, 19.0), (38.0, 41.5)] {
        run.until(on).await;
        run.event("HTTP/2 to origin on");
        run.edge.set_origin(0, h2.clone());
        run.until(off).await;
        run.event("HTTP/2 to origin off");
        run.edge.set_origin(0, h1.clone());
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| (row.why == Why::Http2).then(|| Label::new("http2-fault", "\"PRI * HTTP/2.0\" 400")));
    Ok(())
}

async fn h2_haproxy(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx::default().start(run).await?;
    run.local(10, 28080);
    front::haproxy(run, 11, 10, 28080, "h2,http/1.1").await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    h2_spells(run).await
}

async fn h2_hitch(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    backend(run, 20, 9151, "app.log", &[]).await?;
    let to = run.ip(20).to_string() + ":9151";
    apache::Apache { app: apache::App::Proxy(to), ..Default::default() }.start(run, None).await?;
    run.local(10, 28080);
    front::hitch(run, 11, 10, 28080, "h2, http/1.1").await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    h2_spells(run).await
}

async fn stalled(run: &mut Run, format: nginx::Format) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { format, server: "client_body_timeout 3s; client_max_body_size 20m;".into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.3, (4.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        let declared = rng.random_range(200_000..3_000_000);
        let mut r = v.req(rng, "stalled", "POST", format!("/upload/photo?album={n}"), who);
        r.body = Body::Stalled { declared, sent: rng.random_range(2_000..declared / 2) };
        r
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "stalled").then(|| Label::new("request-rejected", access(row, "408 0"))));
    Ok(())
}

async fn body_timeout(run: &mut Run) -> Result<()> {
    stalled(run, nginx::Format::CfCustom).await
}

async fn body_timeout_combined(run: &mut Run) -> Result<()> {
    stalled(run, nginx::Format::Combined).await
}

async fn h2_header(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "0.8")])?;
    certificates(run).await?;
    fpm::Fpm { children: 20, ..Default::default() }.start(run, None).await?;
    nginx::Nginx { tls: true, listen: "http2", level: "info", ..Default::default() }.start(run).await?;
    run.origin(10, 28443, Some(client(TlsOptions { h2: true, ..Default::default() })?));
    background(run);
    let end = run.set.seconds as f64;
    run.load(5.0, (2.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/quote/shipping?zip={n}"), who)
    });
    run.load(0.9, (5.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        let mut r = v.req(rng, "fault", "GET", format!("/p/{n}-lamp"), who);
        let cookie = (0..300).map(|i| format!("pref_{i}={:0120}", rng.random::<u64>())).collect::<Vec<_>>().join("; ");
        r.headers.push(("cookie".into(), cookie));
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = if row.req.tag == "fault" {
            "client sent too large header||\"-\" 000 0".into()
        } else {
            format!("\"{} {} HTTP/2.0\" 499 0||client sent too large header", row.req.method, row.req.uri)
        };
        (row.why == Why::Http2).then(|| Label::new("request-rejected", text))
    });
    Ok(())
}
