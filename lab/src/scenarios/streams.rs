//! nginx's stream module in front: HTTP/2 offered for a server that does not speak it, and a
//! missing PROXY protocol header.

use anyhow::Result;

use super::protocol::h2_spells;
use super::{Scenario, background, cut_off};
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::edge::tls::{TlsOptions, client};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, certificates, fpm, front, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("http2-fault-stream-apache", "nginx's stream module ends TLS and offers h2 before an HTTP/1 Apache.", h2_stream,
            { stamp: Stamp::Rfc3339Ms, skew_s: -15, tz: "America/New_York", site: Site::UsEast }),
        scenario!("proxy-protocol-stream", "A TCP front without PROXY protocol before a listener that expects it; another address is healthy.", missing_header,
            { stamp: Stamp::Unix, tz: "Asia/Kolkata", site: Site::India, profile: Profile::WordPress }),
    ]
}

async fn h2_stream(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    apache::Apache { app: apache::App::Fpm("www"), ..Default::default() }.start(run, None).await?;
    run.local(10, 28080);
    front::nginx_stream(run, 11, 10, 28080, Some("h2 http/1.1")).await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    h2_spells(run).await
}

async fn missing_header(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let (ip, host, root) = (run.ip(10), run.visitors.host(), run.root.display());
    let http = format!("server {{ listen {ip}:28081 proxy_protocol; server_name {host}; root {root}/var/www/site/public; }}");
    nginx::Nginx { http, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    front::nginx_stream(run, 11, 10, 28081, None).await?;
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
