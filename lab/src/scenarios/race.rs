//! The keep-alive race: the origin closes an idle connection while a request is on its way.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Scenario, background, cut_off};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::{Req, Row, Visitor};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::{self, Profile, Visitors};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("keepalive-race-apache", "Apache prefork with KeepAliveTimeout 5: it closes idle connections that far colos are about to reuse; devices report every five seconds or so.", apache_race,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms }),
        scenario!("keepalive-race-nginx-combined", "nginx with keepalive_timeout 7, no ray in its log, clock behind.", nginx_race,
            { tz: "Asia/Kolkata", site: Site::India, skew_s: -25, stamp: Stamp::UnixNano, status_on_520: 520, profile: Profile::Saas }),
        scenario!("keepalive-race-apache-seconds", "Apache event with KeepAliveTimeout 5, edge times in whole seconds, sampled job.", event_race,
            { stamp: Stamp::Unix, job: Job::Sampled(75), profile: Profile::WordPress }),
        scenario!("keepalive-race-apache-visitors", "Apache event with KeepAliveTimeout 5 and ordinary visitors of a quiet site, nobody in step with anything.", event_visitors,
            { stamp: Stamp::Rfc3339Ms, site: Site::India, tz: "Asia/Kolkata", seconds: 150, rate: 28.0, skew_s: 9 }),
        scenario!("keepalive-race-nginx-visitors", "nginx with keepalive_timeout 10 and ordinary visitors of a quiet site; ray in the log.", nginx_visitors,
            { stamp: Stamp::UnixNano, site: Site::India, tz: "Asia/Kolkata", seconds: 170, rate: 26.0, ray: "nginx $http_cf_ray", profile: Profile::Saas }),
        scenario!("keepalive-race-nginx65", "nginx with keepalive_timeout 65 and devices that report about once a minute.", nginx_65,
            { stamp: Stamp::Rfc3339, tz: "America/New_York", site: Site::UsEast, seconds: 215, rate: 12.0, skew_s: -5 }),
    ]
}

/// Devices behind far colos, each with a connection of its own, whose period lies near the timeout.
pub fn devices(run: &mut Run, timeout: f64, count: usize) {
    let host = format!("iot.{}", run.visitors.zone());
    periodic(run, timeout, count, &["FleetSense/3.1 (nRF9160)"], move |rng, v, who, i, n| {
        let uri = format!("/api/telemetry?device={}&seq={n}", 4000 + i);
        let mut req = v.req(rng, "device", "POST", uri, who);
        req.host.clone_from(&host);
        req
    });
}

/// Clients behind far colos whose period lies near the timeout; `make` gets the client's number and its request's.
pub fn periodic<F>(run: &mut Run, timeout: f64, count: usize, agents: &[&str], make: F)
where
    F: Fn(&mut StdRng, &Visitors, Arc<Visitor>, usize, u32) -> Req + Clone + Send + 'static,
{
    let mut rng = StdRng::seed_from_u64(run.rng.random());
    let far: Vec<usize> = (0..run.edge.colos.len()).filter(|c| run.edge.colos[*c].rtt > Duration::from_millis(50)).collect();
    let end = run.at(run.set.seconds as f64);
    for i in 0..count {
        let colo = far[i % far.len()];
        let mut who = traffic::visitor(&run.edge.colos, agents, Some(colo), &mut rng);
        // One machine for each client: connections are not shared.
        who.edge = (i / far.len()) % run.edge.colos[colo].edges.len();
        let who = Arc::new(who);
        let (edge, visitors, flying, make) = (run.edge.clone(), run.visitors.clone(), run.flying.clone(), make.clone());
        let mut rng = StdRng::seed_from_u64(rng.random());
        tokio::spawn(async move {
            let rtt = edge.colos[colo].rtt.as_secs_f64();
            tokio::time::sleep(Duration::from_secs_f64(rng.random_range(0.0..timeout))).await;
            let mut n = rng.random_range(1..5000);
            while std::time::Instant::now() < end {
                let mut req = make(&mut rng, &visitors, who.clone(), i, n);
                req.referer.clear();
                flying.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                edge.fetch(req).await;
                flying.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                n += 1;
                // About a third of the requests fall into the window in which the FIN is on its way.
                let wait = timeout - rtt * rng.random_range(-1.4..1.6);
                tokio::time::sleep(Duration::from_secs_f64(wait)).await;
            }
        });
    }
}

/// Closed by the origin's timeout: reused, idle for about the timeout, over as soon as it arrived.
pub fn raced(row: &Row, timeout: f64) -> bool {
    let after = row.over_at.duration_since(row.sent_at).unwrap_or_default().as_secs_f64();
    let gap = row.idle_gap.unwrap_or_default().as_secs_f64();
    cut_off(row) && row.reused && after < 0.05 && gap > timeout - row.rtt.as_secs_f64() * 1.2 - 0.15
}

async fn race(run: &mut Run, timeout: f64) -> Result<()> {
    background(run);
    devices(run, timeout, 26);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(move |row, _| raced(row, timeout).then(|| Label::new("keepalive-race", "")));
    Ok(())
}

async fn apache_race(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    apache::Apache { keepalive: 5, workers: 150, vhost: "ServerAlias iot.example.org".into(), ..Default::default() }
        .start(run, None)
        .await?;
    run.origin(10, 28080, None);
    race(run, 5.0).await
}

async fn event_race(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    apache::Apache {
        keepalive: 5,
        app: apache::App::Fpm("www"),
        format: apache::Format::Timed,
        vhost: "ServerAlias iot.example.net".into(),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    run.origin(10, 28080, None);
    race(run, 5.0).await
}

/// Visitors only: a connection idles for the timeout by chance.
async fn visitors(run: &mut Run, timeout: f64) {
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(move |row, _| raced(row, timeout).then(|| Label::new("keepalive-race", "")));
}

async fn event_visitors(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    apache::Apache { keepalive: 5, app: apache::App::Fpm("www"), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    visitors(run, 5.0).await;
    Ok(())
}

async fn nginx_visitors(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { keepalive: 10, format: nginx::Format::CfCustom, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    visitors(run, 10.0).await;
    Ok(())
}

async fn nginx_65(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { keepalive: 65, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    devices(run, 65.0, 40);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(move |row, _| raced(row, 65.0).then(|| Label::new("keepalive-race", "")));
    Ok(())
}

async fn nginx_race(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { keepalive: 7, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    race(run, 7.0).await
}
