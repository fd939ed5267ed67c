//! What goes wrong on the wire: garbage, races, a missing PROXY header, a refused certificate, headers
//! that are too large, a file system that became read-only.

use std::time::Duration;

use anyhow::{Result, bail};
use rand::Rng;
use tokio::process::Command;

use crate::collect::{self, Frame, Source};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::tls::{TlsOptions, client};
use crate::edge::{Origin, Why};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::race::{devices, raced};
use crate::scenarios::{Scenario, access, backend, background, cut_off, drive};
use crate::stacks::{apache, certificates, edges, fpm, lighttpd, nginx, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("dev2-malformed-response-docker", "nginx 1.26 proxies one path to a service that does not speak HTTP; the JSON log has bare numbers (`009`, empty ones), and Docker's JSON is around it.", garbage,
            { debian: Debian::Trixie, stamp: Stamp::UnixNano, profile: Profile::Api, status_on_520: 520 }),
        scenario!("dev2-keepalive-race-lighttpd", "lighttpd closes idle connections after 5 s or a little more; devices report about as often. Sao Paulo.", race,
            { tz: "America/Sao_Paulo", site: Site::Brazil, stamp: Stamp::Rfc3339Ms, profile: Profile::Forum, skew_s: -12, rate: 20.0, seconds: 70 }),
        scenario!("dev2-proxy-protocol-apache", "A virtual host of Apache event expects PROXY protocol (mod_remoteip); another address of the zone is healthy.", proxy_protocol,
            { debian: Debian::Trixie, stamp: Stamp::Rfc3339, tz: "Europe/Berlin", profile: Profile::Magento, skew_s: 45 }),
        scenario!("dev2-server-io-readonly", "The file system under proxy_cache becomes read-only while nginx 1.26 runs: pages to be cached are aborted before the first byte.", read_only,
            { debian: Debian::Trixie, stamp: Stamp::Unix, profile: Profile::Api, tz: "Asia/Kolkata", site: Site::India }),
        scenario!("dev2-headers-too-large-magento", "X-Magento-Tags of large categories outgrow the limit; the log has $request_length and $bytes_sent; New York, sampled.", tags,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms, profile: Profile::Magento, job: Job::Sampled(85), skew_s: 5 }),
        scenario!("dev2-origin-pull-rejected-haproxy", "haproxy 3.0 ends TLS, requires Cloudflare's client certificate and speaks HTTP; after a zone change the edge shows one of another authority.", pull,
            { debian: Debian::Trixie, stamp: Stamp::Rfc3339Ms, tz: "Europe/Berlin", profile: Profile::Forum, ray: "haproxy capture" }),
    ]
}

const BARE_JSON: &str = r#"log_format main escape=json '{"ts":"$time_iso8601","remote":"$remote_addr","host":"$host","req":"$request_method $request_uri $server_protocol","status":$status,"len":$bytes_sent,"rt":$request_time,"urt":$upstream_response_time,"ust":$upstream_status,"ua":"$http_user_agent"}';"#;

async fn garbage(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9420, "app.log", &["/v1/stream=garbage"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9420");
    nginx::Nginx { app, format: nginx::Format::Custom(BARE_JSON), ..Default::default() }.start(run).await?;
    let web = [Source { file: "var/log/nginx/access.log", name: "stdout" }, Source { file: "var/log/nginx/error.log", name: "stderr" }];
    collect::start(run, Frame::Docker, &web, "containers/web-1-json.log")?;
    collect::start(run, Frame::Docker, &[Source { file: "var/log/app.log", name: "stdout" }], "containers/api-1-json.log")?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.7, (5.0, end), |rng, v| {
        let who = v.app(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "fault", "GET", format!("/v1/stream/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        let line = format!("{} {} HTTP/1.1\",\"status\":009", row.req.method, row.req.uri);
        let text = format!("no valid HTTP/1.0 header||{line}||{}", line.replace('"', "\\\""));
        (row.why == Why::NotHttp && row.req.tag == "fault").then(|| Label::new("malformed-response", text))
    });
    Ok(())
}

async fn race(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    lighttpd::Lighttpd { idle: 5, ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    background(run);
    // It looks at its idle connections once a second.
    devices(run, 5.6, 40);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| raced(row, 4.9).then(|| Label::new("keepalive-race", "")));
    Ok(())
}

async fn proxy_protocol(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let (ip, host, root) = (run.ip(11), run.visitors.host(), run.root.display());
    let tail = format!(
        "Listen {ip}:28080\n<VirtualHost {ip}:28080>\nServerName {host}\nDocumentRoot {root}/var/www/site/public\nRemoteIPProxyProtocol On\n</VirtualHost>\n"
    );
    apache::Apache { app: apache::App::Fpm("www"), modules: &["remoteip"], tail, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.2, (3.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.cached, r.tag) = (1, None, "fault");
        r.host = v.host().into();
        r
    })
    .await;
    run.label = Box::new(|row, _| {
        // Apache says nothing of the connections, only at its start which address expects the header.
        let label = Label { cause: "proxy-protocol", accept: "unknown", evidence: "RemoteIPProxyProtocol: enabled on".into() };
        (cut_off(row) && row.req.origin == 1).then_some(label)
    });
    Ok(())
}

