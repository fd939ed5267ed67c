//! nginx before an application.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::{cron, uploads};
use crate::collect::{self, Frame, Source};
use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::edge::tls::{TlsOptions, client};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::crash::{DROP, cgroup, follow_kernel, kernel_log, oom_pids, took};
use crate::scenarios::hardened::HIDE_PROXY;
use crate::scenarios::limits::Bans;
use crate::scenarios::{Scenario, access, backend, background, cut_off};
use crate::stacks::{self, certificates, gunicorn, nginx, site};
use crate::traffic::{self, Crowd, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held6-proxy-protocol-newmachine", "A second machine is put into DNS whose nginx 1.18 was set up for a load balancer and expects PROXY protocol; the balancer's checks go on; combined of both; Sao Paulo, clocks ahead.", new_machine,
            { debian: Debian::Bullseye, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Rfc3339, profile: Profile::Saas, skew_s: 45 }),
        scenario!("held6-oom-kill-threads", "The kernel kills gunicorn's workers, each with ten threads, for the memory limit of their container, or the master with them, and nginx 1.18 maps its 502 to 444; containers, combined and ray, real_ip, older log beside, the kernel's log; New York, clock behind, visitors far away.", threads,
            { debian: Debian::Bullseye, client: "visitor", ray: "nginx $http_cf_ray", tz: "America/New_York", site: Site::UsEast, audience: Some(Site::Europe), stamp: Stamp::UnixNano, profile: Profile::Shop, rotate: true, skew_s: -37 }),
        scenario!("held6-client-blocked-geo", "nginx 1.26 before an application closes (444) on networks that a geo block lists, by CF-Connecting-IP; JSON without ray, its addresses are the edges'; error log in syslog; Sao Paulo, clock ahead.", listed,
            { debian: Debian::Trixie, tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, skew_s: 12 }),
        scenario!("held6-control-no-520-h2", "nginx 1.22 with HTTP/2 before gunicorn: crashes, exceptions, time-outs and a limit are all answered; own format with the ray, error log in syslog; Sydney, clock behind, visitors far away.", valid,
            { ray: "nginx $http_cf_ray", tz: "Australia/Sydney", site: Site::Australia, audience: Some(Site::UsEast), stamp: Stamp::Rfc3339, status_on_520: 520, skew_s: -37 }),
        scenario!("held6-cannot-tell-netfilter", "Something in the network resets a few requests on their way, on new connections and old, and neither nginx 1.22 nor the application sees or logs them; containers, nginx.org's main format, older log beside; Sydney.", resets,
            { client: "visitor", tz: "Australia/Sydney", site: Site::Australia, stamp: Stamp::Unix, profile: Profile::Api, crowd: Crowd::Few, rotate: true, status_on_520: 520 }),
    ]
}

const JSON: &str = r#"log_format main escape=json '{"ts":"$time_iso8601","remote":"$remote_addr","xff":"$http_x_forwarded_for","vhost":"$host","method":"$request_method","uri":"$request_uri","proto":"$server_protocol","status":"$status","bytes":"$body_bytes_sent","req_len":"$request_length","dur":"$request_time","up":"$upstream_addr","up_status":"$upstream_status","agent":"$http_user_agent"}';"#;
const RAY_FIRST: &str =
    r#"log_format main '$http_cf_ray $remote_addr [$time_local] $host "$request" $status $bytes_sent $request_time "$http_user_agent"';"#;
/// The form that nginx.org's packages bring.
const MAIN: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for"';"#;

