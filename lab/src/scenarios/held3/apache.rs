//! Apache: mod_php of an older release, PHP-FPM behind event, proxies to applications.

use anyhow::Result;
use rand::Rng;

use crate::edge::Why;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Debian, Label, Run, Wrap};
use crate::scenario;
use crate::scenarios::apaches::all_workers_taken;
use crate::scenarios::race::{devices, raced};
use crate::scenarios::tls::switch;
use crate::scenarios::{Scenario, access, backend, background, cut_off, drive};
use crate::stacks::{apache, certificates, fpm, site};
use crate::traffic::Profile;

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held3-worker-crash-modphp74", "Apache of Debian 11 with mod_php 7.4: pages overflow the stack; mod_remoteip, the ray last after the milliseconds; a graceful restart before the traffic. New York, clock ahead.", crash,
            { debian: Debian::Bullseye, client: "visitor", ray: "apache %{CF-Ray}i", tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms, skew_s: 27, rotate: true, status_on_520: 520, profile: Profile::Forum }),
        scenario!("held3-pool-exhausted-event-busy", "Apache 2.4 of Debian 13 (event, PHP-FPM) has all of its 50 threads busy with slow pages, and closes idle connections that far colos are about to reuse. Berlin.", busy,
            { debian: Debian::Trixie, tz: "Europe/Berlin", site: Site::Brazil, stamp: Stamp::UnixNano, profile: Profile::Magento, seconds: 75 }),
        scenario!("held3-headers-too-large-apache-backend", "An application behind Apache event sends 140 KB of debug headers for some; Debian's vhost_combined; fourteen fields; Kolkata, clock behind.", headers,
            { tz: "Asia/Kolkata", site: Site::India, job: Job::Fourteen, stamp: Stamp::Rfc3339, skew_s: -35, profile: Profile::Saas }),
        scenario!("held3-backend-closed-balancer", "Two members of an Apache balancer close some searches without an answer; mod_remoteip, duration last; New York.", balancer,
            { client: "visitor", tz: "America/New_York", site: Site::UsEast, stamp: Stamp::UnixNano, profile: Profile::Api, status_on_520: 520, skew_s: 6 }),
        scenario!("held3-throttled-crs-dos", "ModSecurity 2 counts requests by address and drops above a limit; without mod_remoteip the busy addresses are Cloudflare's.", dos,
            { stamp: Stamp::Unix, profile: Profile::WordPress, skew_s: -4 }),
        scenario!("held3-origin-pull-rejected-proxy", "Apache 2.4 of Debian 13 before an application requires Cloudflare's client certificate; after a zone change the edge shows none. TLS 1.3, ssl:info; everything in syslog; Kolkata.", pull,
            { debian: Debian::Trixie, wrap: Wrap::Syslog, tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas }),
        scenario!("held3-keepalive-race-apache15", "Apache 2.4 of Debian 13 before an application closes idle connections after 15 s; devices report about four times a minute; mod_remoteip, ray in the log.", race,
            { debian: Debian::Trixie, client: "visitor", ray: "apache %{CF-Ray}i", tz: "Asia/Kolkata", site: Site::India, stamp: Stamp::UnixNano, profile: Profile::Saas, seconds: 110, rate: 20.0, skew_s: 19 }),
        scenario!("held3-origin-520-proxyfcgi", "PHP 7.4 behind Apache of Debian 11 (event, proxy_fcgi) relays a 520 of another zone; journal; clock ahead.", says_520,
            { debian: Debian::Bullseye, wrap: Wrap::Journal, stamp: Stamp::Rfc3339, profile: Profile::Shop, skew_s: 18 }),
    ]
}

const MS_RAY: &str = r#"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %{ms}T %{CF-Ray}i"#;
const VHOST_COMBINED: &str = r#"%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""#;
const MICROS: &str = r#"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D"#;
const RAY_FIRST: &str = r#"%{CF-Ray}i %h %u %t \"%r\" %>s %B %D \"%{User-Agent}i\""#;
const TLS_VARS: &str = r#"%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %{SSL_PROTOCOL}x %{SSL_CLIENT_VERIFY}x"#;
const JSON_D: &str = r#"{\"time\":\"%{%Y-%m-%dT%H:%M:%S%z}t\",\"client\":\"%h\",\"host\":\"%{Host}i\",\"request\":\"%r\",\"status\":%>s,\"bytes\":%B,\"us\":%D,\"keepalives\":%k,\"agent\":\"%{User-Agent}i\"}"#;

async fn crash(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/sitemap/", "lib/tree.php")], &[])?;
    let global = "php_admin_value memory_limit 1G".into();
    let web = apache::Apache { real_ip: true, format: apache::Format::Custom(MS_RAY), global, ..Default::default() };
    let at = web.start(run, None).await?;
    run.origin(10, 28080, None);
    // Apache listens before it minds signals.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    run.event("graceful restart of Apache, before the traffic");
    run.procs[at].signal(libc::SIGUSR1);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let end = run.set.seconds as f64;
    drive(run, 1.7, (4.0, end - 2.0), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/sitemap/forum-{n}.xml"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "fault").then(|| Label::new("worker-crash", "exit signal Segmentation fault (11)"))
    });
    Ok(())
}

