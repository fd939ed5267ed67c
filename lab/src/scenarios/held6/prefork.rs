//! Apache prefork with mod_php.

use std::sync::Arc;

use anyhow::Result;
use rand::Rng;

use super::{LONG_PHP, cron, ssh_bans, uploads};
use crate::collect::{self, Frame, Source};
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::edge::{Visitor, Why};
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::blocked::blocked_net;
use crate::scenarios::{Scenario, access, background, cut_off, drive};
use crate::stacks::{apache, nginx, site};
use crate::traffic::{self, Crowd, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held6-edge-incident-twocolos", "Two of Cloudflare's data centres answer most uncached requests with 520 for a while and contact no origin; Apache of Debian 11 with mod_php 7.4 in a container is healthy; combined, sampled by half; UTC, clock ahead, visitors far away.", incident,
            { debian: Debian::Bullseye, site: Site::UsEast, audience: Some(Site::Europe), job: Job::Sampled(50), stamp: Stamp::Unix, profile: Profile::Saas, skew_s: 12 }),
        // Drawn with HTTP/2 to the origin, which prefork does not speak.
        scenario!("held6-edge-ip-blocked-reputation", "A list of bad addresses in ModSecurity 2 holds one of Cloudflare's networks that RemoteIPTrustedProxy lacks: Apache of Debian testing (mod_php 8.4) drops what comes from there; own format with durations; New York, clock behind, visitors far away.", reputation,
            { debian: Debian::Forky, client: "visitor", tz: "America/New_York", site: Site::UsEast, audience: Some(Site::Europe), stamp: Stamp::Rfc3339Ms, profile: Profile::WordPress, crowd: Crowd::Bots, skew_s: -37 }),
        scenario!("held6-wrong-origin-reassigned", "One of the host's two addresses in DNS was given back and is another customer's, whose nginx closes on unknown names; Apache of Debian 13 with mod_php 8.4, JSON with the ray, error log through logger, older access log beside; sampled by half; Kolkata, clock behind, visitors far away.", reassigned,
            { debian: Debian::Trixie, client: "visitor", ray: "apache %{CF-Ray}i", tz: "Asia/Kolkata", site: Site::India, audience: Some(Site::UsEast), job: Job::Sampled(50), stamp: Stamp::Unix, profile: Profile::WordPress, crowd: Crowd::Bots, rotate: true, status_on_520: 520, skew_s: -5 }),
        scenario!("held6-origin-520-gateway", "A PHP gateway (mod_php 8.4, Apache of Debian 13) hands on the 520 of a carrier's interface; combined and ray, error log in syslog without times of its own; Sydney, clients far away.", gateway,
            { debian: Debian::Trixie, ray: "apache %{CF-Ray}i", tz: "Australia/Sydney", site: Site::Australia, audience: Some(Site::Europe), stamp: Stamp::Rfc3339, profile: Profile::Api, crowd: Crowd::Few }),
        scenario!("held6-rule-dropped-crawltraps", "ModSecurity 2 drops two query arguments that crawlers follow, whoever asks; Apache of Debian 11 with mod_php 7.4 and mod_remoteip, combined and ray; its logs end at half of the time; sampled by half; Sao Paulo.", crawl_traps,
            { debian: Debian::Bullseye, client: "visitor", ray: "apache %{CF-Ray}i", tz: "America/Sao_Paulo", site: Site::Brazil, job: Job::Sampled(50), stamp: Stamp::Rfc3339Ms, profile: Profile::WordPress, crowd: Crowd::Bots, covered: (0.0, 0.55), skew_s: 2 }),
    ]
}

const PEOPLE: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Linux; Android 15; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
];

async fn incident(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/exports/", "lib/long.php"), ("^/billing/", "lib/invoice.php")], &[])?;
    run.write("var/www/site/lib/long.php", LONG_PHP)?;
    apache::Apache { format: apache::Format::Combined, ..Default::default() }.start(run, None).await?;
    let out = [Source { file: "var/log/apache2/access.log", name: "stdout" }, Source { file: "var/log/apache2/error.log", name: "stderr" }];
    collect::start(run, Frame::Docker, &out, "docker/web-json.log")?;
    run.origin(10, 28080, None);
    background(run);
    uploads(run, "/files/", "/exports/");
    let end = run.set.seconds as f64;
    // Fatal errors, answered with a valid 500.
    run.load(0.5, (2.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "decoy", "GET", format!("/billing/{n}"), who)
    });
    for (colo, from, to) in [(2, 17.0, 33.0), (3, 21.5, 30.0)] {
        let group: Vec<Arc<Visitor>> =
            (0..24).map(|_| Arc::new(traffic::visitor(&run.edge.colos, PEOPLE, Some(colo), &mut run.rng))).collect();
        for (window, fails) in [((0.0, from), 0.0), ((from, to), 0.8), ((to, end), 0.0)] {
            let group = group.clone();
            run.load(9.0, window, move |rng, v| {
                let mut r = v.background(rng);
                r.visitor = group[rng.random_range(0..group.len())].clone();
                r.cached = None;
                if rng.random_bool(fails) {
                    (r.edge_only, r.tag) = (Some(520), "incident");
                }
                r
            });
        }
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| (row.why == Why::EdgeOnly).then(|| Label::new("edge-incident", "")));
    Ok(())
}

const DURATIONS: &str = r#"%t %a \"%r\" %>s %O in=%I us=%D \"%{Host}i\" \"%{User-Agent}i\""#;

