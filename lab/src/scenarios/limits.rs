//! Limits, lists and bans of other kinds than in `blocked`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use rand::Rng;
use tokio::process::Command;

use super::crash::{DROP, HIDE};
use super::{Scenario, access, background, cut_off, drive};
use crate::edge::Visitor;
use crate::edge::colo::Site;
use crate::edge::logpush::{Job, Stamp};
use crate::run::{Label, Run};
use crate::scenario;
use crate::stacks::{apache, fpm, nginx, site};
use crate::traffic::{self, Profile};

pub fn table() -> Vec<Scenario> {
    vec![
        scenario!("client-blocked-limitconn", "limit_conn by address with real_ip on and status 444: one greedy visitor is closed, nobody else.", limitconn_visitor,
            { client: "visitor", stamp: Stamp::Rfc3339Ms, tz: "America/New_York", site: Site::UsEast }),
        scenario!("client-blocked-modsec-visitor", "ModSecurity 2 drops a visitor network behind mod_remoteip; audit log beside the others; ray in the access log.", modsec_visitor,
            { client: "visitor", ray: "apache %{CF-Ray}i", stamp: Stamp::Unix, profile: Profile::WordPress, skew_s: -17 }),
        scenario!("throttled-modqos", "mod_qos limits connections per address, and the addresses are Cloudflare's.", modqos,
            { stamp: Stamp::UnixNano, profile: Profile::Saas }),
        scenario!("rule-dropped-catchall", "A new host name is missing in nginx's server_name; the catch-all server returns 444 and has a log of its own.", catchall,
            { stamp: Stamp::Rfc3339, tz: "Asia/Kolkata", site: Site::India, skew_s: -50 }),
        scenario!("edge-ip-blocked-fail2ban", "fail2ban bans Cloudflare addresses (REJECT with reset): connections in use are reset (520), new ones refused (521); application errors behind 444 in the same minute.", fail2ban,
            { stamp: Stamp::Rfc3339Ms, job: Job::All }),
    ]
}

async fn limitconn_visitor(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/quote/", "lib/rates.php")], &[("SLEEP", "0.9")])?;
    fpm::Fpm { children: 30, ..Default::default() }.start(run, None).await?;
    let http = "limit_conn_zone $binary_remote_addr zone=greedy:1m; limit_conn_status 444;";
    nginx::Nginx { real_ip: true, http: http.into(), in_app: "limit_conn greedy 4;".into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    let greedy: Vec<Arc<Visitor>> =
        (0..2).map(|_| Arc::new(traffic::visitor(&run.edge.colos, &["python-requests/2.32.5"], None, &mut run.rng))).collect();
    background(run);
    let end = run.set.seconds as f64;
    run.load(3.0, (2.0, end), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/quote/shipping?zip={n}"), who)
    });
    for (i, who) in greedy.into_iter().enumerate() {
        let at = 9.0 + 22.0 * i as f64;
        run.load(10.0, (at, at + 7.0), move |rng, v| {
            let n = rng.random_range(1..900);
            v.req(rng, "greedy", "GET", format!("/quote/shipping?zip={n}"), who.clone())
        });
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        (cut_off(row) && row.req.tag == "greedy")
            .then(|| Label::new("client-blocked", format!("limiting connections by zone||{}", access(row, "444 0"))))
    });
    Ok(())
}

async fn modsec_visitor(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    let root = run.root.display();
    std::fs::create_dir_all(run.path("var/log/apache2"))?;
    let global = format!(
        "SecRuleEngine On\nSecAuditEngine RelevantOnly\nSecAuditLogType Serial\nSecAuditLogParts ABHZ\nSecAuditLog {root}/var/log/apache2/modsec_audit.log\n\
         SecRule REQUEST_URI \"@contains /cgi-bin/test\" \"id:100001,phase:1,deny,status:403,log,msg:'Probe'\"\n\
         SecRule REMOTE_ADDR \"@ipMatch 198.51.100.64/26\" \"id:100050,phase:1,drop,log,msg:'Listed network'\"\n"
    );
    apache::Apache { modules: &["unique_id", "security2"], global, real_ip: true, format: apache::Format::CfCustom, ..Default::default() }
        .start(run, None)
        .await?;
    run.log("var/log/apache2/modsec_audit.log", "apache2/modsec_audit.log", "modsec");
    run.origin(10, 28080, None);
    background(run);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
    run.label = Box::new(|row, _| {
        let last: Option<u8> = row.req.visitor.ip.strip_prefix("198.51.100.").and_then(|n| n.parse().ok());
        (cut_off(row) && last.is_some_and(|n| (64..128).contains(&n)))
            .then(|| Label::new("client-blocked", "Access denied with connection close"))
    });
    Ok(())
}

async fn modqos(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/reports/build/", "lib/rates.php")], &[("SLEEP", "1.0")])?;
    fpm::Fpm { children: 40, ..Default::default() }.start(run, None).await?;
    apache::Apache {
        app: apache::App::Fpm("www"),
        threads: "worker",
        modules: &["unique_id", "qos"],
        // Debian 12's module does not name the library it needs.
        before: "LoadFile /usr/lib/x86_64-linux-gnu/libpcre.so.3\n",
        global: "QS_SrvMaxConnPerIP 6\n".into(),
        ..Default::default()
    }
    .start(run, None)
    .await?;
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 16.0, (12.0, end - 4.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..900);
        v.req(rng, "slow", "GET", format!("/reports/build/{n}"), who)
    })
    .await;
    run.label = Box::new(|row, _| cut_off(row).then(|| Label::new("throttled", "QS_SrvMaxConnPerIP rule")));
    Ok(())
}

