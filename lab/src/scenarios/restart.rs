//! Stops and ungraceful restarts, and a server that aborts on its own disk.

use std::time::Duration;

use anyhow::{Result, bail};
use rand::Rng;
use tokio::process::Command;

use super::{Scenario, access, backend, background, cut_off, drive};
use crate::edge::Row;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, fpm, nginx, site, wait_port};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("server-restart-nginx-error", "nginx is stopped with SIGTERM and started again four times; error_log at level error hides it, the gaps give 521.", nginx_error,
            { profile: Profile::Saas, site: Site::UsEast, tz: "America/New_York", stamp: Stamp::Rfc3339Ms }),
        scenario!("server-restart-nginx-notice-ray", "nginx is stopped with SIGTERM and started again; error_log at notice shows it.", nginx_notice,
            { profile: Profile::Saas, ray: "nginx $http_cf_ray", status_on_520: 520, stamp: Stamp::Unix }),
        scenario!("server-restart-apache-hup", "Apache prefork gets SIGHUP (restart, not graceful) with requests in flight.", apache_hup,
            { tz: "Asia/Kolkata", site: Site::India, skew_s: 45 }),
        scenario!("server-io-cache-denied", "nginx's fastcgi_temp directory becomes unwritable for the workers (ownership changed by a deploy): pages to be cached are aborted before the first byte.", cache_denied,
            { ray: "json cf_ray", stamp: Stamp::UnixNano }),
        scenario!("server-io-disk-full", "The small file system under fastcgi_cache fills up: nginx aborts cached pages before the first byte.", disk_full,
            { profile: Profile::WordPress, skew_s: -20, job: Job::Sampled(70) }),
        scenario!("server-io-proxycache", "The small file system under proxy_cache fills up before an application's pages; JSON log, real_ip.", proxy_cache,
            { profile: Profile::Saas, client: "visitor", ray: "json edge_req", stamp: Stamp::Rfc3339, tz: "America/New_York", site: Site::UsEast }),
    ]
}

fn slow(run: &mut Run) {
    let end = run.set.seconds as f64;
    run.load(10.0, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/reports/build/{n}"), who)
    });
}

/// `delay`: how long after the signal the server may still go on serving.
fn label_stop(run: &mut Run, evidence: &'static str, delay: f64) {
    run.label = Box::new(move |row, run| {
        let late = row.rtt.as_secs_f64() * 2.0 + delay;
        (cut_off(row) && run.near_event(row, "stop", 0.02, late)).then(|| Label::new("server-restart", evidence))
    });
}

async fn nginx_stops(run: &mut Run, level: &'static str, format: nginx::Format) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9130, "app.log", &["/reports/build=slow:1400"]).await?;
    let to = run.ip(20).to_string() + ":9130";
    let web = nginx::Nginx { level, format, app: nginx::App::Proxy(to), ..Default::default() };
    let at = web.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    slow(run);
    for t in [10.3, 21.8, 33.1, 44.9] {
        run.until(t).await;
        run.event("stop: SIGTERM to nginx");
        run.procs[at].stop(libc::SIGTERM).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        let proc = web.launch(run, None)?;
        run.procs[at] = proc;
        wait_port(run, 10, 28080).await?;
        run.event("nginx started again");
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    Ok(())
}

async fn nginx_error(run: &mut Run) -> Result<()> {
    nginx_stops(run, "error", nginx::Format::Combined).await?;
    label_stop(run, "", 0.35);
    Ok(())
}

async fn nginx_notice(run: &mut Run) -> Result<()> {
    nginx_stops(run, "notice", nginx::Format::CfCustom).await?;
    label_stop(run, "signal 15 (SIGTERM) received", 0.35);
    Ok(())
}

async fn apache_hup(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/reports/build/", "lib/rates.php")], &[("SLEEP", "1.3")])?;
    let at = apache::Apache { workers: 250, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    background(run);
    slow(run);
    for t in [9.1, 20.7, 31.2, 43.5] {
        run.until(t).await;
        run.event("stop: SIGHUP to Apache");
        run.procs[at].signal(libc::SIGHUP);
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    // Apache's parent looks at its signals once a second.
    label_stop(run, "AH00173: SIGHUP received||AH00171", 1.9);
    Ok(())
}

/// Pages under /catalog/ are cached by nginx; the rest is not.
fn cached_site(run: &Run, format: nginx::Format, temp: &str) -> nginx::Nginx {
    let root = run.root.display();
    let http = format!(
        "fastcgi_cache_path {root}/var/cache levels=1:2 keys_zone=pages:4m inactive=10m {temp};\n  map $uri $skip {{ default 1; ~^/catalog/ \"\"; }}"
    );
    let in_app = "fastcgi_cache pages; fastcgi_cache_key $host$request_uri; fastcgi_cache_valid 200 1s; fastcgi_cache_bypass $skip; fastcgi_no_cache $skip;";
    nginx::Nginx { format, http, in_app: in_app.into(), ..Default::default() }
}

async fn catalog(run: &mut Run, window: (f64, f64)) {
    drive(run, 2.2, window, |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..5000);
        v.req(rng, "catalog", "GET", format!("/catalog/{n}"), who)
    })
    .await;
}

fn label_io(run: &mut Run, evidence: &'static str) {
    run.label = Box::new(move |row: &Row, _| {
        (cut_off(row) && row.req.tag == "catalog").then(|| Label::new("server-io", format!("{evidence}||{}", access(row, "200 0"))))
    });
}

async fn cache_denied(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/catalog/", "lib/list.php")], &[("ROWS", "200")])?;
    fpm::Fpm::default().start(run, None).await?;
    cached_site(run, nginx::Format::JsonRay, "").start(run).await?;
    run.origin(10, 28080, None);
    let root = run.root.clone();
    let break_at = 14.0;
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs_f64(break_at)).await;
        let _ = Command::new("sh")
            .args(["-c", "chown -R root:root var/nginx10/fastcgi && chmod -R go-rwx var/nginx10/fastcgi"])
            .current_dir(root)
            .status()
            .await;
    });
    catalog(run, (1.0, run.set.seconds as f64)).await;
    label_io(run, "failed (13: Permission denied)");
    Ok(())
}

