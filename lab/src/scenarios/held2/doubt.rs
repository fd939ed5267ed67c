//! Another server's fault, Cloudflare's, and nobody's.

use anyhow::Result;
use rand::Rng;

use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::{Scenario, backend, background, cut_off, drive};
use crate::stacks::{apache, edges, fpm, node, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held2-wrong-origin-ssh", "One of two addresses in DNS is another machine, whose SSH answers on the port; Apache event of Debian 13; CSV job; Sao Paulo.", ssh,
            { debian: Debian::Trixie, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Unix, job: Job::Csv, profile: Profile::Magento, skew_s: 31 }),
        scenario!("held2-edge-incident-workers", "Cloudflare answers 520 without contacting the origin, in one burst and a trickle; Workers' own rows have no origin either; a Node service with a JSON log.", incident,
            { stamp: Stamp::Rfc3339Ms, profile: Profile::Api, tz: "Asia/Kolkata", site: Site::India }),
        scenario!("held2-control-no-520-haproxy", "haproxy 3.0 before an application that fails, speaks garbage, is slow and is denied to some: every answer is valid.", all_valid,
            { debian: Debian::Trixie, stamp: Stamp::Rfc3339, profile: Profile::Saas, tz: "Europe/Berlin", skew_s: -18, ray: "haproxy capture" }),
    ]
}

async fn ssh(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    apache::Apache { app: apache::App::Fpm("www"), format: apache::Format::Timed, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    backend(run, 12, 28080, "stale.log", &["/=ssh"]).await?;
    run.logs.retain(|(_, to, _)| to != "stale.log");
    run.addresses.remove(&run.ip(12).to_string());
    run.origin(12, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.2, (2.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.cached, r.tag) = (1, None, "stale");
        r.host = v.host().into();
        r
    })
    .await;
    run.label =
        Box::new(|row, _| (row.req.origin == 1 && (cut_off(row) || row.why == Why::NotHttp)).then(|| Label::new("wrong-origin", "")));
    Ok(())
}

async fn incident(run: &mut Run) -> Result<()> {
    node::Api { host: 10, port: 28080, modes: &["ray"], cgroup: None }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    background(run);
    run.load(10.0, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        r.worker = true;
        r
    });
    for (rate, window) in [(14.0, (17.0, 22.0)), (0.7, (22.0, 50.0))] {
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

async fn all_valid(run: &mut Run) -> Result<()> {
    let actions = ["/api/v2/search=status:504", "/api/v2/stream=garbage", "/reports/build=slow:32000"];
    backend(run, 20, 9540, "app.log", &actions).await?;
    let rules = "  timeout http-request 10s\n  http-request deny deny_status 429 if { path_beg /help/ } { rand(4) 0 }";
    edges::Haproxy { host: 10, to_host: 20, to_port: 9540, rules, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.6, (3.0, end - 8.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        let uri = match rng.random_range(0..3) {
            0 => format!("/api/v2/search?q={n}"),
            1 => format!("/api/v2/stream/{n}"),
            _ => format!("/reports/build/{n}"),
        };
        v.req(rng, "fault", "GET", uri, who)
    })
    .await;
    Ok(())
}
