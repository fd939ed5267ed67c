//! Limits and ends that other servers set: haproxy's rates, crashes and header buffers, gunicorn's timeout, Caddy's
//! client certificates.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Origin, Why};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::crash::took;
use crate::scenarios::{Scenario, backend, background, cut_off, drive};
use crate::stacks::{self, certificates, edges, gunicorn, node, wait_port};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held2-throttled-haproxy", "haproxy rejects addresses that ask too often, and they are Cloudflare's; its HTTP log captures the rate; New York.", rate,
            { debian: Debian::Trixie, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms, profile: Profile::Forum, ray: "haproxy capture" }),
        scenario!("held2-timeout-kill-gunicorn-origin", "gunicorn is the origin itself and aborts workers that are busy for longer than --timeout: nothing is answered.", timeout,
            { stamp: Stamp::UnixNano, profile: Profile::Saas, tz: "Europe/Berlin", skew_s: -27, rate: 14.0 }),
        scenario!("held2-worker-crash-haproxy", "The worker of haproxy 3.0 dies of SIGSEGV, its master ends and systemd starts both again; haproxy's log and the journal; Sao Paulo.", haproxy_dies,
            { debian: Debian::Trixie, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Rfc3339, profile: Profile::Saas, ray: "haproxy capture" }),
        scenario!("held2-request-rejected-haproxy-h2", "HTTP/2 to haproxy 3.0: cookies over its buffer end the connection, and its log says PR and <BADREQ>.", h2_headers,
            { debian: Debian::Trixie, stamp: Stamp::Rfc3339Ms, profile: Profile::Magento, tz: "Asia/Kolkata", site: Site::India, ray: "haproxy capture" }),
        scenario!("held2-origin-pull-rejected-caddy", "Caddy requires Cloudflare's client certificate; after a zone change the edge shows none; Caddy's own log at level debug.", pull,
            { stamp: Stamp::Unix, profile: Profile::Magento, ray: "json Cf-Ray" }),
    ]
}

