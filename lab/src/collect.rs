//! What gathers a server's lines and puts a frame around each, stamped when it arrives: a container
//! runtime, the kubelet, a syslog daemon, the journal.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::run::Run;
use crate::stamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Docker's json-file driver.
    Docker,
    /// The files that `kubectl logs` reads.
    Cri,
    /// rsyslog's RSYSLOG_TraditionalFileFormat: the tag is the source's name.
    Rfc3164,
    /// rsyslog's RSYSLOG_SyslogProtocol23Format.
    Rfc5424,
    /// `journalctl -o export`.
    Export,
    /// `journalctl -o short-iso`.
    ShortIso,
}

/// A log file below the run's directory, and who writes it: a stream (`stdout`) or a syslog identifier.
pub struct Source {
    pub file: &'static str,
    pub name: &'static str,
}

struct Tail {
    path: PathBuf,
    name: &'static str,
    at: u64,
    part: Vec<u8>,
}

impl Tail {
    /// Whole lines that have come since the last look.
    fn lines(&mut self) -> Vec<String> {
        let Ok(mut file) = std::fs::File::open(&self.path) else { return Vec::new() };
        let mut new = Vec::new();
        if file.seek(SeekFrom::Start(self.at)).is_err() || file.read_to_end(&mut new).is_err() {
            return Vec::new();
        }
        self.at += new.len() as u64;
        self.part.extend(new);
        let Some(end) = self.part.iter().rposition(|b| *b == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.part.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

/// Gathers `sources` into `into` (below logs/) from now on; they are no logs of their own any more.
pub fn start(run: &mut Run, frame: Frame, sources: &[Source], into: &str) -> Result<()> {
    let below = format!("var/log/collected/{into}");
    run.logs.retain(|(from, _, _)| sources.iter().all(|s| s.file != from));
    run.log(&below, into, "");
    // The clock's error is in the frame and in the line already.
    run.skews.insert(into.split('/').next().unwrap_or(into).to_owned(), 0);
    let mut out = std::fs::File::create(run.write(&below, "")?)?;
    let mut tails: Vec<Tail> = sources.iter().map(|s| Tail { path: run.path(s.file), name: s.name, at: 0, part: Vec::new() }).collect();
    let (skew, tz) = (run.set.skew_s, TimeZone::get(run.set.tz)?);
    let year = Timestamp::now().to_zoned(tz.clone()).year();
    let (stop, mut left) = (run.stop.clone(), None);
    run.notes.push(format!(
        "{into}: gathered during the run; the frame around each line ({frame:?}) was written by the lab when the line arrived."
    ));
    tokio::spawn(async move {
        loop {
            for tail in &mut tails {
                for line in tail.lines() {
                    let line = if skew == 0 { line } else { stamp::shift(&line, skew, year) };
                    let now = Timestamp::now().saturating_add(SignedDuration::from_secs(skew)).unwrap_or_default();
                    let _ = out.write_all(framed(frame, &line, tail.name, now, &tz).as_bytes());
                }
            }
            if stop.load(Ordering::Relaxed) && left.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(30) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(8)).await;
        }
    });
    Ok(())
}

fn framed(frame: Frame, line: &str, name: &str, now: Timestamp, tz: &TimeZone) -> String {
    let local = now.to_zoned(tz.clone());
    match frame {
        Frame::Docker => {
            json!({"log": format!("{line}\n"), "stream": name, "time": now.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()}).to_string()
                + "\n"
        }
        Frame::Cri => format!("{} {name} F {line}\n", now.strftime("%Y-%m-%dT%H:%M:%S.%9fZ")),
        Frame::Rfc3164 => format!("{} web1 {name}: {line}\n", local.strftime("%b %e %H:%M:%S")),
        Frame::Rfc5424 => {
            let pri = if name == "nginx" { 190 } else { 30 };
            format!("<{pri}>1 {} web1 {name} - - - {line}\n", local.strftime("%Y-%m-%dT%H:%M:%S.%6f%:z"))
        }
        Frame::Export => {
            let us = now.as_microsecond();
            format!(
                "__CURSOR=s=5d1c;i={:x};b=8a41;t={us:x}\n__REALTIME_TIMESTAMP={us}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID=8a41f0c2d5bb4be0b7a4d7e3c5a1f2aa\nPRIORITY=6\n_TRANSPORT=stdout\n_HOSTNAME=web1\nSYSLOG_IDENTIFIER={name}\n_SYSTEMD_UNIT={name}.service\nMESSAGE={line}\n\n",
                us & 0xff_ffff,
                us % 86_400_000_000
            )
        }
        Frame::ShortIso => {
            let pid = if name == "systemd" { 1 } else { 700 + name.len() };
            format!("{} web1 {name}[{pid}]: {line}\n", local.strftime("%Y-%m-%dT%H:%M:%S%z"))
        }
    }
}