/// A load balancer's check, with the header it puts before everything.
async fn check(from: Ipv4Addr, to: (Ipv4Addr, u16)) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut stream = socket.connect(to.into()).await?;
    stream
        .write_all(b"PROXY TCP4 10.0.4.17 10.0.4.52 41872 80\r\nGET /favicon.ico HTTP/1.1\r\nHost: 10.0.4.52\r\nUser-Agent: ELB-HealthChecker/2.0\r\nConnection: close\r\n\r\n")
        .await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn new_machine(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let actions = &["/exports/=slow:1600"];
    backend(run, 20, 9171, "web1/app.log", actions).await?;
    backend(run, 21, 9171, "web2/app.log", actions).await?;
    let app = |ip: Ipv4Addr| nginx::App::Proxy(format!("{ip}:9171"));
    nginx::Nginx { dir: "web1/nginx", app: app(run.ip(20)), ..Default::default() }.start(run).await?;
    nginx::Nginx { dir: "web2/nginx", host: 11, listen: "proxy_protocol", app: app(run.ip(21)), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    run.addresses.insert(run.ip(4).to_string(), "10.0.4.17".into());
    let (from, to, stop) = (run.ip(4), (run.ip(11), 28080), run.stop.clone());
    tokio::spawn(async move {
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let _ = check(from, to).await;
            tokio::time::sleep(Duration::from_millis(2500)).await;
        }
    });
    background(run);
    uploads(run, "/files/", "/exports/");
    let end = run.set.seconds as f64;
    run.load(2.4, (9.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.cached, r.tag) = (1, None, "fault");
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = format!("CF-Ray: {}||while reading PROXY protocol", row.ray);
        (cut_off(row) && row.req.origin == 1).then(|| Label::new("proxy-protocol", text))
    });
    Ok(())
}

async fn threads(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let (addr, extra) = (run.local(20, 8000), &["--workers", "2", "--threads", "10"]);
    let at = gunicorn::start(run, 20, 8000, extra).await?;
    let group = cgroup(run, 400)?;
    let master = run.procs[at].pid;
    for pid in [master].into_iter().chain(stacks::children(master)) {
        std::fs::write(group.join("cgroup.procs"), pid.to_string())?;
    }
    follow_kernel(run)?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":8000");
    let web = nginx::Nginx { app, real_ip: true, format: nginx::Format::CfCustom, ..Default::default() };
    nginx::Nginx { in_app: HIDE_PROXY.into(), server: DROP.into(), ..web }.start(run).await?;
    containers(run, Source { file: "var/log/gunicorn/error.log", name: "stderr" })?;
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(0.5, (5.0, end - 4.0), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..400);
        v.req(rng, "fault", "POST", format!("/import/prices/{n}"), who)
    });
    // Where the kernel takes the master, the container ends and is started again.
    while std::time::Instant::now() < run.at(end) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if run.procs[at].ended().is_none() {
            continue;
        }
        run.event("the container ended; it is started again");
        tokio::time::sleep(Duration::from_millis(700)).await;
        let again = gunicorn::launch(run, addr, "site_app:app", extra)?;
        std::fs::write(group.join("cgroup.procs"), again.pid.to_string())?;
        run.procs[at] = again;
    }
    run.drain().await;
    let pids = oom_pids(run);
    let unit = "/system.slice/docker-4f1c.scope";
    kernel_log(run, unit, move |m| m.contains("Killed process") && pids.iter().any(|p| m.contains(&format!("process {p} (")))).await?;
    run.label = Box::new(|row, run| {
        // Until the container is up again the logs speak of its start as well.
        let gone = took(row) < 0.05 && run.near_event(row, "the container ended", 0.02, 2.5);
        let evidence = format!("Killed process||{}", access(row, "444"));
        cut_off(row).then_some(Label { cause: "oom-kill", accept: if gone { "server-restart" } else { "" }, evidence })
    });
    Ok(())
}

/// nginx in one container, the application in another.
fn containers(run: &mut Run, app: Source) -> Result<()> {
    let web = [Source { file: "var/log/nginx/access.log", name: "stdout" }, Source { file: "var/log/nginx/error.log", name: "stderr" }];
    collect::start(run, Frame::Docker, &web, "docker/nginx-json.log")?;
    collect::start(run, Frame::Docker, &[app], "docker/app-json.log")
}

fn error_syslog(run: &mut Run) -> Result<()> {
    cron(run)?;
    let daemon = [Source { file: "var/log/nginx/error.log", name: "nginx" }, Source { file: "var/log/cron.log", name: "CRON[33718]" }];
    collect::start(run, Frame::Rfc3164, &daemon, "syslog")
}

