//! A Node application, as an origin of its own or behind a web server.

use anyhow::Result;

use super::{Proc, wait_port};
use crate::run::Run;

/// `keepalive` is Node's keepAliveTimeout in milliseconds. Its access log becomes `node/access.log`, standard error `node/error.log`.
pub async fn start(run: &mut Run, host: u8, port: u16, keepalive: &str) -> Result<usize> {
    let script = run.write("srv/shop/shop.js", include_str!("../../apps/shop.js"))?.display().to_string();
    std::fs::create_dir_all(run.path("var/log/node"))?;
    let log = run.path("var/log/node/access.log").display().to_string();
    let (ip, port_text) = (run.ip(host).to_string(), port.to_string());
    run.log("var/log/node/access.log", "node/access.log", "node");
    run.log("run/node.out", "node/error.log", "node");
    let v = super::version(&["node", "--version"], "v").await;
    run.servers.push(("node".into(), v));
    let proc = Proc::start(run, "node", &["node", &script, &ip, &port_text, &log, keepalive], None)?;
    run.procs.push(proc);
    wait_port(run, host, port).await?;
    Ok(run.procs.len() - 1)
}

/// The JSON service (`apps/api.js`) in some of its failing modes; its log becomes `node/api.log`, what it dies with `node/stderr.log`.
pub struct Api {
    pub host: u8,
    pub port: u16,
    pub modes: &'static [&'static str],
    pub cgroup: Option<std::path::PathBuf>,
}

impl Api {
    pub async fn start(&self, run: &mut Run) -> Result<usize> {
        run.write("srv/api/server.js", include_str!("../../apps/api.js"))?;
        run.write("var/log/node/api.log", "")?;
        run.log("var/log/node/api.log", "node/api.log", "node");
        run.log("run/api.out", "node/stderr.log", "node");
        let v = super::version(&["node", "--version"], "v").await;
        run.servers.push(("node".into(), v));
        let proc = self.launch(run)?;
        run.procs.push(proc);
        wait_port(run, self.host, self.port).await?;
        Ok(run.procs.len() - 1)
    }

    pub fn launch(&self, run: &Run) -> Result<Proc> {
        let (script, log) = (run.path("srv/api/server.js").display().to_string(), run.path("var/log/node/api.log").display().to_string());
        let (ip, port) = (run.ip(self.host).to_string(), self.port.to_string());
        let mut argv = vec!["node", &script, &ip, &port, &log];
        argv.extend(self.modes);
        Proc::start(run, "api", &argv, self.cgroup.as_deref())
    }
}

/// What systemd writes about a unit, in the form of its messages.
pub fn systemd_says(run: &Run, lines: &[String]) {
    use std::io::Write as _;
    if let Ok(mut f) = std::fs::File::options().create(true).append(true).open(run.path("var/log/systemd.log")) {
        let _ = f.write_all((lines.join("\n") + "\n").as_bytes());
    }
}

/// Starts the service again as often as it dies, until `end`; `result` is systemd's word for the way it dies.
pub async fn supervise(run: &mut Run, at: usize, api: &Api, end: f64, result: &str) -> Result<()> {
    let mut count = 0;
    while std::time::Instant::now() < run.at(end) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        let Some(status) = run.procs[at].ended() else { continue };
        run.event("the service died");
        count += 1;
        let how = match std::os::unix::process::ExitStatusExt::signal(&status) {
            Some(9) => "code=killed, status=9/KILL".to_owned(),
            Some(n) => format!("code=killed, status={n}"),
            None => format!("code=exited, status={}/FAILURE", status.code().unwrap_or(0)),
        };
        let mut lines = vec![format!("api.service: Main process exited, {how}"), format!("api.service: Failed with result '{result}'.")];
        if result == "oom-kill" {
            lines.insert(0, "api.service: A process of this unit has been killed by the OOM killer.".into());
        }
        systemd_says(run, &lines);
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        systemd_says(
            run,
            &[format!("api.service: Scheduled restart job, restart counter is at {count}."), "Started api.service - Item API.".into()],
        );
        let proc = api.launch(run)?;
        run.procs[at] = proc;
    }
    Ok(())
}
