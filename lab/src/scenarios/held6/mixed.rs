//! A terminator before a web server that does not speak what it negotiated, alone and with a second cause.

use anyhow::Result;
use rand::Rng;

use super::as_covered;
use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::crash::took;
use crate::scenarios::protocol::h2_spells;
use crate::scenarios::{Scenario, cut_off};
use crate::stacks::{apache, certificates, fpm, front, gunicorn, nginx, site};

pub fn table() -> Vec<Scenario> {
    vec![
        // Drawn with HTTP/1.1 to the origin, under which there is no such fault: HTTP/2 is on for two spells only.
        scenario!("held6-http2-fault-sendproxy", "haproxy 2.6 offers h2 by ALPN in TCP mode before an HTTP/1 nginx 1.22 (PHP-FPM) and hands the addresses on by PROXY protocol; HTTP/2 to origin is on for two spells; JSON without ray, real_ip; journal that ends at half of the time; clock ahead, visitors far away.", send_proxy,
            { client: "visitor", wrap: Wrap::Journal, site: Site::UsEast, audience: Some(Site::Europe), stamp: Stamp::Unix, covered: (0.0, 0.55), status_on_520: 520, skew_s: 2 }),
        // The same; and Apache passes on what gunicorn cuts off, where PHP-FPM's would be a valid 503.
        scenario!("held6-mixed-h2-timeouts", "haproxy 3.0 offers h2 by ALPN before an Apache event of Debian 13 without it, for two spells; and gunicorn behind Apache aborts workers that are busy for longer than --timeout, after which Apache closes reused connections; mod_remoteip, own format with durations; journal, CSV job.", timeouts,
            { debian: Debian::Trixie, client: "visitor", wrap: Wrap::Journal, job: Job::Csv, stamp: Stamp::Rfc3339, status_on_520: 520 }),
    ]
}

const JSON: &str = r#"log_format main escape=json '{"time":"$time_iso8601","client_ip":"$remote_addr","proxy":"$proxy_protocol_addr","host":"$host","request":"$request","status":$status,"body_bytes_sent":$body_bytes_sent,"request_time":$request_time,"upstream_status":"$upstream_status","upstream_time":"$upstream_response_time","user_agent":"$http_user_agent"}';"#;

async fn send_proxy(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { listen: "proxy_protocol", real_ip: true, format: nginx::Format::Custom(JSON), ..Default::default() }.start(run).await?;
    run.local(10, 28080);
    let server = format!("{}:28080 send-proxy", run.ip(10));
    front::haproxy_to(run, 11, &server, "h2,http/1.1").await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    h2_spells(run).await?;
    run.label = Box::new(|row, run| {
        let label = Label::new("http2-fault", "\"request\":\"PRI * HTTP/2.0\"");
        (row.why == Why::Http2).then(|| as_covered(label, row, run))
    });
    Ok(())
}

const DURATIONS: &str = r#"%a - %u %t \"%r\" %>s %B %{ms}T keep=%k \"%{User-Agent}i\""#;

async fn timeouts(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    gunicorn::start(run, 20, 8003, &["--workers", "13", "--timeout", "3"]).await?;
    let app = apache::App::Proxy(run.ip(20).to_string() + ":8003");
    apache::Apache { app, real_ip: true, format: apache::Format::Custom(DURATIONS), ..Default::default() }.start(run, None).await?;
    run.local(10, 28080);
    front::haproxy(run, 11, 10, 28080, "h2,http/1.1").await?;
    run.origin(11, 28443, Some(client(TlsOptions::default())?));
    run.start_clock();
    let end = run.set.seconds as f64;
    run.load(1.1, (4.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "report", "GET", format!("/reports/build/{n}"), who)
    });
    h2_spells(run).await?;
    run.label = Box::new(|row, _| {
        if row.why == Why::Http2 {
            return Some(Label::new("http2-fault", "\"PRI * HTTP/2.0\" 400"));
        }
        // Apache's line says no more than that the backend closed.
        (cut_off(row) && row.req.tag == "report" && took(row) > 2.5).then(|| Label {
            cause: "timeout-kill",
            accept: "backend-closed",
            evidence: "WORKER TIMEOUT||AH01102: error reading status line".into(),
        })
    });
    Ok(())
}
