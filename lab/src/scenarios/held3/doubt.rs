//! What these logs cannot tell, and two servers with a cause each.

use std::sync::Arc;

use anyhow::Result;
use rand::Rng;

use crate::edge::Visitor;
use crate::edge::colo::Site;
use crate::edge::logpush::Stamp;
use crate::run::{Debian, Label, Run};
use crate::scenario;
use crate::scenarios::crash::{DROP, HIDE, crashes, slow_reports, took};
use crate::scenarios::{Scenario, backend, background, cut_off, drive};
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::{self, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("held3-cannot-tell-applog", "nginx workers crash before an application, and only the application's own log is there: it answered, or was answering.", applog,
            { tz: "America/New_York", site: Site::UsEast, stamp: Stamp::Rfc3339Ms, profile: Profile::Saas, skew_s: 9 }),
        scenario!("held3-cannot-tell-quietrule", "nginx 1.26 closes (444) on one location whose access_log is off: no line says so.", quiet,
            { debian: Debian::Trixie, tz: "Europe/Berlin", stamp: Stamp::Unix, profile: Profile::Shop }),
        scenario!("held3-mixed-lb", "web1 (nginx, four static FPM children, clock 25 s behind) is full in bursts and maps its 502 to 444; web2 (Apache, ModSecurity 2, clock 70 s ahead) drops two agents, which web1 answers; Berlin.", balanced,
            { debian: Debian::Trixie, tz: "Europe/Berlin", stamp: Stamp::Rfc3339Ms, profile: Profile::Magento }),
    ]
}

async fn applog(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    backend(run, 20, 9640, "app.log", &["/reports/build=slow:1200"]).await?;
    let app = nginx::App::Proxy(run.ip(20).to_string() + ":9640");
    let at = nginx::Nginx { app, ..Default::default() }.start(run).await?;
    run.logs.retain(|(_, to, _)| !to.starts_with("nginx/"));
    run.origin(10, 28080, None);
    let master = run.procs[at].pid;
    background(run);
    slow_reports(run);
    crashes(run, master, libc::SIGSEGV, &[9.4, 17.2, 24.8, 33.3, 40.1, 47.5]).await;
    run.label = Box::new(|row, run| {
        let late = row.rtt.as_secs_f64() * 2.0 + 0.2;
        (cut_off(row) && run.near_event(row, "SIGSEGV", 0.02, late)).then(|| Label::new("unknown", ""))
    });
    Ok(())
}

async fn quiet(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let server = "location ^~ /go/ { access_log off; log_not_found off; return 444; }".into();
    nginx::Nginx { server, format: nginx::Format::CfCustom, ..Default::default() }.start(run).await?;
    run.set.ray = "nginx $http_cf_ray";
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 1.6, (3.0, end), |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..500);
        v.req(rng, "rule", "GET", format!("/go/partner-{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| {
        // One location's requests fail and leave no line: whoever concludes that a rule closes is right.
        let label = Label { cause: "unknown", accept: "rule-dropped", evidence: String::new() };
        (cut_off(row) && row.req.tag == "rule").then_some(label)
    });
    Ok(())
}

async fn balanced(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "1.5")])?;
    run.skews.insert("web1".into(), -25);
    run.skews.insert("web2".into(), 70);
    let extra = "pm = static\nlisten.backlog = 6".into();
    fpm::Fpm { children: 4, extra, log_as: "web1/php8.2-fpm.log", ..Default::default() }.start(run, None).await?;
    nginx::Nginx { dir: "web1/nginx", in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    let global = "SecRuleEngine On\nSecAuditEngine Off\nSecRule REQUEST_URI \"@contains /.git/\" \"id:100001,phase:1,deny,status:403,log,msg:'Probe'\"\n\
         SecRule REQUEST_HEADERS:User-Agent \"@rx (?i)bytespider|dotbot\" \"id:100011,phase:1,drop,log,msg:'Crawler'\"\n";
    let modules = &["unique_id", "security2"];
    apache::Apache { dir: "web2/apache2", host: 11, modules, global: global.into(), ..Default::default() }.start(run, None).await?;
    run.origin(10, 28080, None);
    run.origin(11, 28080, None);
    let agents =
        &["Mozilla/5.0 (compatible; Bytespider; spider-feedback@bytedance.com)", "Mozilla/5.0 (compatible; DotBot/1.2; help@moz.com)"];
    let mut rng = run.rng.clone();
    let crawlers: Vec<Arc<Visitor>> = (0..7).map(|_| Arc::new(traffic::visitor(&run.edge.colos, agents, None, &mut rng))).collect();
    background(run);
    let end = run.set.seconds as f64;
    run.load(run.set.rate * 0.7, (0.0, end), |rng, v| {
        let mut r = v.background(rng);
        r.origin = 1;
        r
    });
    run.load(3.2, (2.0, end), move |rng, v| {
        let mut r = v.background(rng);
        (r.tag, r.cached, r.cacheable) = ("crawler", None, false);
        r.host = v.host().into();
        r.visitor = crawlers[rng.random_range(0..crawlers.len())].clone();
        r.origin = rng.random_range(0..2);
        r
    });
    let bursts = [12.0, 27.0, 43.0];
    for at in bursts {
        run.load(9.0, (at, at + 3.0), |rng, v| {
            let who = v.person(rng);
            let n = rng.random_range(1..900);
            v.req(rng, "slow", "GET", format!("/quote/shipping?zip={n}"), who)
        });
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(move |row, run| {
        let at = row.sent_at.duration_since(run.began_at).unwrap_or_default().as_secs_f64() / run.set.pace;
        let full = bursts.iter().any(|b| at > *b && at < b + 9.0);
        match row.req.origin {
            0 if cut_off(row) && full => Some(Label::new("pool-exhausted", "failed (11: Resource temporarily unavailable)")),
            1 if cut_off(row) && row.req.tag == "crawler" => Some(Label::new("client-blocked", "Access denied with connection close")),
            // After a denial in phase 1 Apache ends the connection without having said so, and the next request may be on its way.
            1 if cut_off(row) && row.reused && took(row) < 0.05 => {
                Some(Label { cause: "keepalive-race", accept: "unknown", evidence: String::new() })
            }
            _ => None,
        }
    });
    Ok(())
}
