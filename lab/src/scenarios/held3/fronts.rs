//! nginx before Apache, nginx before an application.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;

use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::{Body, Why};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::blocked::blocked_net;
use crate::scenarios::crash::{cgroup, kernel_log, oom_pids};
use crate::scenarios::{Scenario, access, backend, background, cut_off, drive};
use crate::stacks::{self, apache, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held3-edge-ip-blocked-plesk", "nginx before Apache with mod_php 7.4, as hosting panels set it up: a list in nginx closes (444) on one Cloudflare network; Apache's crashes are answered with a valid 502; Berlin.", listed,
            { debian: Debian::Bullseye, tz: "Europe/Berlin", stamp: Stamp::Rfc3339Ms, profile: Profile::Shop, skew_s: -11 }),
        scenario!("held3-control-no-520-plesk", "The nginx of Debian testing before Apache with mod_php: crashes, exhausted memory, limits and a graceful restart of Apache are all answered validly.", valid,
            { debian: Debian::Forky, tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Unix, profile: Profile::WordPress, skew_s: 5 }),
        scenario!("held3-oom-kill-nginx-uploads", "nginx keeps large uploads in memory and its workers are killed for it; everything in syslog with the kernel's lines; Kolkata, clock ahead.", uploads,
            { wrap: Wrap::Syslog, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, skew_s: 12 }),
        scenario!("held3-malformed-response-redis", "A location of the nginx of Debian testing points to a key-value server, which answers with its own protocol; ray and upstream's status in the log; New York, sampled.", redis,
            { debian: Debian::Forky, ray: "nginx $http_cf_ray", tz: "America/New_York", site: Site::UsEast, stamp: Stamp::UnixNano, profile: Profile::Saas, job: Job::Sampled(80) }),
        scenario!("held3-proxy-protocol-reload", "A reload switches PROXY protocol on for nginx 1.26's only listener, and another switches it off again; Berlin.", switched,
            { debian: Debian::Trixie, tz: "Europe/Berlin", stamp: Stamp::Rfc3339Ms, profile: Profile::Magento, skew_s: 21 }),
    ]
}

/// The form that nginx.org's packages bring.
const MAIN: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for"';"#;
const RAY_STATUS: &str = r#"log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" ray=$http_cf_ray us=$upstream_status rt=$request_time';"#;

/// Apache on the same machine; its port is shown as panels have it.
async fn apache_behind(run: &mut Run, web: apache::Apache) -> Result<(nginx::App, usize)> {
    let to = run.local(20, 28080);
    run.addresses.insert(to.to_string(), "127.0.0.1:7080".into());
    let at = apache::Apache { host: 20, real_ip: true, ..web }.start(run, None).await?;
    Ok((nginx::App::Proxy(to.to_string()), at))
}

