//! The table of scenarios. Each is one fault under one stack; its labels are decided by what was
//! injected and what the edge saw on the wire, and a 520 nobody meant fails the recording.

mod apaches;
mod app;
mod blocked;
mod control;
mod crash;
mod dev2;
mod edge_side;
mod hardened;
mod held;
mod held2;
mod held3;
mod held4;
mod held5;
mod held6;
mod limits;
mod noise;
mod pool;
mod protocol;
mod race;
mod response;
mod restart;
mod streams;
mod tls;
mod zones;

use std::path::Path;
use std::pin::Pin;

use anyhow::Result;
use rand::rngs::StdRng;

use crate::edge::{Req, Row, Why};
use crate::finish;
use crate::run::{Run, Settings};
use crate::traffic::Visitors;

pub type Work<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

pub struct Scenario {
    pub name: &'static str,
    pub story: &'static str,
    pub settings: Settings,
    pub work: for<'a> fn(&'a mut Run) -> Work<'a>,
}

/// Builds one row of the table.
#[macro_export]
macro_rules! scenario {
    ($name:literal, $story:literal, $work:path, { $($field:ident : $value:expr),* $(,)? }) => {
        $crate::scenarios::Scenario {
            name: $name,
            story: $story,
            settings: $crate::run::Settings { $($field: $value,)* ..Default::default() },
            work: |run| Box::pin($work(run)),
        }
    };
}

/// Every scenario but those kept unseen.
pub fn known() -> Vec<Scenario> {
    let mut all = Vec::new();
    for table in [
        crash::table,
        restart::table,
        app::table,
        blocked::table,
        response::table,
        race::table,
        protocol::table,
        tls::table,
        edge_side::table,
        pool::table,
        control::table,
        hardened::table,
        limits::table,
        apaches::table,
        streams::table,
        zones::table,
    ] {
        all.extend(table());
    }
    all
}

/// Recorded for scoring what the rules have not seen; `all` on the command line leaves them out.
pub fn unseen(name: &str) -> bool {
    ["held-", "held2-", "held3-", "held4-", "held5-", "held6-", "dev2-"].iter().any(|set| name.starts_with(set))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut all = known();
    all.extend(held::table());
    all.extend(dev2::table());
    all.extend(held2::table());
    all.extend(held3::table());
    all.extend(held4::table());
    all.extend(held5::table());
    all.extend(held6::table());
    all
}

pub async fn perform(s: &Scenario, id: u8, out: &Path) -> Result<String> {
    let mut run = Run::new(s.name, id, s.settings.clone())?;
    let result = (s.work)(&mut run).await;
    run.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    run.drain().await;
    // Apache reports dead children up to a second later; what follows (our own stop) is no part of it.
    tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
    run.snapshot_logs();
    let mut procs = std::mem::take(&mut run.procs);
    for p in procs.iter_mut().rev() {
        // nginx, FPM and Apache take SIGTERM as a quick stop; by now nothing is in flight.
        p.stop(libc::SIGTERM).await;
    }
    // Only OOM scenarios have one.
    let _ = std::fs::remove_dir(crash::cgroup_of(&run.name));
    result?;
    finish::finish(&mut run, s.story, out)
}

/// The background of every scenario, for all of its time.
pub fn background(run: &mut Run) {
    let (rate, seconds) = (run.set.rate, run.set.seconds as f64);
    run.start_clock();
    run.load(rate, (0.0, seconds), |rng, v| v.background(rng));
    noise::start(run);
}

/// The background plus one kind of faulty request, from `from` seconds to the end, then the wait for the last answer.
pub async fn drive<F>(run: &mut Run, rate: f64, window: (f64, f64), make: F)
where
    F: Fn(&mut StdRng, &Visitors) -> Req + Send + 'static,
{
    background(run);
    run.load(rate, window, make);
    run.until(run.set.seconds as f64).await;
    run.drain().await;
}

/// The request reached the origin, which closed without a byte.
pub fn cut_off(row: &Row) -> bool {
    matches!(row.why, Why::Eof | Why::Reset)
}

/// A line of this request in an nginx or Apache access log, as far as the status: unescaped text.
pub fn access(row: &Row, status: &str) -> String {
    format!("\"{} {} HTTP/1.1\" {status}", row.req.method, row.req.uri)
}

/// Starts the lab's own application server.
pub async fn backend(run: &mut Run, host: u8, port: u16, log: &str, actions: &[&str]) -> Result<()> {
    let addr = run.local(host, port);
    let path = run.path(&format!("var/log/{log}"));
    std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
    let exe = std::env::current_exe()?.display().to_string();
    let file = path.display().to_string();
    let addr = addr.to_string();
    let mut argv = vec![exe.as_str(), "backend", &addr, &file];
    argv.extend(actions);
    let proc = crate::stacks::Proc::start(run, &log.replace('/', "-"), &argv, None)?;
    run.procs.push(proc);
    run.log(&format!("var/log/{log}"), log, "app");
    crate::stacks::wait_port(run, host, port).await
}
