//! Turns a run's raw files into a recording: addresses and paths rewritten, clocks moved, logs
//! wrapped or cut, truth labelled and checked against the text that is left.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Result, bail};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rand::Rng;
use regex::{Captures, Regex};
use serde_json::json;

use crate::edge::logpush;
use crate::edge::{Row, Why};
use crate::run::{Debian, Run, Wrap};
use crate::stamp;

static LOOPBACK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(127\.\d{1,3}\.\d{1,3}\.\d{1,3})(:\d{1,5})?\b").expect("static"));

struct Log {
    path: String,
    ident: &'static str,
    lines: Vec<String>,
}

pub fn finish(run: &mut Run, story: &str, out: &Path) -> Result<String> {
    let mut rows = std::mem::take(&mut *run.edge.rows.lock().unwrap());
    rows.sort_by_key(|r| r.start);
    let tmp = out.join(format!(".tmp-{}", run.name));
    if tmp.exists() {
        std::fs::remove_dir_all(&tmp)?;
    }
    std::fs::create_dir_all(tmp.join("logs"))?;
    let options = logpush::Options {
        stamp: run.set.stamp,
        job: run.set.job,
        status_on_520: run.set.status_on_520,
        zone: run.visitors.zone().to_owned(),
        zone_id: run.rng.random_range(100_000_000..900_000_000),
        ipv6: run.set.ipv6,
    };
    let mut rng = run.rng.clone();
    let rays = logpush::write(&run.edge, &rows, &options, &tmp.join("logs/cloudflare"), &mut rng)?;
    let logs = origin_logs(run, &rows)?;
    let text = write_logs(run, logs, &tmp.join("logs"))?;
    let delivered: std::collections::HashSet<&str> = rays.iter().map(String::as_str).collect();
    let kept: Vec<&Row> = rows.iter().filter(|r| delivered.contains(r.ray.as_str())).collect();
    let causes = truth(run, &kept, &text, &tmp)?;
    wire(&kept, &tmp)?;
    let mut statuses: BTreeMap<String, usize> = BTreeMap::new();
    for r in &kept {
        *statuses.entry(r.edge_status.to_string()).or_default() += 1;
    }
    let scenario = json!({
        "description": story,
        "servers": run.servers.iter().cloned().collect::<BTreeMap<_, _>>(),
        "time_zone": run.set.tz,
        "clock_skew_s": run.set.skew_s,
        "timestamp_format": run.set.stamp.name(),
        "origin_logs_carry_ray": run.set.ray,
        "origin_logs_client": run.set.client,
        "zone": run.visitors.zone(),
        "origin_status_on_520": run.set.status_on_520,
        "job": format!("{:?}", run.set.job),
        "wrapping": format!("{:?}", run.set.wrap),
        "covered": [run.set.covered.0, run.set.covered.1],
        "requests": kept.len(),
        "statuses": statuses,
        "causes": causes,
    });
    std::fs::write(tmp.join("scenario.json"), serde_json::to_string_pretty(&scenario)? + "\n")?;
    std::fs::write(tmp.join("README.md"), readme(run, story))?;
    let target = out.join(&run.name);
    if target.exists() {
        std::fs::remove_dir_all(&target)?;
    }
    std::fs::rename(&tmp, &target)?;
    Ok(format!("{}: {} requests, {statuses:?}, {causes:?}", run.name, kept.len()))
}

fn origin_logs(run: &Run, rows: &[Row]) -> Result<Vec<Log>> {
    let tz = TimeZone::get(run.set.tz)?;
    let year = Timestamp::try_from(run.began_at)?.to_zoned(tz.clone()).year();
    let begin = Timestamp::try_from(run.began_at)?;
    let end = rows.iter().map(|r| r.end).max().map_or(Ok(begin), Timestamp::try_from)?;
    let span = end.duration_since(begin).as_secs_f64();
    let cut = run.set.covered != (0.0, 1.0);
    let mut logs: Vec<Log> = Vec::new();
    for (from, to, ident) in &run.logs {
        let raw = run.log_text(from);
        let mut lines = Vec::new();
        let mut inside = true;
        for line in raw.lines() {
            if cut && let Some(t) = stamp::moment(line, &tz, year) {
                let at = t.duration_since(begin).as_secs_f64() / span;
                inside = at >= run.set.covered.0 && at <= run.set.covered.1;
            }
            if !inside {
                continue;
            }
            let mut line = rewrite(run, line);
            let dir = to.split('/').next().unwrap_or("");
            let skew = run.skews.get(dir).copied().unwrap_or(run.set.skew_s);
            if skew != 0 {
                line = stamp::shift(&line, skew, year);
            }
            lines.push(line);
        }
        match logs.iter_mut().find(|l| l.path == *to) {
            Some(l) => l.lines.extend(lines),
            None => logs.push(Log { path: to.clone(), ident, lines }),
        }
    }
    Ok(logs)
}

