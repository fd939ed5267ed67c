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