async fn read_only(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9421, "app.log", &[]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9421");
    let cache = run.path("var/cache").display().to_string();
    std::fs::create_dir_all(&cache)?;
    // Where Debian 13's servers see it.
    let seen = format!("{}{cache}", crate::stacks::rootfs::TRIXIE);
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(&seen).status();
    if !mount(&["-t", "tmpfs", "-o", "size=40m,mode=777", "tmpfs"]).await?.success() {
        bail!("tmpfs");
    }
    let http = format!(
        "proxy_cache_path {cache} levels=1:2 keys_zone=pages:4m inactive=10m use_temp_path=off;\n  map $uri $skip {{ default 1; ~^/v1/public/ \"\"; }}"
    );
    let in_app =
        "proxy_cache pages; proxy_cache_key $host$request_uri; proxy_cache_valid 200 2s; proxy_cache_bypass $skip; proxy_no_cache $skip;";
    nginx::Nginx { app, http, in_app: in_app.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let place = seen.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(14)).await;
        let _ = Command::new("mount").args(["-o", "remount,ro", &place]).status().await;
    });
    drive(run, 2.6, (1.0, run.set.seconds as f64), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..5000);
        v.req(rng, "cached", "GET", format!("/v1/public/{n}"), who)
    })
    .await;
    run.snapshot_logs();
    let _ = Command::new("umount").args(["-l", &seen]).status().await;
    run.notes.push("The file system under the cache is a tmpfs that is remounted read-only after 14 s.".into());
    run.label = Box::new(|row, _| {
        let text = format!("failed (30: Read-only file system)||{}", access(row, "200 0"));
        (cut_off(row) && row.req.tag == "cached").then(|| Label::new("server-io", text))
    });
    Ok(())
}

const TAGS: &str = r#"<?php
header('Content-Type: text/html');
usleep(random_int(2000, 20000));
$big = crc32($path) % 3 == 0;
header('X-Magento-Tags: cat_c,cat_p,store' . implode('', array_map(fn($i) => ',cat_p_' . (100000 + $i * 7), range(1, $big ? 10400 : 900))));
echo str_repeat('<li>' . md5($path) . '</li>', 300);
"#;
const LENGTHS: &str = r#"log_format main '$remote_addr [$time_local] $host "$request" $status $request_length $bytes_sent $request_time "$http_user_agent"';"#;

async fn tags(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/c/", "lib/tags.php")], &[])?;
    run.write("var/www/site/lib/tags.php", TAGS)?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx {
        format: nginx::Format::Custom(LENGTHS),
        fastcgi_buffers: "fastcgi_buffers 16 256k; fastcgi_buffer_size 256k; fastcgi_busy_buffers_size 512k;",
        ..Default::default()
    }
    .start(run)
    .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 4.5, (2.0, end - 2.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..70);
        v.req(rng, "category", "GET", format!("/c/category-{n}.html?p={}", n % 3 + 1), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (row.why == Why::HeaderTooLarge && row.req.tag == "category").then(|| Label::new("headers-too-large", access(row, "200 ")))
    });
    Ok(())
}

async fn pull(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    backend(run, 20, 9422, "app.log", &["/u/=slow:700"]).await?;
    let ssl = run.path("etc/ssl");
    let bind = format!(" ssl crt {0}/server.pem ca-file {0}/pull-ca.crt verify required", ssl.display());
    edges::Haproxy { host: 10, to_host: 20, to_port: 9422, rules: "", bind }.start(run).await?;
    let show =
        |who: &str| client(TlsOptions { client_cert: Some((&ssl.join(format!("{who}.crt")), &ssl.join(format!("{who}.key")))), h2: false });
    let origin = run.origin(10, 28443, Some(show("pull")?));
    let now = run.edge.origins.lock().unwrap()[origin].clone();
    background(run);
    let end = run.set.seconds as f64;
    // Slow pages need connections of their own, and some of them new ones.
    run.load(9.0, (30.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..90);
        v.req(rng, "slow", "GET", format!("/u/clock{n}/summary.json"), who)
    });
    run.until(34.0).await;
    run.event("the edge shows a certificate of another authority");
    run.edge.set_origin(origin, Origin { tls: Some(show("other")?), ..now });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (row.why == Why::TlsAlert || cut_off(row) && !row.reused)
            .then(|| Label::new("origin-pull-rejected", "SSL client certificate not trusted"))
    });
    Ok(())
}