async fn rate(run: &mut Run) -> Result<()> {
    backend(run, 20, 9550, "app.log", &[]).await?;
    let rules = "  stick-table type ip size 10k expire 60s store http_req_rate(10s)\n  http-request track-sc0 src\n  http-request capture sc0_http_req_rate len 6\n  http-request reject if { sc0_http_req_rate gt 31 }";
    edges::Haproxy { host: 10, to_host: 20, to_port: 9550, rules, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    for at in [8.0, 22.0, 37.0] {
        run.load(55.0, (at, at + 3.0), |rng, v| {
            let who = v.person(rng);
            let n = rng.random_range(1..500);
            v.req(rng, "release", "GET", format!("/t/release-notes/{n}"), who)
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    // A rate by what is taken for the visitor's address: both names fit.
    run.label = Box::new(|row, _| cut_off(row).then(|| Label { cause: "throttled", accept: "rule-dropped", evidence: row.ray.clone() }));
    Ok(())
}

async fn timeout(run: &mut Run) -> Result<()> {
    let access_log = run.path("var/log/gunicorn/access.log").display().to_string();
    gunicorn::start(run, 10, 28080, &["--workers", "18", "--timeout", "3", "--access-logfile", &access_log]).await?;
    run.log("var/log/gunicorn/access.log", "gunicorn/access.log", "gunicorn");
    run.addresses.remove(&run.ip(10).to_string());
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.0, (4.0, end - 6.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "fault", "GET", format!("/reports/build/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault" && took(row) > 2.0).then(|| Label::new("timeout-kill", "WORKER TIMEOUT"))
    });
    Ok(())
}

async fn haproxy_dies(run: &mut Run) -> Result<()> {
    backend(run, 20, 9551, "app.log", &["/api/v2/users=slow:900"]).await?;
    let web = edges::Haproxy { host: 10, to_host: 20, to_port: 9551, rules: "", ..Default::default() };
    let at = web.start(run).await?;
    run.procs[at].stop(libc::SIGTERM).await;
    let proc = web.launch_master(run)?;
    run.procs[at] = proc;
    wait_port(run, 10, 28080).await?;
    run.write("var/log/systemd.log", "")?;
    run.notes.push("systemd's lines are the lab's, written when the process had ended and was started again.".into());
    let sources = [Source { file: "run/haproxy.out", name: "haproxy" }, Source { file: "var/log/systemd.log", name: "systemd" }];
    collect::start(run, Frame::ShortIso, &sources, "journal-haproxy.txt")?;
    run.origin(10, 28080, None);
    background(run);
    run.load(9.0, (0.0, run.set.seconds as f64), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/api/v2/users/{n}/export"), who)
    });
    for (n, t) in [9.0, 17.5, 24.0, 32.5, 40.0, 47.0].into_iter().enumerate() {
        run.until(t).await;
        let Some(worker) = stacks::children(run.procs[at].pid).first().copied() else { continue };
        run.event("SIGSEGV to haproxy's worker");
        stacks::kill(worker, libc::SIGSEGV);
        while run.procs[at].ended().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        node::systemd_says(
            run,
            &[
                "haproxy.service: Main process exited, code=exited, status=139/n/a".into(),
                "haproxy.service: Failed with result 'exit-code'.".into(),
            ],
        );
        tokio::time::sleep(Duration::from_millis(150)).await;
        node::systemd_says(run, &[format!("haproxy.service: Scheduled restart job, restart counter is at {}.", n + 1)]);
        let proc = web.launch_master(run)?;
        run.procs[at] = proc;
        wait_port(run, 10, 28080).await?;
        run.event("haproxy started again");
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let late = Duration::from_secs_f64(row.rtt.as_secs_f64() * 2.0 + 0.3);
        let down = run.events_of("SIGSEGV").into_iter().zip(run.events_of("haproxy started again"));
        let during = down.into_iter().any(|(from, to)| row.over_at >= from && row.sent_at <= to + late);
        (cut_off(row) && during).then(|| Label::new("worker-crash", "exited with code 139 (Segmentation fault)"))
    });
    Ok(())
}

async fn h2_headers(run: &mut Run) -> Result<()> {
    certificates(run).await?;
    backend(run, 20, 9552, "app.log", &["/rest/V1/=slow:700"]).await?;
    let bind = format!(" ssl crt {}/server.pem alpn h2,http/1.1", run.path("etc/ssl").display());
    edges::Haproxy { host: 10, to_host: 20, to_port: 9552, rules: "", bind }.start(run).await?;
    run.origin(10, 28443, Some(client(TlsOptions { h2: true, ..Default::default() })?));
    background(run);
    let end = run.set.seconds as f64;
    run.load(0.9, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        let mut r = v.req(rng, "fault", "GET", format!("/vase-{n}.html"), who);
        let cookie = (0..300).map(|i| format!("pref_{i}={:0120}", rng.random::<u64>())).collect::<Vec<_>>().join("; ");
        r.headers.push(("cookie".into(), cookie));
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        // haproxy names neither request nor reason, and to whoever shares the connection it is a fault of HTTP/2.
        let label = Label { cause: "request-rejected", accept: "http2-fault", evidence: "0 0 - - PR--".into() };
        (row.why == Why::Http2).then_some(label)
    });
    Ok(())
}

async fn pull(run: &mut Run) -> Result<()> {
    certificates(run).await?;
    backend(run, 20, 9553, "app.log", &["/rest/V1/=slow:700"]).await?;
    let ssl = run.path("etc/ssl");
    let tls =
        format!("    client_auth {{\n      mode require_and_verify\n      trusted_ca_cert_file {}/pull-ca.crt\n    }}", ssl.display());
    edges::caddy_tls(run, 10, 20, 9553, &tls).await?;
    let shown = TlsOptions { client_cert: Some((&ssl.join("pull.crt"), &ssl.join("pull.key"))), h2: false };
    let origin = run.origin(10, 28443, Some(client(shown)?));
    let now = run.edge.origins.lock().unwrap()[origin].clone();
    background(run);
    let end = run.set.seconds as f64;
    run.load(9.0, (30.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..90);
        v.req(rng, "slow", "GET", format!("/rest/V1/guest-carts/{n}/totals"), who)
    });
    run.until(34.0).await;
    run.event("the edge shows no client certificate any more");
    run.edge.set_origin(origin, Origin { tls: Some(client(TlsOptions::default())?), ..now });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (row.why == Why::TlsAlert || cut_off(row) && !row.reused)
            .then(|| Label::new("origin-pull-rejected", "client didn't provide a certificate"))
    });
    Ok(())
}