/// Loopback addresses and the run's directory become what a real machine would have logged.
pub fn rewrite(run: &Run, line: &str) -> String {
    let line = line.replace(&run.root.display().to_string(), "");
    // PHP cuts arguments in stack traces after fifteen characters.
    let line = line.replace("'/tmp/lab-runs/...'", "'/var/www/site/w...'");
    // PHP cuts long messages, and so perhaps a path.
    let line = line.replace("/tmp/lab-runs\"", "/var/www/site\"");
    let line = line.replace("/tmp/lab-runs/", "/var/www/");
    let line = line
        .replace("/run/www.sock", "/run/php/www.sock")
        .replace("/var/nginx10/", "/var/lib/nginx/")
        .replace("/etc/apache10.conf", "/etc/apache2/apache2.conf");
    LOOPBACK
        .replace_all(&line, |c: &Captures<'_>| {
            let port = c.get(2).map_or("", |m| m.as_str());
            run.addresses
                .get(&c[0])
                .cloned()
                .or_else(|| run.addresses.get(&c[1]).map(|a| format!("{a}{port}")))
                .unwrap_or_else(|| c[0].to_owned())
        })
        .into_owned()
}

/// Writes the logs in the wanted wrapping and returns all of their text.
fn write_logs(run: &mut Run, logs: Vec<Log>, dir: &Path) -> Result<String> {
    let tz = TimeZone::get(run.set.tz)?;
    let year = Timestamp::try_from(run.began_at)?.to_zoned(tz.clone()).year();
    let mut all = String::new();
    if run.set.wrap == Wrap::Files {
        for log in logs {
            for l in &log.lines {
                all.push_str(l);
                all.push('\n');
            }
            let mut rest = log.lines.as_slice();
            let rotates = ["access.log", "-json.log"].iter().any(|end| log.path.ends_with(end));
            if run.set.rotate && rotates && rest.len() > 100 {
                let (old, new) = rest.split_at(rest.len() * run.rng.random_range(20..45) / 100);
                write_lines(&dir.join(format!("{}.1.gz", log.path)), old)?;
                rest = new;
            }
            write_lines(&dir.join(&log.path), rest)?;
        }
        return Ok(all);
    }
    let mut merged: Vec<(Timestamp, &'static str, String)> = Vec::new();
    for log in logs {
        let mut last = Timestamp::MIN;
        for line in log.lines {
            // Apache's access lines carry the start; a syslog daemon stamps the writing, which never runs back.
            last = stamp::moment(&line, &tz, year).unwrap_or(last).max(last);
            merged.push((last, log.ident, line));
        }
    }
    merged.sort_by_key(|(t, _, _)| *t);
    let lines: Vec<String> = merged
        .into_iter()
        .map(|(t, ident, line)| match run.set.wrap {
            Wrap::Journal if ident == "kernel" => json!({
                "__REALTIME_TIMESTAMP": t.as_microsecond().to_string(),
                "_HOSTNAME": "web1",
                "_TRANSPORT": "kernel",
                "SYSLOG_IDENTIFIER": "kernel",
                "PRIORITY": "3",
                "MESSAGE": line.split_once("] ").map_or(line.as_str(), |(_, m)| m),
            })
            .to_string(),
            Wrap::Journal => json!({
                "__REALTIME_TIMESTAMP": t.as_microsecond().to_string(),
                "_HOSTNAME": "web1",
                "SYSLOG_IDENTIFIER": ident,
                "PRIORITY": "6",
                "MESSAGE": line,
            })
            .to_string(),
            _ if ident == "kernel" => line,
            _ => format!("{} web1 {ident}: {line}", t.to_zoned(tz.clone()).strftime("%b %e %H:%M:%S")),
        })
        .collect();
    let name = if run.set.wrap == Wrap::Journal { "journal.json" } else { "syslog" };
    write_lines(&dir.join(name), &lines)?;
    Ok(lines.join("\n").replace("\\\"", "\""))
}

fn write_lines(path: &Path, lines: &[String]) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut text = lines.join("\n");
    if !lines.is_empty() {
        text.push('\n');
    }
    if path.extension().is_some_and(|e| e == "gz") {
        let mut gz = GzEncoder::new(std::fs::File::create(path)?, Compression::best());
        gz.write_all(text.as_bytes())?;
        gz.finish()?;
    } else {
        std::fs::write(path, text)?;
    }
    Ok(())
}