async fn proxy_cache(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9192, "app.log", &[]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9192");
    let cache = run.path("var/cache").display().to_string();
    std::fs::create_dir_all(&cache)?;
    let ok = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m,mode=777", "tmpfs", &cache]).status().await?;
    if !ok.success() {
        bail!("tmpfs");
    }
    let http = format!(
        "proxy_cache_path {cache} levels=1:2 keys_zone=pages:4m inactive=10m use_temp_path=off;\n  map $uri $skip {{ default 1; ~^/docs/ \"\"; }}"
    );
    let in_app =
        "proxy_cache pages; proxy_cache_key $host$request_uri; proxy_cache_valid 200 1s; proxy_cache_bypass $skip; proxy_no_cache $skip;";
    nginx::Nginx {
        format: nginx::Format::Custom(super::hardened::JSON_EDGE_REQ),
        real_ip: true,
        app,
        http,
        in_app: in_app.into(),
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    let fill = cache.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(13)).await;
        let _ = Command::new("sh").args(["-c", "head -c 4000000 /dev/zero 2>/dev/null > core.dump"]).current_dir(fill).status().await;
    });
    drive(run, 2.4, (1.0, run.set.seconds as f64), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..5000);
        v.req(rng, "catalog", "GET", format!("/docs/{n}"), who)
    })
    .await;
    run.snapshot_logs();
    let _ = Command::new("umount").args(["-l", &cache]).status().await;
    run.notes.push("The file system under the cache is a tmpfs of 3 MB, filled by another file after 13 s.".into());
    label_io(run, "failed (28: No space left on device)");
    Ok(())
}

async fn disk_full(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/catalog/", "lib/list.php")], &[("ROWS", "1500")])?;
    fpm::Fpm::default().start(run, None).await?;
    let cache = run.path("var/cache");
    std::fs::create_dir_all(&cache)?;
    let cache = cache.display().to_string();
    let ok = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m,mode=777", "tmpfs", &cache]).status().await?;
    if !ok.success() {
        bail!("tmpfs");
    }
    cached_site(run, nginx::Format::Combined, "use_temp_path=off").start(run).await?;
    run.origin(10, 28080, None);
    let fill = cache.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(16)).await;
        let _ = Command::new("sh").args(["-c", "head -c 4000000 /dev/zero 2>/dev/null > backup.part"]).current_dir(fill).status().await;
    });
    catalog(run, (1.0, run.set.seconds as f64)).await;
    run.snapshot_logs();
    let _ = Command::new("umount").args(["-l", &cache]).status().await;
    run.notes.push("The file system under the cache is a tmpfs of 3 MB, filled by another file after 16 s.".into());
    label_io(run, "failed (28: No space left on device)");
    Ok(())
}
