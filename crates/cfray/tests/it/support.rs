//! A small site with one 520 in its logs, and ways to run the binary.

use assert_cmd::Command;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

/// The ray of the 520 in [`Site`].
pub const RAY: &str = "9e0ad402c9afa70a";

/// The command in a directory, without an environment that could colour or configure it.
pub fn cfray(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("cfray").unwrap();
    command.current_dir(dir).env_remove("NO_COLOR").env_remove("COLUMNS").env("TERM", "xterm");
    command
}

/// What a run printed and how it ended.
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Fails with everything the run said, unless it ended so.
    #[track_caller]
    pub fn ended(self, status: i32) -> Self {
        assert_eq!(self.status, status, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Words that have to be in standard error.
    #[track_caller]
    pub fn complains(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in:\n{}", self.stderr);
        }
        self
    }

    /// Words that have to be in standard output.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stdout.contains(word), "{word:?} is not in:\n{}", self.stdout);
        }
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs it in a directory; standard input is empty and no pipe (`/dev/null`).
pub fn run(dir: &Path, args: &[&str]) -> Ran {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("cfray"));
    command.current_dir(dir).args(args).env("TERM", "xterm").stdin(std::process::Stdio::null());
    command.output().unwrap().into()
}

/// Runs it with bytes on a pipe.
pub fn run_with(dir: &Path, args: &[&str], stdin: impl Into<Vec<u8>>) -> Ran {
    cfray(dir).args(args).write_stdin(stdin.into()).output().unwrap().into()
}

/// One site: Logpush rows with one 520, and an nginx that crashed under it.
pub struct Site {
    pub dir: TempDir,
}

impl Site {
    /// Writes `logs/edge.ndjson`, `logs/access.log` and `logs/error.log`.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        fs::create_dir(&logs).unwrap();
        fs::write(logs.join("edge.ndjson"), edge()).unwrap();
        fs::write(logs.join("access.log"), access()).unwrap();
        fs::write(logs.join("error.log"), ERROR).unwrap();
        Self { dir }
    }

    /// The directory that holds `logs`.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Text of a file in it.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// Runs the command in it.
    pub fn run(&self, args: &[&str]) -> Ran {
        run(self.path(), args)
    }
}

/// nginx's error log of the crash.
pub const ERROR: &str = "2026/11/22 12:24:07 [notice] 811#811: signal 17 (SIGCHLD) received from 4242\n\
    2026/11/22 12:24:07 [alert] 811#811: worker process 4242 exited on signal 11 (core dumped)\n\
    2026/11/22 12:24:07 [notice] 811#811: start worker process 4301\n";

/// Forty requests, two seconds apart; the last but a few ends in 520.
fn requests() -> impl Iterator<Item = (u32, String, String, u16)> {
    (0..40u32).map(|i| {
        let ray = if i == 33 { RAY.to_owned() } else { format!("9e0ad402c9af{i:04x}") };
        (1 + 2 * i, ray, format!("/page/{i}"), if i == 33 { 520 } else { 200 })
    })
}

/// Logpush rows.
pub fn edge() -> String {
    requests()
        .map(|(second, ray, uri, status)| {
            let (minute, second) = (23 + second / 60, second % 60);
            let origin = if status == 520 { 0 } else { status };
            format!(
                "{{\"RayID\":\"{ray}\",\"EdgeStartTimestamp\":\"2026-11-22T12:{minute:02}:{second:02}.100Z\",\
                 \"EdgeEndTimestamp\":\"2026-11-22T12:{minute:02}:{second:02}.160Z\",\"EdgeResponseStatus\":{status},\
                 \"OriginResponseStatus\":{origin},\"ClientRequestHost\":\"shop.example.com\",\"ClientRequestMethod\":\"GET\",\
                 \"ClientRequestURI\":\"{uri}\",\"ClientIP\":\"203.0.113.9\",\"ClientASN\":64500,\"ClientCountry\":\"de\",\
                 \"ClientRequestUserAgent\":\"curl/8\",\"ClientRequestSource\":\"eyeball\",\"EdgeColoCode\":\"FRA\",\
                 \"EdgeServerIP\":\"172.70.1.1\",\"OriginIP\":\"192.0.2.10\",\"OriginSSLProtocol\":\"TLSv1.3\",\
                 \"OriginTCPHandshakeDurationMs\":12,\"OriginTLSHandshakeDurationMs\":25,\
                 \"OriginResponseHeaderReceiveDurationMs\":20,\"OriginResponseDurationMs\":60,\"CacheCacheStatus\":\"dynamic\",\
                 \"ParentRayID\":\"00\"}}\n"
            )
        })
        .collect()
}

/// nginx access lines of the requests that were answered.
pub fn access() -> String {
    requests()
        .filter(|(_, _, _, status)| *status == 200)
        .map(|(second, ray, uri, status)| {
            let (minute, second) = (23 + second / 60, second % 60);
            format!("172.70.1.1 - - [22/Nov/2026:12:{minute:02}:{second:02} +0000] \"GET {uri} HTTP/1.1\" {status} 512 \"-\" \"curl/8\" {ray}-FRA\n")
        })
        .collect()
}