async fn reputation(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let net = blocked_net(run, 3);
    let list = run.write("etc/bad-addresses.txt", &format!("198.51.100.77\n{net}\n203.0.113.140/30\n198.18.200.0/24\n"))?;
    let mut global = format!(
        "RemoteIPHeader CF-Connecting-IP\nSecRuleEngine On\nSecAuditEngine Off\n\
         SecRule REQUEST_URI \"@contains /.git/\" \"id:100001,phase:1,deny,status:403,log,msg:'Probe'\"\n\
         SecRule REMOTE_ADDR \"@ipMatchFromFile {}\" \"id:100090,phase:1,drop,log,msg:'Bad reputation'\"\n",
        list.display()
    );
    for colo in (0..run.edge.colos.len()).filter(|c| *c != 3) {
        global += &format!("RemoteIPTrustedProxy 127.200.{}.0/24\n", colo + 1);
    }
    apache::Apache {
        modules: &["remoteip", "unique_id", "security2"],
        format: apache::Format::Custom(DURATIONS),
        global,
        ..Default::default()
    }
    .start(run, None)
    .await?;
    ssh_bans(run)?;
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        // One visitor of the list, shown with his own address.
        let listed = row.req.visitor.ip == "198.51.100.77"
            || row.req.visitor.ip.starts_with("198.18.200.")
            || row.req.visitor.ip.starts_with("203.0.113.14");
        if cut_off(row) && row.req.visitor.colo == 3 {
            return Some(Label::new("edge-ip-blocked", "Access denied with connection close"));
        }
        (cut_off(row) && listed).then(|| Label::new("client-blocked", "Access denied with connection close"))
    });
    Ok(())
}

const JSON_RAY: &str = r#"{\"time\":\"%{%Y-%m-%dT%H:%M:%S%z}t\",\"ray\":\"%{CF-Ray}i\",\"client\":\"%a\",\"host\":\"%{Host}i\",\"method\":\"%m\",\"path\":\"%U%q\",\"status\":%>s,\"size\":%B,\"us\":%D,\"agent\":\"%{User-Agent}i\"}"#;

async fn reassigned(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    apache::Apache { real_ip: true, format: apache::Format::Custom(JSON_RAY), ..Default::default() }.start(run, None).await?;
    cron(run)?;
    let daemon = [Source { file: "var/log/apache2/error.log", name: "apache2" }, Source { file: "var/log/cron.log", name: "CRON[41877]" }];
    collect::start(run, Frame::Rfc3164, &daemon, "syslog")?;
    run.origin(10, 28080, None);
    // Another customer's machine; its logs are not here.
    let known = run.servers.len();
    nginx::Nginx { dir: "other", host: 12, server: "return 444;".into(), ..Default::default() }.start(run).await?;
    run.servers.truncate(known);
    run.logs.retain(|(_, to, _)| !to.starts_with("other/"));
    run.origin(12, 28080, None);
    background(run);
    let end = run.set.seconds as f64;
    run.load(3.4, (6.0, end), |rng, v| {
        let mut r = v.background(rng);
        (r.origin, r.cached, r.tag) = (1, None, "stale");
        r.host = v.host().into();
        r
    });
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.origin == 1).then(|| Label::new("wrong-origin", "")));
    Ok(())
}

async fn gateway(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/v1/shipments/.*/rates", "lib/upstream.php")], &[])?;
    // Apache leaves out the time where syslog stamps the line.
    let global = "ErrorLogFormat \"[%-m:%l] [pid %P] %7F: %E: [client\\ %a] %M% ,\\ referer\\ %{Referer}i\"\n".into();
    let format = apache::Format::Custom(r#"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" \"%{CF-Ray}i\""#);
    apache::Apache { format, global, ..Default::default() }.start(run, None).await?;
    cron(run)?;
    let daemon =
        [Source { file: "var/log/apache2/error.log", name: "apache2[912]" }, Source { file: "var/log/cron.log", name: "CRON[20114]" }];
    collect::start(run, Frame::Rfc3164, &daemon, "syslog")?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.2, (3.0, end), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..700);
        let mut r = v.req(rng, "fault", "GET", format!("/v1/shipments/{n}/rates"), who);
        if n % 3 == 0 {
            // Another call, which the shop answers on its own.
            (r.uri, r.tag) = (format!("/v1/shipments/{n}"), "background");
        }
        r
    })
    .await;
    run.label =
        Box::new(|row, _| (row.why == Why::Answer && row.req.tag == "fault").then(|| Label::new("origin-520", access(row, "520 "))));
    Ok(())
}

async fn crawl_traps(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let global = "SecRuleEngine On\nSecAuditEngine Off\n\
         SecRule REQUEST_URI \"@contains /.env\" \"id:100001,phase:1,deny,status:403,log,msg:'Probe'\"\n\
         SecRule ARGS_NAMES \"@rx ^(replytocom|add-to-cart)$\" \"id:100044,phase:1,drop,log,msg:'Crawl trap'\"\n";
    apache::Apache {
        real_ip: true,
        format: apache::Format::CfCustom,
        modules: &["unique_id", "security2"],
        global: global.into(),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    ssh_bans(run)?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 3.4, (2.0, end), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(100..9000);
        let uri = match n % 4 {
            0 => format!("/category/office/?add-to-cart={n}"),
            // The same pages with an argument that nobody minds.
            1 => format!("/2026/09/lamp-{}/?share={n}", n % 40),
            _ => format!("/2026/09/lamp-{}/?replytocom={n}", n % 40),
        };
        v.req(rng, "rule", "GET", uri, who)
    })
    .await;
    run.label = Box::new(|row, run| {
        let label = Label::new("rule-dropped", "Access denied with connection close");
        (cut_off(row) && row.req.tag == "rule").then(|| super::as_covered(label, row, run))
    });
    Ok(())
}
