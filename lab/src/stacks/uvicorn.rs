//! uvicorn (Debian's) with the lab's ASGI application, as an origin of its own.

use anyhow::Result;

use super::{Proc, wait_port};
use crate::run::Run;

/// `idle` is its keep-alive timeout in seconds. Its lines have no time of their own: `run/uvicorn.out` is to be gathered.
pub async fn start(run: &mut Run, host: u8, port: u16, idle: &str) -> Result<usize> {
    run.write("srv/app/site_asgi.py", include_str!("../../apps/site_asgi.py"))?;
    let (dir, ip, port_text) = (run.path("srv/app").display().to_string(), run.ip(host).to_string(), port.to_string());
    let mut argv = vec!["/usr/bin/python3", "-m", "uvicorn", "--app-dir", &dir, "--host", &ip, "--port", &port_text, "--no-use-colors"];
    argv.extend(["--timeout-keep-alive", idle, "site_asgi:app"]);
    let proc = Proc::start(run, "uvicorn", &argv, None)?;
    run.procs.push(proc);
    let v = super::version(&["dpkg-query", "-W", "-f", "v${Version}", "python3-uvicorn"], "v").await;
    run.servers.push(("uvicorn".into(), v));
    wait_port(run, host, port).await?;
    Ok(run.procs.len() - 1)
}