fn truth(run: &Run, rows: &[&Row], text: &str, dir: &Path) -> Result<BTreeMap<String, usize>> {
    let mut csv = csv::Writer::from_path(dir.join("truth.csv"))?;
    csv.write_record(["ray_id", "edge_status", "cause", "accept", "evidence_substring"])?;
    let mut causes: BTreeMap<String, usize> = BTreeMap::new();
    let (mut unlabelled, mut unproved) = (Vec::new(), 0);
    for row in rows.iter().filter(|r| r.edge_status == 520) {
        let Some(label) = (run.label)(row, run) else {
            unlabelled.push(format!("{} {} {:?} {} {} reused={}", row.ray, row.req.uri, row.why, row.detail, row.req.tag, row.reused));
            continue;
        };
        let evidence = rewrite(run, &label.evidence);
        if !evidence.is_empty() && !evidence.split("||").any(|e| text.contains(e)) {
            unproved += 1;
            if unproved <= 2 {
                eprintln!("{}: evidence not in the logs: {} {evidence}", run.name, row.ray);
            }
        }
        *causes.entry(label.cause.to_owned()).or_default() += 1;
        csv.write_record([row.ray.as_str(), "520", label.cause, label.accept, &evidence])?;
    }
    csv.flush()?;
    if unproved > 0 {
        eprintln!("{}: {unproved} labels without their evidence in the logs", run.name);
    }
    if !unlabelled.is_empty() {
        bail!("{}: {} 520s nobody meant:\n{}", run.name, unlabelled.len(), unlabelled[..unlabelled.len().min(12)].join("\n"));
    }
    Ok(causes)
}

/// What happened on the wire, for checking the labels; not input for the tool.
fn wire(rows: &[&Row], dir: &Path) -> Result<()> {
    let mut csv = csv::Writer::from_path(dir.join("wire.csv"))?;
    csv.write_record([
        "ray_id",
        "edge_status",
        "why",
        "detail",
        "tag",
        "reused",
        "idle_gap_ms",
        "after_send_ms",
        "rtt_ms",
        "head_bytes",
        "attempts",
    ])?;
    for r in rows.iter().filter(|r| r.edge_status >= 520 && r.why != Why::Answer || r.edge_status == 520) {
        let after = r.over_at.duration_since(r.sent_at).unwrap_or(Duration::ZERO);
        csv.write_record([
            r.ray.clone(),
            r.edge_status.to_string(),
            format!("{:?}", r.why),
            r.detail.clone(),
            r.req.tag.to_owned(),
            r.reused.to_string(),
            r.idle_gap.map_or(String::new(), |d| d.as_millis().to_string()),
            after.as_millis().to_string(),
            format!("{:.1}", r.rtt.as_secs_f64() * 1000.0),
            r.head_len.to_string(),
            r.attempts.to_string(),
        ])?;
    }
    csv.flush()?;
    Ok(())
}

fn readme(run: &Run, story: &str) -> String {
    let mut t = format!("# {}\n\n{story}\n\n", run.name);
    let _ = writeln!(
        t,
        "Servers, faults and origin lines are real (Debian {}, loopback). The Cloudflare side is the lab's emulated edge.\n",
        match run.set.debian {
            Debian::Bookworm => "12",
            Debian::Trixie => "13, beside parts of 12",
            Debian::Bullseye => "11, beside parts of 12",
            Debian::Forky => "testing, beside parts of 12",
        }
    );
    let _ = writeln!(
        t,
        "Rewritten: loopback edge addresses to Cloudflare's ranges, the origin's to documentation addresses, local backends to 127.0.0.1, ports 28080/28443 to 80/443, the run's directory cut off paths."
    );
    if run.set.skew_s != 0 {
        let _ = writeln!(t, "Origin clocks moved by {} s after the fact.", run.set.skew_s);
    }
    for (dir, s) in &run.skews {
        let _ = writeln!(t, "Clock of {dir} moved by {s} s after the fact.");
    }
    match run.set.wrap {
        Wrap::Syslog => t.push_str("The syslog header of every line was added after the fact.\n"),
        Wrap::Journal => t.push_str("The journal (JSON export) around every line was made after the fact.\n"),
        Wrap::Files => {}
    }
    if run.set.covered != (0.0, 1.0) {
        let _ = writeln!(t, "Origin logs cut to {:.0}-{:.0} % of the time.", run.set.covered.0 * 100.0, run.set.covered.1 * 100.0);
    }
    for n in &run.notes {
        let _ = writeln!(t, "{n}");
    }
    let events = run.events.lock().unwrap();
    if !events.is_empty() {
        t.push_str("\nWhat was done (true time, UTC):\n\n");
        for (at, what) in events.iter().take(40) {
            let at = Timestamp::try_from(*at).map(|t| t.strftime("%H:%M:%S%.3f").to_string()).unwrap_or_default();
            let _ = writeln!(t, "* {at} {what}");
        }
    }
    t.push_str("\n`wire.csv` says for every failed request what the edge saw on the wire; it is for checking the labels, not input.\n");
    t
}
