//! Apache under other process models, with CGI, and with certificates on part of its hosts.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;
use rand::rngs::StdRng;

use super::{Scenario, access, backend, background, cut_off, drive};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Origin, Req, Why};
use crate::run::{Label, Run, Wrap};
use crate::scenario;
use crate::stacks::{self, apache, certificates, fpm, site, wait_port};
use crate::traffic::{Profile, Visitors};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("worker-crash-mpmworker", "Children of Apache's worker MPM with proxy_fcgi die of SIGSEGV with many threads' requests in flight; Kolkata, clock behind.", mpm_worker,
            { tz: "Asia/Kolkata", site: Site::India, skew_s: -90, stamp: Stamp::Rfc3339Ms }),
        scenario!("backend-closed-worker-journal", "Apache's worker MPM: the application closes without an answer on one path, and the client connection is a reused one; journal, fourteen fields.", closed_worker,
            { wrap: Wrap::Journal, tz: "America/New_York", site: Site::UsEast, job: Job::Fourteen, stamp: Stamp::Unix, profile: Profile::Saas }),
        scenario!("malformed-response-nphsilent", "An nph- script under mod_cgid ends without printing anything; it says why on standard error.", nph_silent,
            { ray: "apache %{CF-Ray}i", stamp: Stamp::Unix, skew_s: 26 }),
        scenario!("origin-pull-rejected-vhost", "One of two virtual hosts requires a client certificate, and the edge stops showing one; the other goes on.", one_vhost,
            { stamp: Stamp::Rfc3339, tz: "America/New_York", site: Site::UsEast }),
        scenario!("server-restart-apache-stopstart", "Apache event is stopped (SIGTERM) and started again, as a service manager does, three times.", stop_start,
            { ray: "apache %{CF-Ray}i", stamp: Stamp::UnixNano, profile: Profile::WordPress }),
    ]
}

/// The ray before the agent, and the duration at the end.
const RAY_INSIDE: &str = r#"%h %l %u %t \"%r\" %>s %O \"%{CF-Ray}i\" \"%{User-Agent}i\" %D"#;

fn slow(run: &mut Run, rate: f64) {
    let end = run.set.seconds as f64;
    run.load(rate, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/quote/shipping?zip={n}"), who)
    });
}

async fn mpm_worker(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "1.4")])?;
    fpm::Fpm { children: 40, ..Default::default() }.start(run, None).await?;
    // Spare threads enough: Apache ends no child of its own accord, whose idle connections would be a race.
    let global = "MaxSpareThreads 400".into();
    let at = apache::Apache { app: apache::App::Fpm("www"), threads: "worker", global, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    background(run);
    slow(run, 11.0);
    for t in [9.4, 15.2, 21.7, 28.0, 33.3, 40.6, 46.9] {
        run.until(t).await;
        let workers = stacks::children(run.procs[at].pid);
        if let Some(pid) = workers.get(run.rng.random_range(0..workers.len().max(1))) {
            run.event(format!("SIGSEGV to child {pid}"));
            stacks::kill(*pid, libc::SIGSEGV);
        }
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let late = row.rtt.as_secs_f64() * 2.0 + 0.3;
        (cut_off(row) && run.near_event(row, "SIGSEGV", 0.02, late)).then(|| Label::new("worker-crash", "exit signal Segmentation fault"))
    });
    Ok(())
}

/// Bursts of slow pages take all 50 workers of Apache event, which then closes idle connections: reused ones lose the race.
pub(super) async fn all_workers_taken<F>(run: &mut Run, bursts: [f64; 7], rate: f64, slow: F)
where
    F: Fn(&mut StdRng, &Visitors) -> Req + Clone + Send + 'static,
{
    background(run);
    for at in bursts {
        run.load(rate, (at, at + 3.0), slow.clone());
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(move |row, run| {
        let at = row.sent_at.duration_since(run.began_at).unwrap_or_default().as_secs_f64() / run.set.pace;
        let during = bursts.iter().any(|b| at > *b && at < b + 8.4);
        // Apache says it once in its life; later bursts show in the durations alone, and to the edge it is a race all the same.
        let accept = if at < bursts[0] + 8.4 { "" } else { "keepalive-race" };
        let evidence = "AH00484: server reached MaxRequestWorkers setting".into();
        (cut_off(row) && row.reused && during).then_some(Label { cause: "pool-exhausted", accept, evidence })
    });
}

async fn closed_worker(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9190, "app.log", &["/api/v2/bulk=close"]).await?;
    let to = run.ip(20).to_string() + ":9190";
    apache::Apache { app: apache::App::Proxy(to), threads: "worker", format: apache::Format::Combined, ..Default::default() }
        .start(run, None)
        .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.9, (5.0, end), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/api/v2/bulk/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("backend-closed", "AH01102: error reading status line"))
    });
    Ok(())
}