async fn listed(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/export/tree", "lib/tree.php")], &[])?;
    let net = blocked_net(run, 4);
    let global = "php_admin_value memory_limit 1G".into();
    let (app, _) = apache_behind(run, apache::Apache { global, ..Default::default() }).await?;
    let http = format!("geo $listed {{ default 0; {net} 1; 203.0.113.8 1; }}");
    let server = "if ($listed) { return 444; }".into();
    nginx::Nginx { app, http, server, format: nginx::Format::Custom(MAIN), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    // Their children die in Apache, and nginx says 502.
    drive(run, 0.7, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "decoy", "GET", format!("/export/tree?n={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.visitor.colo == 4).then(|| Label::new("edge-ip-blocked", access(row, "444 0"))));
    Ok(())
}

async fn valid(run: &mut Run) -> Result<()> {
    let routes = [("^/quote/", "lib/rates.php"), ("^/invoice/", "lib/invoice.php"), ("^/media/thumb/", "lib/thumbs.php")];
    site::write(run, &routes, &[("SLEEP", "1.2")])?;
    let (app, at) = apache_behind(run, apache::Apache::default()).await?;
    let http = "limit_req_zone $http_cf_connecting_ip zone=visitor:1m rate=2r/s;".into();
    let in_app = "limit_req zone=visitor burst=6 nodelay; client_max_body_size 20k;".into();
    let web = nginx::Nginx { app, http, in_app, level: "notice", ..Default::default() };
    let front = web.start(run).await?;
    run.origin(10, 28080, None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    run.event("reload of nginx, before the traffic");
    run.procs[front].signal(libc::SIGHUP);
    tokio::time::sleep(Duration::from_secs(2)).await;
    background(run);
    let end = run.set.seconds as f64;
    run.load(4.0, (4.0, end - 3.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        let uri = match rng.random_range(0..4) {
            0 => format!("/quote/shipping?zip={n}"),
            1 => format!("/invoice/{n}/pdf"),
            2 => format!("/media/thumb/{n}"),
            _ => {
                let mut r = v.req(rng, "fault", "POST", format!("/upload/{n}"), who);
                r.body = Body::Full(vec![b'x'; 60_000]);
                return r;
            }
        };
        v.req(rng, "fault", "GET", uri, who)
    });
    for (i, t) in [9.0, 14.5, 19.0, 24.0, 29.5, 37.0, 41.0, 46.5].into_iter().enumerate() {
        run.until(t).await;
        if i % 3 == 2 {
            run.event("graceful restart of Apache, behind nginx");
            run.procs[at].signal(libc::SIGUSR1);
            continue;
        }
        let children = stacks::children(run.procs[at].pid);
        for _ in 0..3 {
            let Some(pid) = children.get(run.rng.random_range(0..children.len().max(1))) else { continue };
            run.event(format!("SIGSEGV to child {pid} of Apache"));
            stacks::kill(*pid, libc::SIGSEGV);
        }
    }
    run.until(end).await;
    run.drain().await;
    Ok(())
}

async fn uploads(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9620, "app.log", &["/api/v2/media=slow:2300", "/reports/build=slow:1100"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9620");
    let in_app = "client_max_body_size 200m; client_body_buffer_size 100m;".into();
    let at = nginx::Nginx { app, in_app, format: nginx::Format::Custom(MAIN), ..Default::default() }.start(run).await?;
    // Workers that it starts later are in the group as well.
    let group = cgroup(run, 170)?;
    let master = run.procs[at].pid;
    for pid in [master].into_iter().chain(stacks::children(master)) {
        std::fs::write(group.join("cgroup.procs"), pid.to_string())?;
    }
    run.origin(10, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(8.0, (0.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..300);
        v.req(rng, "slow", "GET", format!("/reports/build/{n}"), who)
    });
    for at in [8.0, 15.5, 23.0, 31.5, 39.0, 46.5] {
        run.load(5.0, (at, at + 1.4), |rng, v| {
            let who = v.person(rng);
            let n = rng.random_range(1..900);
            let mut r = v.req(rng, "upload", "POST", format!("/api/v2/media/{n}"), who);
            r.body = Body::Full(vec![b'x'; rng.random_range(25..55) << 20]);
            r
        });
    }
    run.until(end).await;
    run.drain().await;
    let pids = oom_pids(run);
    let unit = "/system.slice/nginx.service";
    kernel_log(run, unit, move |m| m.contains("Killed process") && pids.iter().any(|p| m.contains(&format!("process {p} (")))).await?;
    run.label = Box::new(|row, _| cut_off(row).then(|| Label::new("oom-kill", "Killed process||exited on signal 9")));
    Ok(())
}

async fn redis(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9621, "app.log", &[]).await?;
    // The key-value server's log says nothing of it.
    backend(run, 21, 6379, "kv.log", &["/=redis"]).await?;
    run.logs.retain(|(_, to, _)| to != "kv.log");
    let server = format!("location /live/counter/ {{ proxy_pass http://{}:6379; }}", run.ip(21));
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9621");
    nginx::Nginx { app, server, format: nginx::Format::Custom(RAY_STATUS), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.8, (4.0, end), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/live/counter/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (row.why == Why::NotHttp && row.req.tag == "fault")
            .then(|| Label::new("malformed-response", format!("no valid HTTP/1.0 header||{}", access(row, "009"))))
    });
    Ok(())
}

async fn switched(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9622, "app.log", &[]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9622");
    let web = nginx::Nginx { app: app.clone(), ..Default::default() };
    let at = web.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    let with = nginx::Nginx { app, listen: "proxy_protocol", ..Default::default() };
    for (t, conf) in [(27.0, &with), (35.0, &web)] {
        run.until(t).await;
        // The other virtual host of that address has to say the same.
        let text =
            conf.conf(run).replace(&format!("listen {}:28080;", run.ip(10)), &format!("listen {}:28080 {};", run.ip(10), conf.listen));
        run.write("etc/nginx10.conf", &text)?;
        run.event(format!("reload: PROXY protocol {}", if conf.listen.is_empty() { "off" } else { "on" }));
        run.procs[at].signal(libc::SIGHUP);
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        // To a reused connection a reload is the end of an idle connection.
        let reloaded = run.near_event(row, "reload", 0.02, 0.5 + row.rtt.as_secs_f64() * 2.0);
        if cut_off(row) && row.reused && reloaded {
            return Some(Label { cause: "keepalive-race", accept: "server-restart", evidence: String::new() });
        }
        let at = row.sent_at.duration_since(run.began_at).unwrap_or_default().as_secs_f64() / run.set.pace;
        (cut_off(row) && (26.9..37.0).contains(&at)).then(|| Label::new("proxy-protocol", "while reading PROXY protocol"))
    });
    Ok(())
}
