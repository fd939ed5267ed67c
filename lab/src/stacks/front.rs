//! TLS and HTTP/2 terminators in front of a web server.

use anyhow::Result;

use super::{Proc, wait_port};
use crate::run::Run;

/// haproxy in TCP mode: it ends TLS and hands the bytes on, whatever was negotiated.
pub async fn haproxy(run: &mut Run, host: u8, to_host: u8, to_port: u16, alpn: &str) -> Result<usize> {
    let server = format!("{}:{to_port}", run.ip(to_host));
    haproxy_to(run, host, &server, alpn).await
}

/// The same; `server` is the address behind it, perhaps with options of its `server` line.
pub async fn haproxy_to(run: &mut Run, host: u8, server: &str, alpn: &str) -> Result<usize> {
    let root = run.root.display().to_string();
    let conf = format!(
        "global\n  maxconn 800\n  log {root}/run/log.sock local0\n  stats socket {root}/run/haproxy.stat\ndefaults\n  mode tcp\n  log global\n  option tcplog\n  timeout connect 5s\n  timeout client 900s\n  timeout server 900s\n\
         frontend tls-in\n  bind {}:28443 ssl crt {root}/etc/ssl/server.pem alpn {alpn}\n  default_backend web\n\
         backend web\n  source {}\n  server web1 {server}\n",
        run.ip(host),
        run.ip(3),
    );
    let path = run.write("etc/haproxy.cfg", &conf)?.display().to_string();
    run.local(3, 1);
    std::fs::create_dir_all(run.path("var/log"))?;
    syslog(run, "run/log.sock", "var/log/haproxy.log")?;
    run.log("var/log/haproxy.log", "haproxy.log", "haproxy");
    let v = super::version_in(run, &["haproxy", "-v"], "HAProxy version ").await;
    run.servers.push(("haproxy".into(), v));
    let proc = Proc::start(run, "haproxy", &["haproxy", "-db", "-f", &path], None)?;
    run.procs.push(proc);
    wait_port(run, host, 28443).await?;
    Ok(run.procs.len() - 1)
}

/// hitch: TLS only; its log is quiet about the bytes it hands on.
pub async fn hitch(run: &mut Run, host: u8, to_host: u8, to_port: u16, alpn: &str) -> Result<usize> {
    let root = run.root.display().to_string();
    let conf = format!(
        "frontend = {{ host = \"{}\" port = \"28443\" }}\nbackend = \"[{}]:{to_port}\"\npem-file = \"{root}/etc/ssl/server.pem\"\n\
         alpn-protos = \"{alpn}\"\nworkers = 1\nuser = \"www-data\"\nlog-filename = \"{root}/var/log/hitch.log\"\nlog-level = 1\ntls-protos = TLSv1.2 TLSv1.3\n",
        run.ip(host),
        run.ip(to_host),
    );
    let path = run.write("etc/hitch.conf", &conf)?.display().to_string();
    let v = super::version(&["hitch", "--version"], "hitch ").await;
    run.servers.push(("hitch".into(), v));
    let proc = Proc::start(run, "hitch", &["hitch", "--config", &path], None)?;
    run.procs.push(proc);
    wait_port(run, host, 28443).await?;
    Ok(run.procs.len() - 1)
}

/// nginx's stream module in front of a server on this machine: TLS with ALPN, or plain TCP.
pub async fn nginx_stream(run: &mut Run, host: u8, to_host: u8, to_port: u16, alpn: Option<&str>) -> Result<usize> {
    let root = run.root.display().to_string();
    let (port, tls) = match alpn {
        Some(alpn) => {
            (28443, format!("ssl_certificate {root}/etc/ssl/server.crt; ssl_certificate_key {root}/etc/ssl/server.key; ssl_alpn {alpn};"))
        }
        None => (28080, String::new()),
    };
    let conf = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nuser www-data;\nworker_processes 1;\npid {root}/run/stream.pid;\nerror_log {root}/var/log/stream/error.log error;\n\
         events {{ worker_connections 1024; }}\nstream {{\n\
         log_format basic '$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received $session_time \"$upstream_addr\"';\n\
         access_log {root}/var/log/stream/access.log basic;\n\
         server {{ listen {}:{port} {}; {tls} proxy_timeout 900s; proxy_bind {}; proxy_pass {}:{to_port}; }}\n}}\n",
        run.ip(host),
        if alpn.is_some() { "ssl" } else { "" },
        run.ip(3),
        run.ip(to_host),
    );
    let path = run.write("etc/stream.conf", &conf)?.display().to_string();
    run.local(3, 1);
    std::fs::create_dir_all(run.path("var/log/stream"))?;
    run.log("var/log/stream/access.log", "stream/access.log", "nginx");
    run.log("var/log/stream/error.log", "stream/error.log", "nginx");
    let proc = Proc::start(run, "stream", &["nginx", "-p", &root, "-c", &path, "-g", "daemon off;"], None)?;
    run.procs.push(proc);
    wait_port(run, host, port).await?;
    Ok(run.procs.len() - 1)
}

/// A syslog daemon's part: datagrams of a unix socket, the priority cut off, one line each.
pub fn syslog(run: &Run, socket: &str, file: &str) -> Result<()> {
    use std::io::Write as _;
    let path = run.path(socket);
    let socket = std::os::unix::net::UnixDatagram::bind(&path)?;
    // Workers write to it as another user.
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixDatagram::from_std(socket)?;
    let mut out = std::fs::File::create(run.path(file))?;
    tokio::spawn(async move {
        let mut buf = vec![0; 8192];
        while let Ok(n) = socket.recv(&mut buf).await {
            let text = String::from_utf8_lossy(&buf[..n]);
            let text = text.split_once('>').map_or(&*text, |(_, t)| t).trim_end();
            // The daemon adds its host's name where the sender left it out.
            if text.len() > 16 {
                let _ = writeln!(out, "{} web1 {}", &text[..15], &text[16..]);
            }
        }
    });
    Ok(())
}
