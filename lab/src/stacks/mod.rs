//! Real servers in a directory of their own.

pub mod apache;
pub mod edges;
pub mod fpm;
pub mod front;
pub mod gunicorn;
pub mod lighttpd;
pub mod nginx;
pub mod node;
pub mod rootfs;
pub mod site;
pub mod uvicorn;
pub mod uwsgi;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::run::Run;

pub struct Proc {
    pub pid: i32,
    child: Child,
}

impl Proc {
    /// Starts a server in the foreground with the recording's time zone.
    pub fn start(run: &Run, name: &str, argv: &[&str], cgroup: Option<&Path>) -> Result<Self> {
        let out = std::fs::File::options().create(true).append(true).open(run.path(&format!("run/{name}.out")))?;
        let argv = &rootfs::argv(run, argv)[..];
        let mut command = match cgroup {
            // Joining before exec puts every child of the server into the group.
            Some(group) => {
                let mut c = Command::new("sh");
                let script = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", group.display());
                c.args(["-c", &script, "sh"]).args(argv);
                c
            }
            None => {
                let mut c = Command::new(argv[0]);
                c.args(&argv[1..]);
                c
            }
        };
        let child = command
            .env("TZ", run.set.tz)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            // Apache signals its whole process group; without one of its own it would end the lab.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", argv[0]))?;
        let pid = child.id().context("no pid")? as i32;
        Ok(Self { pid, child })
    }

    pub fn signal(&self, signal: i32) {
        kill(self.pid, signal);
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub async fn stop(&mut self, signal: i32) {
        self.signal(signal);
        if tokio::time::timeout(Duration::from_secs(6), self.child.wait()).await.is_err() {
            self.signal(libc::SIGKILL);
            let _ = self.child.wait().await;
        }
    }
}

impl Drop for Proc {
    /// An interrupted run leaves no servers behind: each has a process group of its own.
    fn drop(&mut self) {
        if self.child.id().is_some() {
            kill(-self.pid, libc::SIGTERM);
        }
    }
}

#[allow(unsafe_code)]
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: kill(2) has no memory effects; the pid is of a process this program started.
    unsafe {
        libc::kill(pid, signal);
    }
}

/// Child processes of a server, from /proc.
pub fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|p| p.parse().ok()).collect()
}

pub async fn wait_port(run: &Run, host: u8, port: u16) -> Result<()> {
    for _ in 0..400 {
        if tokio::net::TcpStream::connect((run.ip(host), port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("nothing listens on {}:{port}; see {}/run/*.out", run.ip(host), run.root.display())
}

/// Self-signed server certificate and a CA with a client certificate, made once per recording.
pub async fn certificates(run: &Run) -> Result<()> {
    let dir = run.path("etc/ssl");
    std::fs::create_dir_all(&dir)?;
    let cn = run.visitors.host();
    let script = format!(
        "set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN={cn} -keyout server.key -out server.crt
echo basicConstraints=CA:FALSE > v3.ext
for ca in pull other; do
 openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=$ca-ca -keyout $ca-ca.key -out $ca-ca.crt
 openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$ca-origin-pull -keyout $ca.key -out $ca.csr
 openssl x509 -req -in $ca.csr -CA $ca-ca.crt -CAkey $ca-ca.key -CAcreateserial -days 30 -extfile v3.ext -out $ca.crt
done
cat server.crt server.key > server.pem"
    );
    let out = Command::new("sh").args(["-c", &script]).current_dir(&dir).output().await?;
    if !out.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

/// The version of a server of the recording's Debian release.
pub async fn version_in(run: &Run, argv: &[&str], marker: &str) -> String {
    version(&rootfs::argv(run, argv), marker).await
}

pub async fn version(argv: &[&str], marker: &str) -> String {
    let Ok(out) = Command::new(argv[0]).args(&argv[1..]).output().await else { return String::new() };
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let Some(at) = text.find(marker) else { return String::new() };
    text[at + marker.len()..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
}
