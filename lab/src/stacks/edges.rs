//! Servers that sites put before their application: haproxy in HTTP mode, Varnish, Caddy.

use anyhow::Result;

use super::front::syslog;
use super::{Proc, wait_port};
use crate::run::Run;

/// haproxy in HTTP mode with its HTTP log and the ray captured; `rules` are lines of the frontend, `bind` what follows
/// its address (with TLS it listens on that port).
#[derive(Default)]
pub struct Haproxy {
    pub host: u8,
    pub to_host: u8,
    pub to_port: u16,
    pub rules: &'static str,
    pub bind: String,
}

impl Haproxy {
    pub async fn start(&self, run: &mut Run) -> Result<usize> {
        let root = run.root.display().to_string();
        let port = if self.bind.contains("ssl") { 28443 } else { 28080 };
        let conf = format!(
            "global\n  maxconn 2000\n  log {root}/run/log.sock local0\ndefaults\n  mode http\n  log global\n  option httplog\n  option forwardfor\n  timeout connect 5s\n  timeout client 60s\n  timeout server 30s\n  timeout http-keep-alive 900s\n\
             frontend web-in\n  bind {}:{port}{}\n  http-request capture req.hdr(CF-Ray) len 24\n{}\n  default_backend app\n\
             backend app\n  source {}\n  server app1 {}:{}\n",
            run.ip(self.host),
            self.bind,
            self.rules,
            run.ip(3),
            run.ip(self.to_host),
            self.to_port,
        );
        run.write("etc/haproxy.cfg", &conf)?;
        run.local(3, 1);
        std::fs::create_dir_all(run.path("var/log"))?;
        syslog(run, "run/log.sock", "var/log/haproxy.log")?;
        run.log("var/log/haproxy.log", "haproxy.log", "haproxy");
        let v = super::version_in(run, &["haproxy", "-v"], "HAProxy version ").await;
        run.servers.push(("haproxy".into(), v));
        let proc = self.launch(run)?;
        run.procs.push(proc);
        wait_port(run, self.host, port).await?;
        Ok(run.procs.len() - 1)
    }

    pub fn launch(&self, run: &Run) -> Result<Proc> {
        let path = run.path("etc/haproxy.cfg").display().to_string();
        Proc::start(run, "haproxy", &["haproxy", "-db", "-f", &path], None)
    }

    /// A master with a worker, as systemd runs it; what they say goes to `run/haproxy.out`.
    pub fn launch_master(&self, run: &Run) -> Result<Proc> {
        let path = run.path("etc/haproxy.cfg").display().to_string();
        Proc::start(run, "haproxy", &["haproxy", "-W", "-db", "-f", &path], None)
    }
}

/// Varnish with varnishncsa's combined log.
pub async fn varnish(run: &mut Run, host: u8, port: u16, to_host: u8, to_port: u16) -> Result<()> {
    let (dir, log) = (run.path("run/varnish").display().to_string(), run.path("var/log/varnish/varnishncsa.log").display().to_string());
    std::fs::create_dir_all(run.path("var/log/varnish"))?;
    let listen = format!("{}:{port}", run.ip(host));
    let vcl = format!(
        "vcl 4.1;\nbackend default {{ .host = \"{}\"; .port = \"{to_port}\"; .first_byte_timeout = 8s; }}\nsub vcl_recv {{ return (pass); }}\n",
        run.ip(to_host)
    );
    let vcl = run.write("etc/default.vcl", &vcl)?.display().to_string();
    let argv = ["varnishd", "-F", "-a", &listen, "-f", &vcl, "-n", &dir, "-s", "malloc,32m", "-j", "none", "-p", "timeout_idle=900"];
    let proc = Proc::start(run, "varnishd", &argv, None)?;
    run.procs.push(proc);
    wait_port(run, host, port).await?;
    let proc = Proc::start(run, "varnishncsa", &["varnishncsa", "-n", &dir, "-a", "-w", &log], None)?;
    run.procs.push(proc);
    run.log("var/log/varnish/varnishncsa.log", "varnish/varnishncsa.log", "varnishncsa");
    let v = super::version(&["varnishd", "-V"], "varnish-").await;
    run.servers.push(("varnish".into(), v));
    Ok(())
}

/// Caddy with its JSON access log; `rules` are lines of the site block.
pub async fn caddy(run: &mut Run, host: u8, to_host: u8, to_port: u16, rules: &str) -> Result<()> {
    start_caddy(run, (host, 28080), (to_host, to_port), rules, "").await
}

/// The same with TLS; `tls` are lines of its `tls` directive. At level debug its own log, on standard error, names failed handshakes.
pub async fn caddy_tls(run: &mut Run, host: u8, to_host: u8, to_port: u16, tls: &str) -> Result<()> {
    let ssl = run.path("etc/ssl").display().to_string();
    let rules = format!("  tls {ssl}/server.crt {ssl}/server.key {{\n{tls}\n  }}");
    start_caddy(run, (host, 28443), (to_host, to_port), &rules, "  debug\n").await?;
    run.log("run/caddy.out", "caddy/caddy.log", "caddy");
    Ok(())
}

async fn start_caddy(run: &mut Run, at: (u8, u16), to: (u8, u16), rules: &str, global: &str) -> Result<()> {
    let ((host, port), (to_host, to_port)) = (at, to);
    let root = run.root.display().to_string();
    std::fs::create_dir_all(run.path("var/log/caddy"))?;
    let conf = format!(
        "{{\n  auto_https off\n  admin off\n{global}}}\n:{port} {{\n  bind {}\n  log {{\n    output file {root}/var/log/caddy/access.log\n  }}\n{rules}\n  reverse_proxy {}:{to_port}\n}}\n",
        run.ip(host),
        run.ip(to_host),
    );
    let path = run.write("etc/Caddyfile", &conf)?.display().to_string();
    let home = format!("HOME={root}");
    let proc = Proc::start(run, "caddy", &["env", &home, "caddy", "run", "--adapter", "caddyfile", "--config", &path], None)?;
    run.procs.push(proc);
    run.log("var/log/caddy/access.log", "caddy/access.log", "caddy");
    let v = super::version(&["caddy", "version"], "").await;
    run.servers.push(("caddy".into(), v));
    wait_port(run, host, port).await
}