const SILENT: &str = "#!/bin/sh\necho \"nph-feed: cannot open feed ${QUERY_STRING#n=}: no such database\" >&2\nexit 3\n";

async fn nph_silent(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let script = run.write("var/www/site/cgi/nph-feed.cgi", SILENT)?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let root = run.root.display();
    let vhost = format!(
        "ScriptAlias /cgi-bin/ {root}/var/www/site/cgi/\n<Directory {root}/var/www/site/cgi>\nRequire all granted\nOptions ExecCGI\n</Directory>\n"
    );
    let global = format!("ScriptSock {root}/run/cgid.sock\n");
    let format = apache::Format::Custom(RAY_INSIDE);
    apache::Apache { app: apache::App::Fpm("www"), modules: &["cgid"], global, vhost, format, ..Default::default() }
        .start(run, None)
        .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.4, (4.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/cgi-bin/nph-feed.cgi?n={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        ((cut_off(row) || row.why == Why::NotHttp) && row.req.tag == "fault")
            .then(|| Label::new("malformed-response", format!("nph-feed: cannot open feed||{}", access(row, "200 "))))
    });
    Ok(())
}

async fn one_vhost(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    fpm::Fpm::default().start(run, None).await?;
    let (ip, root, zone) = (run.ip(10), run.root.display(), run.visitors.zone());
    let tail = format!(
        "<VirtualHost {ip}:28443>\nServerName api.{zone}\nDocumentRoot {root}/var/www/site/public\nSSLEngine on\nSSLCertificateFile {root}/etc/ssl/server.crt\nSSLCertificateKeyFile {root}/etc/ssl/server.key\n\
         SSLVerifyClient require\nSSLVerifyDepth 1\nSSLCACertificateFile {root}/etc/ssl/pull-ca.crt\nRewriteEngine On\nRewriteRule ^ /index.php [L]\n\
         <FilesMatch \"\\.php$\">\nSetHandler \"proxy:unix:{root}/run/www.sock|fcgi://localhost\"\n</FilesMatch>\n</VirtualHost>\n"
    );
    apache::Apache {
        tls: true,
        app: apache::App::Fpm("www"),
        level: "warn ssl:info",
        global: "MaxKeepAliveRequests 30".into(),
        tail,
        ..Default::default()
    }
    .start(run, None)
    .await?;
    let ssl = run.path("etc/ssl");
    let (crt, key) = (ssl.join("pull.crt"), ssl.join("pull.key"));
    let with = client(TlsOptions { client_cert: Some((&crt, &key)), h2: false })?;
    let origin = run.origin(10, 28443, Some(with));
    let now = run.edge.origins.lock().unwrap()[origin].clone();
    background(run);
    let end = run.set.seconds as f64;
    run.load(9.0, (0.0, end), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..900);
        let mut r = v.req(rng, "api", "GET", format!("/api/prices/{n}"), who);
        r.host = format!("api.{}", v.zone());
        r
    });
    run.until(26.0).await;
    run.event("the edge shows no client certificate any more");
    run.edge.set_origin(origin, Origin { tls: Some(client(TlsOptions::default())?), ..now });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let refused = row.why == Why::TlsAlert || cut_off(row) && !row.reused;
        (refused && row.req.host.starts_with("api.")).then(|| Label::new("origin-pull-rejected", "AH02008||AH02039||AH02276"))
    });
    Ok(())
}

async fn stop_start(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "1.2")])?;
    fpm::Fpm { children: 40, ..Default::default() }.start(run, None).await?;
    let web = apache::Apache { app: apache::App::Fpm("www"), format: apache::Format::Custom(RAY_INSIDE), ..Default::default() };
    let at = web.start(run, None).await?;
    run.origin(10, 28080, None);
    background(run);
    slow(run, 11.0);
    stops(run, &web, at, &[12.6, 27.1, 42.4], 250).await
}

/// Stops the Apache that is process `at` at some seconds, starts it again after so many milliseconds, and labels what that cut off.
pub async fn stops(run: &mut Run, web: &apache::Apache, at: usize, seconds: &[f64], down_ms: u64) -> Result<()> {
    for t in seconds {
        run.until(*t).await;
        run.event("stop: SIGTERM to Apache");
        run.procs[at].stop(libc::SIGTERM).await;
        tokio::time::sleep(Duration::from_millis(down_ms)).await;
        let proc = web.launch(run, None)?;
        run.procs[at] = proc;
        wait_port(run, 10, 28080).await?;
        run.event("Apache started again");
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let late = Duration::from_secs_f64(row.rtt.as_secs_f64() * 2.0 + 0.3);
        let down = run.events_of("stop").into_iter().zip(run.events_of("Apache started again"));
        let during = down.into_iter().any(|(from, to)| row.over_at >= from && row.sent_at <= to + late);
        (cut_off(row) && during).then(|| Label::new("server-restart", "caught SIGTERM"))
    });
    Ok(())
}
