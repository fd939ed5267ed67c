//! The sixth unseen set, drawn by lot (`draw.py`): cause, stack, release, formats, zone, clock, wrapper, job, protocol,
//! coverage and kind of traffic of each come from the draw; how the fault comes about does not.

mod event;
mod fpm;
mod fronts;
mod mixed;
mod prefork;

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Scenario, cut_off};
use crate::edge::{Body, Row, Why};
use crate::run::{Label, Run};

pub fn table() -> Vec<Scenario> {
    [event::table, fpm::table, fronts::table, mixed::table, prefork::table].iter().flat_map(|t| t()).collect()
}

/// The request reached the origin, which answered nothing, over HTTP/1.1 or HTTP/2.
fn unanswered(row: &Row) -> bool {
    cut_off(row) || row.why == Why::Http2
}

/// As `access`, of a request over HTTP/2.
fn access_h2(row: &Row, status: &str) -> String {
    format!("\"{} {} HTTP/2.0\" {status}", row.req.method, row.req.uri)
}

/// Where the origin's logs cover a part of the run: outside of it (and near its edge) an honest reader may say `unknown`, and
/// nothing there proves the cause.
fn as_covered(label: Label, row: &Row, run: &Run) -> Label {
    let at = row.sent_at.duration_since(run.began_at).unwrap_or_default().as_secs_f64() / run.set.pace;
    // The last answers may end a little after the load does, and a line may come a second after the request.
    let (from, to) = (run.set.covered.0, run.set.covered.1);
    let seconds = run.set.seconds as f64;
    let late = from > 0.0 && at < from * (seconds + 2.0) + 1.0;
    let early = to < 1.0 && at > to * seconds - 1.0;
    if late || early { Label { accept: "unknown", evidence: String::new(), ..label } } else { label }
}

/// Visitors send files and wait for long answers, which the site gives.
fn uploads(run: &mut Run, upload: &'static str, long: &'static str) {
    let end = run.set.seconds as f64;
    run.load(1.6, (0.0, end - 2.0), move |rng, v| {
        let who = v.person(rng);
        let n = rng.random_range(1..9000);
        let mut r = v.req(rng, "upload", "POST", format!("{upload}{n}"), who);
        r.body = Body::Full(vec![b'u'; rng.random_range(20_000..700_000)]);
        r
    });
    run.load(1.2, (0.0, end - 3.0), move |rng, v| {
        let who = v.anyone(rng);
        let n = rng.random_range(1..500);
        v.req(rng, "long", "GET", format!("{long}{n}"), who)
    });
}

/// PHP's side of it.
const LONG_PHP: &str = r#"<?php
header('Content-Type: text/csv');
for ($i = 0; $i < 12; $i++) { echo str_repeat(md5($path . $i) . ";12.50\n", 1800); flush(); usleep(random_int(40000, 160000)); }
"#;

/// fail2ban bans addresses at the SSH port, which no visitor uses.
fn ssh_bans(run: &mut Run) -> Result<()> {
    run.write("var/log/fail2ban.log", "")?;
    run.log("var/log/fail2ban.log", "fail2ban.log", "fail2ban");
    run.notes.push("fail2ban.log was written by the lab: bans at the SSH port, which have to do with nothing here.".into());
    let tz = TimeZone::get(run.set.tz)?;
    chores(run, "var/log/fail2ban.log", move |rng| {
        let now = Timestamp::now().to_zoned(tz.clone()).strftime("%Y-%m-%d %H:%M:%S,%3f");
        let what = ["Ban", "Ban", "Unban"][rng.random_range(0..3)];
        format!(
            "{now} fail2ban.actions        [588]: NOTICE  [sshd] {what} 198.18.{}.{}",
            rng.random_range(0..255),
            rng.random_range(1..255)
        )
    });
    Ok(())
}

/// What else a syslog daemon gets on such a machine: cron's lines, in a file to be gathered.
fn cron(run: &mut Run) -> Result<()> {
    run.write("var/log/cron.log", "")?;
    run.notes.push("Cron's lines in the syslog were written by the lab.".into());
    chores(run, "var/log/cron.log", |rng| {
        ["(www-data) CMD (php /var/www/site/bin/queue.php)", "(root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)"]
            [rng.random_range(0..2)]
        .to_owned()
    });
    Ok(())
}

/// Writes a line to a file now and then.
fn chores(run: &mut Run, file: &str, line: impl Fn(&mut StdRng) -> String + Send + 'static) {
    let (path, stop) = (run.path(file), run.stop.clone());
    let mut rng = StdRng::seed_from_u64(run.rng.random());
    tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            let text = line(&mut rng);
            if let Ok(mut f) = std::fs::File::options().append(true).open(&path) {
                let _ = writeln!(f, "{text}");
            }
            tokio::time::sleep(Duration::from_millis(rng.random_range(2000..9000))).await;
        }
    });
}
