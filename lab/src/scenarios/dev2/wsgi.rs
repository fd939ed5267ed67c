//! nginx in front of uWSGI: crashes, a full listen queue, an application that says 520.

use anyhow::Result;
use rand::Rng;

use crate::collect::{self, Frame, Source};
use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::crash::{DROP, took};
use crate::scenarios::{Scenario, access, background, cut_off, drive};
use crate::stacks::{nginx, site, uwsgi};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("dev2-worker-crash-uwsgi", "A C extension crashes uWSGI's workers (SIGSEGV); nginx 1.26 maps the 502 to 444; uWSGI catches the signal itself and writes a backtrace; Sao Paulo, clock behind.", crash,
            { debian: Debian::Trixie, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::UnixNano, profile: Profile::Saas, skew_s: -33 }),
        scenario!("dev2-pool-exhausted-uwsgi", "uWSGI's listen queue is full in bursts of slow pages; nginx gives up waiting and maps its 504 to 444; RFC 5424; Berlin.", full,
            { tz: "Europe/Berlin", stamp: Stamp::Rfc3339Ms, profile: Profile::Api, rate: 12.0, skew_s: 6 }),
        scenario!("dev2-origin-520-uwsgi", "An application behind nginx and uWSGI answers 520 itself; journal, fourteen fields; New York.", says_520,
            { tz: "America/New_York", site: Site::UsEast, wrap: Wrap::Journal, stamp: Stamp::Rfc3339, job: Job::Fourteen, profile: Profile::Shop, skew_s: 3 }),
    ]
}

const HIDE: &str = "error_page 500 502 504 = @drop; uwsgi_intercept_errors on;";

async fn crash(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    uwsgi::start(run, 20, 9440, &["--processes", "8", "--disable-logging"]).await?;
    let app = nginx::App::Uwsgi(run.ip(20).to_string() + ":9440");
    nginx::Nginx { app, in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.4, (4.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..400);
        v.req(rng, "fault", "POST", format!("/media/frame/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "fault").then(|| Label::new("worker-crash", "got Segmentation Fault")));
    Ok(())
}

async fn full(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    uwsgi::start(run, 20, 9441, &["--processes", "5", "--listen", "10"]).await?;
    let app = nginx::App::Uwsgi(run.ip(20).to_string() + ":9441");
    let in_app = format!("{HIDE} uwsgi_connect_timeout 2s;");
    nginx::Nginx { app, in_app, server: DROP.into(), read_timeout: 4, real_ip: true, ..Default::default() }.start(run).await?;
    let all = [
        Source { file: "var/log/nginx/access.log", name: "nginx" },
        Source { file: "var/log/nginx/error.log", name: "nginx" },
        Source { file: "var/log/uwsgi/app.log", name: "uwsgi" },
    ];
    collect::start(run, Frame::Rfc5424, &all, "all.log")?;
    run.origin(10, 28080, None);
    background(run);
    for at in [10.0, 32.0] {
        run.load(11.0, (at, at + 4.0), |rng, v| {
            let who = v.person(rng);
            let n = rng.random_range(1..900);
            v.req(rng, "slow", "GET", format!("/rates/{n}"), who)
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && took(row) > 1.8)
            .then(|| Label::new("pool-exhausted", "timed out (110: Connection timed out)||listen queue of socket"))
    });
    Ok(())
}

async fn says_520(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    uwsgi::start(run, 20, 9442, &["--processes", "6"]).await?;
    let app = nginx::App::Uwsgi(run.ip(20).to_string() + ":9442");
    nginx::Nginx { app, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.7, (3.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/partner/offers/{n}"), who)
    })
    .await;
    run.label =
        Box::new(|row, _| (row.why == Why::Answer && row.req.tag == "fault").then(|| Label::new("origin-520", access(row, "520 "))));
    Ok(())
}
