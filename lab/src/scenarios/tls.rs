//! Authenticated Origin Pulls: the client certificate is missing or from the wrong authority.

use anyhow::Result;

use super::crash::DROP;
use super::{Scenario, access, background, cut_off};
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Origin, Why};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, certificates, fpm, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("origin-pull-rejected-apache-info", "Apache requires Cloudflare's client certificate; after a zone change the edge shows one of another authority. TLS 1.3, LogLevel ssl:info.", apache_other,
            { stamp: Stamp::Rfc3339Ms }),
        scenario!("origin-pull-rejected-apache-warn", "Apache requires a client certificate, the edge shows none after a zone change. TLS 1.3, LogLevel warn.", apache_none,
            { tz: "America/New_York", site: Site::UsEast, skew_s: 15, stamp: Stamp::UnixNano, profile: Profile::WordPress }),
        scenario!("origin-pull-rejected-nginx-444", "nginx verifies the client certificate and maps 495 and 496 to `return 444`; error_log at info.", nginx_444,
            { stamp: Stamp::Unix, ray: "nginx $http_cf_ray", profile: Profile::Saas }),
    ]
}

/// From `at` on the edge shows `after` instead of the right certificate; existing connections live on.
pub async fn switch(run: &mut Run, port: u16, at: f64, with_other: bool) -> Result<()> {
    let ssl = run.path("etc/ssl");
    let path = |n: &str| ssl.join(n);
    let (crt, key) = (path("pull.crt"), path("pull.key"));
    let right = client(TlsOptions { client_cert: Some((&crt, &key)), h2: false })?;
    let (crt, key) = (path("other.crt"), path("other.key"));
    let wrong = client(TlsOptions { client_cert: with_other.then_some((crt.as_path(), key.as_path())), h2: false })?;
    let origin = run.origin(10, port, Some(right));
    let now = run.edge.origins.lock().unwrap()[origin].clone();
    let changed = Origin { tls: Some(wrong), ..now };
    background(run);
    run.until(at).await;
    run.event("client certificate changed in the zone");
    run.edge.set_origin(origin, changed);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    Ok(())
}

fn apache(run: &Run, level: &'static str) -> apache::Apache {
    let ca = run.path("etc/ssl/pull-ca.crt");
    apache::Apache {
        tls: true,
        level,
        format: apache::Format::DebianCombined,
        // Connections end in an orderly way now and then, so that new ones are needed.
        global: "MaxKeepAliveRequests 40".into(),
        vhost: format!("SSLVerifyClient require\nSSLVerifyDepth 1\nSSLCACertificateFile {}\n", ca.display()),
        ..Default::default()
    }
}

fn label(run: &mut Run, evidence: &'static str) {
    run.label = Box::new(move |row, _| {
        (row.why == Why::TlsAlert || cut_off(row) && !row.reused).then(|| Label::new("origin-pull-rejected", evidence))
    });
}

async fn apache_other(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    apache(run, "warn ssl:info").start(run, None).await?;
    switch(run, 28443, 34.0, true).await?;
    label(run, "AH02276||AH02039||AH02008");
    Ok(())
}

async fn apache_none(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    apache(run, "warn").start(run, None).await?;
    switch(run, 28443, 36.0, false).await?;
    label(run, "");
    Ok(())
}

async fn nginx_444(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    let ca = run.path("etc/ssl/pull-ca.crt");
    let server =
        format!("ssl_verify_client on; ssl_client_certificate {}; error_page 495 496 = @drop; {DROP} keepalive_requests 40;", ca.display());
    nginx::Nginx { tls: true, level: "info", format: nginx::Format::CfCustom, server, ..Default::default() }.start(run).await?;
    switch(run, 28443, 36.0, true).await?;
    run.label = Box::new(|row, _| {
        cut_off(row).then(|| Label::new("origin-pull-rejected", format!("client SSL certificate verify error||{}", access(row, "444"))))
    });
    Ok(())
}