async fn catchall(run: &mut Run) -> Result<()> {
    site::write(run, &[], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    let (ip, root) = (run.ip(10), run.root.display());
    let http = format!(
        "server {{ listen {ip}:28080 default_server; server_name _; access_log {root}/var/log/nginx/default.log main; return 444; }}"
    );
    nginx::Nginx { default_server: "", http, ..Default::default() }.start(run).await?;
    run.log("var/log/nginx/default.log", "nginx/default.log", "nginx");
    run.origin(10, 28080, None);
    let end = run.set.seconds as f64;
    drive(run, 2.0, (8.0, end), |rng, v| {
        let mut r = v.background(rng);
        r.host = format!("m.{}", v.zone());
        (r.cached, r.tag) = (None, "catchall");
        r
    })
    .await;
    run.label = Box::new(|row, _| (cut_off(row) && row.req.tag == "catchall").then(|| Label::new("rule-dropped", access(row, "444 0"))));
    Ok(())
}

/// Packet filter rules of one recording; gone when it is dropped.
pub struct Bans {
    rules: Vec<Vec<String>>,
}

impl Bans {
    pub fn new() -> Self {
        Self { rules: Vec::new() }
    }

    /// What fail2ban's iptables action does.
    pub async fn add(&mut self, from: &str, to: &str) -> Result<()> {
        let rule: Vec<String> =
            ["INPUT", "-s", from, "-d", to, "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"].map(Into::into).to_vec();
        self.add_rule(rule).await
    }

    pub async fn add_rule(&mut self, rule: Vec<String>) -> Result<()> {
        if !Command::new("iptables").arg("-I").args(&rule).status().await?.success() {
            bail!("iptables");
        }
        self.rules.push(rule);
        Ok(())
    }

    fn lift(rule: &[String]) {
        let _ = std::process::Command::new("iptables").arg("-D").args(rule).status();
    }
}

impl Drop for Bans {
    fn drop(&mut self) {
        self.rules.iter().for_each(|r| Self::lift(r));
    }
}

fn f2b(run: &Run, what: &str) -> Result<()> {
    use std::io::Write as _;
    let tz = jiff::tz::TimeZone::get(run.set.tz)?;
    let now = jiff::Timestamp::now().to_zoned(tz).strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
    let mut file = std::fs::File::options().create(true).append(true).open(run.path("var/log/fail2ban.log"))?;
    writeln!(file, "{now} fail2ban.actions        [712]: NOTICE  [nginx-botsearch] {what}")?;
    Ok(())
}

async fn fail2ban(run: &mut Run) -> Result<()> {
    site::write(run, &[("^/invoice/", "lib/invoice.php")], &[])?;
    fpm::Fpm::default().start(run, None).await?;
    nginx::Nginx { in_app: HIDE.into(), server: DROP.into(), ..Default::default() }.start(run).await?;
    run.origin(10, 28080, None);
    run.log("var/log/fail2ban.log", "fail2ban.log", "fail2ban");
    run.notes.push("fail2ban.log was written by the lab in fail2ban's format when it set the packet filter rule (iptables REJECT with tcp-reset) that fail2ban's action sets.".into());
    background(run);
    let end = run.set.seconds as f64;
    run.load(1.1, (5.0, end - 2.0), |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..700);
        v.req(rng, "fault", "GET", format!("/invoice/{n}/pdf"), who)
    });
    let mut bans = Bans::new();
    let targets: Vec<(String, String)> = [(0, 0), (2, 1), (1, 0), (3, 0), (4, 1), (0, 2), (2, 2), (5, 0)]
        .iter()
        .filter_map(|(c, e)| run.edge.colos[*c].edges.get(*e))
        .map(|e| (e.bind.to_string(), e.public.to_string()))
        .collect();
    let to = run.ip(10).to_string();
    for (i, (bind, public)) in targets.iter().enumerate() {
        run.until(8.0 + 5.5 * i as f64).await;
        bans.add(bind, &to).await?;
        f2b(run, &format!("Ban {public}"))?;
        run.event(format!("ban {public}"));
        tokio::time::sleep(Duration::from_secs(5)).await;
        if let Some(rule) = bans.rules.pop() {
            Bans::lift(&rule);
        }
        f2b(run, &format!("Unban {public}"))?;
    }
    run.until(end).await;
    run.drain().await;
    run.label = Box::new(|row, run| {
        let e = run.edge.colos[row.req.visitor.colo].edges[row.req.visitor.edge].public;
        let during = run.near_event(row, &format!("ban {e}"), 0.05, 5.6);
        if row.why == crate::edge::Why::Reset && during || cut_off(row) && during && row.req.tag != "fault" {
            Some(Label::new("edge-ip-blocked", format!("Ban {e}")))
        } else {
            (cut_off(row) && row.req.tag == "fault")
                .then(|| Label::new("app-fatal", "Uncaught Error: Call to a member function diff() on null"))
        }
    });
    Ok(())
}
