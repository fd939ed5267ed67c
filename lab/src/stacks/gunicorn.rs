//! gunicorn (Debian's) with the lab's WSGI application.

use std::net::SocketAddr;

use anyhow::Result;

use super::{Proc, wait_port};
use crate::run::Run;

/// Starts it on a local address; its error log becomes `gunicorn/error.log`.
pub async fn start(run: &mut Run, host: u8, port: u16, extra: &[&str]) -> Result<usize> {
    let addr = run.local(host, port);
    run.write("srv/app/site_app.py", include_str!("../../apps/site.py"))?;
    std::fs::create_dir_all(run.path("var/log/gunicorn"))?;
    run.log("var/log/gunicorn/error.log", "gunicorn/error.log", "gunicorn");
    let v = super::version(&["gunicorn", "--version"], "version ").await;
    run.servers.push(("gunicorn".into(), v));
    let proc = launch(run, addr, "site_app:app", extra)?;
    run.procs.push(proc);
    wait_port(run, host, port).await?;
    Ok(run.procs.len() - 1)
}

/// Starts it once more, or with another application of the same directory.
pub fn launch(run: &Run, addr: SocketAddr, application: &str, extra: &[&str]) -> Result<Proc> {
    let addr = addr.to_string();
    let (app, log) = (run.path("srv/app").display().to_string(), run.path("var/log/gunicorn/error.log").display().to_string());
    let mut argv = vec!["gunicorn", "--chdir", &app, "--bind", &addr, "--error-logfile", &log, "--worker-tmp-dir", "/dev/shm"];
    argv.extend(["-u", "www-data", "-g", "www-data"]);
    argv.extend(extra);
    argv.push(application);
    Proc::start(run, "gunicorn", &argv, None)
}