async fn listed(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9172, "app.log", &["/exports/=slow:1600"]).await?;
    let http = "geo $http_cf_connecting_ip $unwanted { default 0; 198.18.0.0/19 1; 198.19.96.0/20 1; 203.0.113.32/29 1; }".into();
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9172");
    let server = "if ($unwanted) { return 444; }".into();
    nginx::Nginx { app, http, server, format: nginx::Format::Custom(JSON), ..Default::default() }.start(run).await?;
    error_syslog(run)?;
    run.origin(10, 28080, None);
    background(run);
    uploads(run, "/files/", "/exports/");
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let text = format!("\"uri\":\"{}\",\"proto\":\"HTTP/1.1\",\"status\":\"444\"", row.req.uri);
        (cut_off(row) && unwanted(&row.req.visitor.ip)).then(|| Label::new("client-blocked", text))
    });
    Ok(())
}

/// Whether the geo block of `listed` has the address.
fn unwanted(ip: &str) -> bool {
    let Ok(ip) = ip.parse::<Ipv4Addr>() else { return false };
    match ip.octets() {
        [198, 18, c, _] => c < 32,
        [198, 19, c, _] => (96..112).contains(&c),
        [203, 0, 113, d] => (32..40).contains(&d),
        _ => false,
    }
}

async fn valid(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    gunicorn::start(run, 20, 8001, &["--workers", "12", "--timeout", "7"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":8001");
    let http = "limit_req_zone $http_cf_connecting_ip zone=visitor:1m rate=20r/m; limit_req_status 429;".into();
    let in_app = "limit_req zone=visitor burst=5 nodelay;".into();
    let format = nginx::Format::Custom(RAY_FIRST);
    nginx::Nginx { tls: true, listen: "http2", app, http, in_app, read_timeout: 5, format, ..Default::default() }.start(run).await?;
    error_syslog(run)?;
    run.origin(10, 28443, Some(client(TlsOptions { h2: true, ..Default::default() })?));
    let end = run.set.seconds as f64;
    background(run);
    run.load(2.2, (4.0, end - 7.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        let uri = match rng.random_range(0..10) {
            0..=4 => format!("/invoice/{n}"),
            5..=7 => format!("/media/frame/{n}"),
            _ => format!("/reports/build/{n}"),
        };
        v.req(rng, "fault", "GET", uri, who)
    });
    let greedy = Arc::new(traffic::visitor(&run.edge.colos, &["python-requests/2.32.5"], None, &mut run.rng));
    run.load(4.0, (19.0, 27.0), move |rng, v| {
        let n = rng.random_range(1..900);
        v.req(rng, "greedy", "GET", format!("/api/stock/{n}"), greedy.clone())
    });
    run.until(end).await;
    run.drain().await;
    Ok(())
}

async fn resets(run: &mut Run) -> Result<()> {
    backend(run, 20, 8002, "app.log", &[]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":8002");
    site::write(run, &[], &[])?;
    nginx::Nginx { app, real_ip: true, format: nginx::Format::Custom(MAIN), ..Default::default() }.start(run).await?;
    containers(run, Source { file: "var/log/app.log", name: "stdout" })?;
    run.origin(10, 28080, None);
    let to = run.ip(10).to_string();
    let mut rules = Bans::new();
    // Packets with data from the edges' addresses, by chance.
    let rule = format!(
        "INPUT -s 127.200.0.0/16 -d {to} -p tcp --dport 28080 --tcp-flags PSH PSH -m statistic --mode random --probability 0.045 -j REJECT --reject-with tcp-reset"
    );
    rules.add_rule(rule.split(' ').map(Into::into).collect()).await?;
    run.notes.push("The packet filter (iptables, statistic match, REJECT with tcp-reset) resets some connections when a request comes in; nothing logs that.".into());
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| (row.why == Why::Reset || cut_off(row)).then(|| Label::new("unknown", "")));
    Ok(())
}