async fn busy(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/rates/", "lib/rates.php")], &[("SLEEP", "1.6")])?;
    fpm::Fpm { children: 60, ..Default::default() }.start(run, None).await?;
    let web = apache::Apache {
        app: apache::App::Fpm("www"),
        workers: 50,
        format: apache::Format::Custom(JSON_D),
        global: "MinSpareThreads 10\nMaxSpareThreads 60".into(),
        ..Default::default()
    };
    web.start(run, None).await?;
    run.origin(10, 28080, None);
    all_workers_taken(run, [8.0, 16.0, 24.5, 33.0, 42.0, 51.0, 60.0], 42.0, |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/rates/zone-{n}"), who)
    })
    .await;
    Ok(())
}

async fn headers(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9610, "app.log", &["/api/v2/audit=headers:140"]).await?;
    let app = apache::App::Proxy(run.ip(20).to_string() + ":9610");
    apache::Apache { app, format: apache::Format::Custom(VHOST_COMBINED), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.6, (4.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..50_000);
        v.req(rng, "fault", "GET", format!("/api/v2/audit?user={n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        (row.why == Why::HeaderTooLarge && row.req.tag == "fault").then(|| Label::new("headers-too-large", access(row, "200 ")))
    });
    Ok(())
}

async fn balancer(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9611, "app-1.log", &["/v1/search=sometimes:4"]).await?;
    backend(run, 21, 9612, "app-2.log", &["/v1/search=sometimes:5"]).await?;
    let (one, two) = (run.ip(20), run.ip(21));
    let vhost = format!(
        "<Proxy balancer://app>\nBalancerMember http://{one}:9611\nBalancerMember http://{two}:9612\n</Proxy>\nProxyPass /v1/ balancer://app/v1/\n"
    );
    apache::Apache {
        app: apache::App::Proxy(format!("{one}:9611")),
        real_ip: true,
        format: apache::Format::Custom(MICROS),
        modules: &["proxy_balancer", "lbmethod_byrequests", "slotmem_shm"],
        vhost,
        ..Default::default()
    }
    .start(run, None)
    .await?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.uri.starts_with("/v1/search")).then(|| Label::new("backend-closed", "AH01102: error reading status line"))
    });
    Ok(())
}

async fn dos(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let data = run.path("var/modsec");
    std::fs::create_dir_all(&data)?;
    std::os::unix::fs::chown(&data, Some(33), Some(33))?;
    let global = format!(
        "SecRuleEngine On\nSecAuditEngine Off\nSecDataDir {}\n\
         SecRule REQUEST_URI \"@contains /.env\" \"id:930130,phase:1,deny,status:403,log,msg:'Restricted File Access Attempt'\"\n\
         SecAction \"id:900001,phase:1,nolog,pass,initcol:ip=%{{REMOTE_ADDR}}\"\n\
         SecRule REQUEST_FILENAME \"!@rx \\.(css|js|webp|ico)$\" \"id:912110,phase:1,nolog,pass,setvar:ip.dos_counter=+1,deprecatevar:ip.dos_counter=5/1\"\n\
         SecRule IP:DOS_COUNTER \"@gt 12\" \"id:912120,phase:1,drop,log,msg:'Denial of Service (DoS) attack identified from %{{remote_addr}}'\"\n",
        data.display()
    );
    apache::Apache { modules: &["unique_id", "security2"], global, ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    background(run);
    // A newsletter goes out: many people at a time, few requests each.
    for at in [9.0, 21.0, 33.5, 45.0] {
        run.load(85.0, (at, at + 3.0), |rng, v| {
            let mut r = v.background(rng);
            (r.cached, r.tag) = (None, "newsletter");
            r
        });
    }
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        // The layer refuses Cloudflare's addresses, if only the busy ones.
        let evidence = "Access denied with connection close".into();
        cut_off(row).then_some(Label { cause: "throttled", accept: "edge-ip-blocked", evidence })
    });
    Ok(())
}

async fn pull(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    certificates(run).await?;
    backend(run, 20, 9613, "app.log", &[]).await?;
    let ca = run.path("etc/ssl/pull-ca.crt");
    apache::Apache {
        tls: true,
        level: "warn ssl:info",
        app: apache::App::Proxy(run.ip(20).to_string() + ":9613"),
        format: apache::Format::Custom(TLS_VARS),
        global: "MaxKeepAliveRequests 40".into(),
        vhost: format!("SSLVerifyClient require\nSSLVerifyDepth 1\nSSLCACertificateFile {}\n", ca.display()),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    switch(run, 28443, 34.0, false).await?;
    run.label = Box::new(|row, _| {
        (row.why == Why::TlsAlert || cut_off(row) && !row.reused)
            .then(|| Label::new("origin-pull-rejected", "AH02008||peer did not return a certificate"))
    });
    Ok(())
}

async fn race(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9614, "app.log", &[]).await?;
    apache::Apache {
        app: apache::App::Proxy(run.ip(20).to_string() + ":9614"),
        keepalive: 15,
        real_ip: true,
        format: apache::Format::Custom(RAY_FIRST),
        // Apache ends no child of its own accord, whose connections would end too.
        global: "MaxSpareThreads 400".into(),
        vhost: format!("ServerAlias iot.{}", run.visitors.zone()),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    run.origin(10, 28080, None);
    background(run);
    devices(run, 15.0, 42);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| raced(row, 15.0).then(|| Label::new("keepalive-race", "")));
    Ok(())
}

async fn says_520(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/dealer/", "lib/upstream.php")], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    apache::Apache { app: apache::App::Fpm("www"), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.4, (4.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/dealer/offers/{n}"), who)
    })
    .await;
    run.label =
        Box::new(|row, _| (row.why == Why::Answer && row.req.tag == "fault").then(|| Label::new("origin-520", access(row, "520 "))));
    Ok(())
}
