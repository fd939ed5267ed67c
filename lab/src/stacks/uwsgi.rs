//! uWSGI (Debian's) with the lab's WSGI application.

use anyhow::Result;

use super::{Proc, wait_port};
use crate::run::Run;

/// Starts it on a local address; what it writes becomes `uwsgi/app.log`.
pub async fn start(run: &mut Run, host: u8, port: u16, extra: &[&str]) -> Result<usize> {
    let addr = run.local(host, port).to_string();
    run.write("srv/app/site_app.py", include_str!("../../apps/site.py"))?;
    let file = run.write("var/log/uwsgi/app.log", "")?;
    std::os::unix::fs::chown(&file, Some(33), Some(33))?;
    let (app, log) = (run.path("srv/app").display().to_string(), file.display().to_string());
    let mut argv = vec!["uwsgi", "--plugin", "python3", "--master", "--uwsgi-socket", &addr, "--chdir", &app, "--module", "site_app:app"];
    argv.extend(["--logto2", &log, "--log-date", "--die-on-term", "--uid", "www-data", "--gid", "www-data", "--need-app"]);
    argv.extend(extra);
    run.log("var/log/uwsgi/app.log", "uwsgi/app.log", "uwsgi");
    let v = super::version(&["uwsgi", "--version"], "").await;
    run.servers.push(("uwsgi".into(), v));
    let proc = Proc::start(run, "uwsgi", &argv, None)?;
    run.procs.push(proc);
    wait_port(run, host, port).await?;
    Ok(run.procs.len() - 1)
}
