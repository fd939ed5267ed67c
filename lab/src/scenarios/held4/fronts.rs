//! What stands before the web server or in its place, a healthy site, and a front whose log is not there.

use anyhow::Result;
use rand::Rng;

use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::blocked::blocked_net;
use crate::scenarios::{Scenario, backend, background, cut_off, drive};
use crate::stacks::{Proc, apache, edges, fpm, gunicorn, nginx, site, wait_port};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held4-throttled-stream", "nginx's stream module limits connections by address before an Apache event (PHP-FPM), and the addresses are Cloudflare's; Apache sees the front alone; vhost first, duration and size last; New York, clock behind.", throttled,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339, profile: Profile::Forum, skew_s: -9 }),
        scenario!("held4-edge-ip-blocked-caddy", "Caddy aborts requests of a listed network that is one of Cloudflare's, before an application; Sao Paulo.", listed,
            { tz: "America/Sao_Paulo", ray: "json Cf-Ray", site: Site::Brazil, stamp: Stamp::Unix, profile: Profile::Shop, status_on_520: 520 }),
        scenario!("held4-origin-520-haproxy", "An API behind haproxy 3.0 (HTTP mode) relays a 520; haproxy's HTTP log with the ray captured; sampled; Kolkata, clock ahead.", relayed,
            { debian: Debian::Trixie, ray: "haproxy captured", tz: "Asia/Kolkata", site: Site::India, job: Job::Sampled(85), stamp: Stamp::Rfc3339Ms, profile: Profile::Api, skew_s: 16 }),
        scenario!("held4-control-no-520-gunicorn", "nginx 1.18 before gunicorn: workers that crash or are aborted, exceptions, time-outs and limits are all answered validly; Berlin, clock behind.", valid,
            { debian: Debian::Bullseye, tz: "Europe/Berlin", stamp: Stamp::UnixNano, profile: Profile::Saas, skew_s: -6 }),
        scenario!("held4-cannot-tell-tcpfront", "A TCP front shares connections among a healthy Apache of Debian 13 (mod_php) and a member that is down; only Apache's logs are there, and they show the front's address.", silent_front,
            { debian: Debian::Trixie, stamp: Stamp::Rfc3339, profile: Profile::Shop, skew_s: 5 }),
    ]
}

/// nginx's stream module on host 11 before the web server of host 10; `rules` stand in its `stream` block, `to` is where it goes.
async fn stream(run: &mut Run, rules: &str, to: &str, logged: bool) -> Result<()> {
    let root = run.root.display().to_string();
    let web = run.local(10, 28080);
    run.addresses.insert(web.to_string(), "127.0.0.1:8080".into());
    run.local(3, 1);
    std::fs::create_dir_all(run.path("var/log/stream"))?;
    let conf = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nuser www-data;\nworker_processes 1;\npid {root}/run/stream.pid;\nerror_log {root}/var/log/stream/error.log error;\n\
         events {{ worker_connections 2048; }}\nstream {{\n\
         log_format tcp '$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time';\n\
         access_log {root}/var/log/stream/access.log tcp;\n{rules}\n\
         server {{ listen {}:28080; proxy_timeout 900s; proxy_bind {}; proxy_pass {to}; }}\n}}\n",
        run.ip(11),
        run.ip(3),
    );
    let path = run.write("etc/stream.conf", &conf)?.display().to_string();
    if logged {
        run.log("var/log/stream/access.log", "stream/access.log", "nginx");
        run.log("var/log/stream/error.log", "stream/error.log", "nginx");
    }
    // The front is of the machine's own release, whatever stands behind it.
    let behind = std::mem::replace(&mut run.set.debian, Debian::Bookworm);
    let proc = Proc::start(run, "stream", &["nginx", "-p", &root, "-c", &path, "-g", "daemon off;"], None);
    run.set.debian = behind;
    run.procs.push(proc?);
    wait_port(run, 11, 28080).await?;
    run.origin(11, 28080, None);
    Ok(())
}

async fn throttled(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/search/", "lib/rates.php")], &[("SLEEP", "1.0")])?;
    fpm::Fpm { children: 50, ..Default::default() }.start(run, None).await?;
    let web = apache::Apache { app: apache::App::Fpm("www"), workers: 200, format: apache::Format::Timed, ..Default::default() };
    web.start(run, None).await?;
    let to = format!("{}:28080", run.ip(10));
    stream(run, "limit_conn_zone $binary_remote_addr zone=peraddr:1m; limit_conn peraddr 4;", &to, true).await?;
    let end = run.set.seconds as f64;
    drive(run, 13.0, (12.0, end - 4.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/search/posts?q=lamp&after={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && !row.reused).then(|| Label::new("throttled", "limiting connections by zone")));
    Ok(())
}

async fn listed(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9720, "app.log", &[]).await?;
    let net = blocked_net(run, 4);
    edges::caddy(run, 10, 20, 9720, &format!("  @listed remote_ip {net} 203.0.113.64/28\n  abort @listed")).await?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.visitor.colo == 4).then(|| Label::new("edge-ip-blocked", row.ray.clone())));
    Ok(())
}

async fn relayed(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9721, "app.log", &["/v1/shipping=status:520"]).await?;
    edges::Haproxy { host: 10, to_host: 20, to_port: 9721, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.4, (4.0, end), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/v1/shipping/{n}/rates"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let text = format!("\"{} {} HTTP/1.1\"", row.req.method, row.req.uri);
        (row.why == Why::Answer && row.req.tag == "fault").then(|| Label::new("origin-520", text))
    });
    Ok(())
}

async fn valid(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    gunicorn::start(run, 20, 9722, &["--workers", "12", "--timeout", "7"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9722");
    let http = "limit_req_zone $http_cf_connecting_ip zone=visitor:1m rate=15r/m;".into();
    let in_app = "limit_req zone=visitor burst=4 nodelay;".into();
    nginx::Nginx { app, http, in_app, read_timeout: 5, format: nginx::Format::Timed, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.4, (4.0, end - 7.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        let uri = match rng.random_range(0..10) {
            0..=3 => format!("/invoice/{n}"),
            4..=6 => format!("/media/frame/{n}"),
            _ => format!("/reports/build/{n}"),
        };
        v.req(rng, "fault", "GET", uri, who)
    })
    .await;
    Ok(())
}

async fn silent_front(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    apache::Apache { workers: 220, real_ip: false, ..Default::default() }.start(run, None).await?;
    let rules = format!("split_clients \"$remote_addr$remote_port\" $member {{ 16% {}:28080; * {}:28080; }}", run.ip(12), run.ip(10));
    stream(run, &rules, "$member", false).await?;
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && !row.reused).then(|| Label::new("unknown", "")));
    Ok(())
}
