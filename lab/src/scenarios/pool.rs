//! Connections used up.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use super::crash::{DROP, HIDE};
use super::{Scenario, access, backend, background, cut_off};
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{fpm, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("pool-exhausted-worker-connections", "A slow-header flood from outside Cloudflare uses up nginx's worker_connections; new connections are closed at accept, idle ones reaped.", level_warn,
            { profile: Profile::Saas, stamp: Stamp::Rfc3339Ms, ray: "nginx $http_cf_ray" }),
        scenario!("pool-exhausted-worker-connections-error", "The same at error level, combined log, New York time.", level_error,
            { profile: Profile::Saas, stamp: Stamp::UnixNano, tz: "America/New_York", site: Site::UsEast, skew_s: -12 }),
        scenario!("pool-exhausted-fpm-combined", "PHP-FPM has too few children for bursts of slow pages; its listen queue overflows and nginx turns its 502 into `return 444`.", fpm_full,
            { profile: Profile::WordPress, stamp: Stamp::Unix, tz: "Asia/Kolkata", site: Site::India, skew_s: 24 }),
    ]
}

/// Opens connections from outside Cloudflare that send half a header and wait.
async fn flood(run: &Run, seconds: f64, count: usize) {
    let target = (run.ip(10), 28080).into();
    let mut held = Vec::new();
    for i in 0..count {
        let Ok(socket) = TcpSocket::new_v4() else { continue };
        let source = std::net::Ipv4Addr::new(127, 201, 1, 1 + (i % 40) as u8);
        if socket.bind((source, 0).into()).is_err() {
            continue;
        }
        let Ok(Ok(mut s)) = tokio::time::timeout(Duration::from_millis(300), socket.connect(target)).await else {
            continue;
        };
        let _ = s.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-a: ").await;
        held.push(s);
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

async fn exhausted(run: &mut Run, level: &'static str, format: nginx::Format) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9170, "app.log", &["/reports/build=slow:600"]).await?;
    for i in 0..40 {
        run.addresses.insert(format!("127.201.1.{}", 1 + i), format!("203.0.113.{}", 10 + i));
    }
    let to = run.ip(20).to_string() + ":9170";
    nginx::Nginx { level, format, workers: 1, connections: 110, keepalive: 300, app: nginx::App::Proxy(to), ..Default::default() }
        .start(run)
        .await?;
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(6.0, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/reports/build/{n}"), who)
    });
    for at in [14.0, 36.0] {
        run.until(at).await;
        run.event("flood begins");
        flood(run, 3.0, 130).await;
        run.event("flood over");
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let during = run
            .events_of("flood begins")
            .iter()
            .zip(run.events_of("flood over"))
            .any(|(from, to)| row.over_at >= *from && row.sent_at <= to + Duration::from_secs(2));
        (cut_off(row) && during).then(|| Label::new("pool-exhausted", "worker_connections are not enough"))
    });
    Ok(())
}

async fn level_warn(run: &mut Run) -> Result<()> {
    exhausted(run, "warn", nginx::Format::CfCustom).await
}

async fn level_error(run: &mut Run) -> Result<()> {
    exhausted(run, "error", nginx::Format::Combined).await
}

async fn fpm_full(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/wp-json/rates/", "lib/rates.php")], &[("SLEEP", "2.2")])?;
    fpm::Fpm { children: 6, extra: "listen.backlog = 8".into(), ..Default::default() }.start(run, None).await?;
    nginx::Nginx { in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    for at in [12.0, 37.0] {
        run.load(9.0, (at, at + 2.4), |rng, v| {
            let who = v.person(rng);
            let n = rng.random_range(1..900);
            v.req(rng, "slow", "GET", format!("/wp-json/rates/v1/zip/{n}"), who)
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        cut_off(row).then(|| {
            let text = format!("failed (11: Resource temporarily unavailable)||{}", access(row, "444 0"));
            Label::new("pool-exhausted", text)
        })
    });
    Ok(())
}
