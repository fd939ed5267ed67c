//! The lab: records real web servers under real faults behind an emulated Cloudflare edge, with
//! ground truth, and scores cfray's reports against it.

mod backend;
mod clocks;
mod collect;
mod cut;
mod edge;
mod finish;
mod joined;
mod run;
mod scenarios;
mod score;
mod stacks;
mod stamp;
mod ties;
mod traffic;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};

pub fn edge_find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}

const USAGE: &str = "lab list
lab clocks --recordings DIR [--keep DIR]          zones and skews moved, then measured
lab ties --recordings DIR                         rays taken out, then tied by request
lab record [--out DIR] [--jobs N] [--seconds N] NAME...|all     names may be prefixes; all is all but those kept unseen
lab cut FROM TO OUT RECORDING...                  those seconds only, for tests
lab backend ADDR LOG [PREFIX=ACTION]...";

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("list") => {
            for s in scenarios::all() {
                println!("{:40} {}", s.name, s.story);
            }
            Ok(())
        }
        Some("record") => record(&args[1..]).await,
        Some("score") => score::main(&args[1..]),
        Some("clocks") => clocks::main(&args[1..]),
        Some("ties") => ties::main(&args[1..]),
        Some("cut") => cut::main(&args[1..]),
        Some("backend") => backend::serve(&args[1..]).await,
        _ => bail!("{USAGE}\n{}", score::USAGE),
    }
}

async fn record(args: &[String]) -> Result<()> {
    let mut out = PathBuf::from("out");
    let (mut jobs, mut names, mut seconds) = (3usize, Vec::new(), None::<f64>);
    let mut it = args.iter();
    while let Some(a) = it.next() {
        match a.as_str() {
            "--out" => out = it.next().map(PathBuf::from).unwrap_or(out),
            // A dry run, to see that it starts and labels; too short to be scored.
            "--seconds" => seconds = it.next().and_then(|n| n.parse().ok()),
            "--jobs" => jobs = it.next().and_then(|n| n.parse().ok()).unwrap_or(jobs),
            name => names.push(name.to_owned()),
        }
    }
    std::fs::create_dir_all(&out)?;
    let mut wanted: Vec<_> = scenarios::all()
        .into_iter()
        .filter(|s| names.iter().any(|n| n == "all" && !scenarios::unseen(s.name) || s.name.starts_with(n.as_str())))
        .collect();
    if wanted.is_empty() {
        bail!("no such scenario; try `lab list`");
    }
    if let Some(n) = seconds {
        wanted.iter_mut().for_each(|s| s.settings.pace = n / s.settings.seconds as f64);
    }
    let gate = Arc::new(tokio::sync::Semaphore::new(jobs));
    let mut tasks = Vec::new();
    for (i, s) in wanted.into_iter().enumerate() {
        let (gate, out) = (gate.clone(), out.clone());
        // Loopback networks 127.0.N are taken in turn; far fewer run at once than there are.
        let id = (std::process::id() as usize % 40 * 5 + i % 50 + 2) as u8;
        tasks.push(tokio::spawn(async move {
            let _permit = gate.acquire().await;
            match scenarios::perform(&s, id, &out).await {
                Ok(line) => {
                    println!("ok   {line}");
                    true
                }
                Err(e) => {
                    println!("FAIL {}: {e:#}", s.name);
                    false
                }
            }
        }));
    }
    let mut failed = 0;
    let all = async {
        for t in tasks {
            failed += usize::from(!t.await.unwrap_or(false));
        }
    };
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = all => {}
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = term.recv() => bail!("terminated"),
    }
    if failed > 0 {
        bail!("{failed} recordings failed");
    }
    Ok(())
}
