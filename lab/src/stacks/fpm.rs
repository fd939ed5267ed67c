//! PHP-FPM with one pool.

use anyhow::{Result, bail};
use std::path::Path;

use super::Proc;
use crate::run::Run;

#[derive(Clone, Debug)]
pub struct Fpm {
    pub pool: &'static str,
    pub children: u32,
    /// Lines for the pool section.
    pub extra: String,
    /// PHP's own log file (UTC unless date.timezone is set); else messages go to the web server.
    pub php_log: bool,
    pub log_as: &'static str,
}

impl Default for Fpm {
    fn default() -> Self {
        Self { pool: "www", children: 10, extra: String::new(), php_log: false, log_as: "php/php8.2-fpm.log" }
    }
}

impl Fpm {
    pub async fn start(&self, run: &mut Run, cgroup: Option<&Path>) -> Result<usize> {
        let root = run.root.display().to_string();
        let pool = self.pool;
        std::fs::create_dir_all(run.path("var/log/php"))?;
        let php_log = if self.php_log {
            std::fs::write(run.path("var/log/php/errors.log"), "")?;
            std::os::unix::fs::chown(run.path("var/log/php/errors.log"), Some(33), Some(33))?;
            format!("php_admin_value[error_log] = {root}/var/log/php/errors.log")
        } else {
            String::new()
        };
        let conf = format!(
            "[global]\nerror_log = {root}/var/log/php/php8.2-fpm.log\ndaemonize = no\npid = {root}/run/fpm.pid\nsystemd_interval = 0\n\
             [{pool}]\nuser = www-data\ngroup = www-data\nlisten = {root}/run/{pool}.sock\nlisten.owner = www-data\nlisten.mode = 0660\n\
             pm = dynamic\npm.max_children = {}\npm.start_servers = 4\npm.min_spare_servers = 2\npm.max_spare_servers = {}\n\
             php_admin_flag[log_errors] = on\nphp_admin_flag[display_errors] = off\n{php_log}\n{}\n",
            self.children,
            self.children.max(4),
            self.extra,
        );
        let path = run.write("etc/php-fpm.conf", &conf)?;
        let version = super::rootfs::php(run);
        let ident = ["php-fpm8.2", "php-fpm8.4", "php-fpm7.4"].into_iter().find(|n| n.ends_with(version)).unwrap_or("php-fpm");
        let below = self.log_as.replace("8.2", version);
        run.log("var/log/php/php8.2-fpm.log", &below, ident);
        if self.php_log {
            run.log("var/log/php/errors.log", "php/errors.log", "php");
        }
        let program = format!("php-fpm{}", super::rootfs::php(run));
        let v = super::version_in(run, &[&program, "-v"], "PHP ").await;
        run.servers.push(("php-fpm".into(), v));
        let path = path.display().to_string();
        let proc = Proc::start(run, "fpm", &[&program, "-F", "-y", &path], cgroup)?;
        run.procs.push(proc);
        for _ in 0..60 {
            if run.path(&format!("run/{pool}.sock")).exists() {
                return Ok(run.procs.len() - 1);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        bail!("php-fpm did not start");
    }
}
