//! Small trees of logs for tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{Discovery, Input, Options, discover};
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

/// A directory with files, gzipped where the name says so.
pub fn tree(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        put(dir.path(), name, text.as_bytes());
    }
    dir
}

/// Writes one file.
pub fn put(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, if name.ends_with(".gz") { gzip(bytes) } else { bytes.to_vec() }).unwrap();
}

/// One gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(bytes).unwrap();
    e.finish().unwrap()
}

/// Discovers a directory.
pub fn look(dir: &Path) -> Discovery {
    look_with(dir, &Options { threads: 2, ..Options::default() })
}

/// Discovers a directory with options.
pub fn look_with(dir: &Path, options: &Options) -> Discovery {
    discover(&[Input::Path(dir.to_owned())], options)
}

/// Lines of an nginx access log (combined), one a second from 10:00.
pub fn access(n: usize) -> String {
    (0..n).map(|i| access_line(i, &format!("/page/{i}?q=1"), 200)).collect()
}

/// One line of it.
pub fn access_line(second: usize, uri: &str, status: u16) -> String {
    let (h, m, s) = (10 + second / 3600, second / 60 % 60, second % 60);
    format!("192.0.2.7 - - [22/Nov/2026:{h:02}:{m:02}:{s:02} +0000] \"GET {uri} HTTP/1.1\" {status} 512 \"-\" \"Mozilla/5.0 (X11)\"\n")
}

/// Lines of an nginx error log.
pub fn errors(n: usize) -> String {
    (0..n)
        .map(|i| {
            let (m, s) = (i / 60 % 60, i % 60);
            format!(
                "2026/11/22 10:{m:02}:{s:02} [error] 100#100: *{i} upstream prematurely closed connection while reading response header from upstream, \
                 client: 192.0.2.7, server: www.example.com, request: \"GET /page/{i}?q=1 HTTP/1.1\", upstream: \"http://127.0.0.1:9000/page/{i}\", \
                 host: \"www.example.com\"\n"
            )
        })
        .collect()
}

/// Lines of a PHP-FPM log.
pub fn fpm(n: usize) -> String {
    (0..n)
        .map(|i| {
            format!(
                "[22-Nov-2026 10:00:{:02}] WARNING: [pool www] child {} exited on signal 11 (SIGSEGV) after 1.5 seconds from start\n",
                i % 60,
                500 + i
            )
        })
        .collect()
}

/// Kernel lines in a syslog file of a host.
pub fn syslog(host: &str, n: usize) -> String {
    (0..n)
        .map(|i| {
            format!(
                "Nov 22 10:00:{:02} {host} kernel: [ 100.{i:06}] Out of memory: Killed process {} (php-fpm) total-vm:1kB, anon-rss:1kB\n",
                i % 60,
                700 + i
            )
        })
        .collect()
}

/// Rows of Cloudflare's side.
pub fn edge(n: usize) -> String {
    (0..n)
        .map(|i| {
            format!(
                "{{\"ClientIP\":\"192.0.2.7\",\"ClientRequestHost\":\"www.example.com\",\"ClientRequestMethod\":\"GET\",\"ClientRequestURI\":\"/page/{i}?q=1\",\
                 \"EdgeResponseStatus\":200,\"EdgeStartTimestamp\":\"2026-11-22T10:00:{:02}Z\",\"OriginResponseStatus\":200,\"RayID\":\"9e0ad402c9af{i:04x}\"}}\n",
                i % 60
            )
        })
        .collect()
}

/// (name below the directory, server, scope) of every source.
pub fn places(d: &Discovery, dir: &Path) -> Vec<(String, String, String)> {
    let prefix = format!("{}/", dir.display());
    d.sources.iter().map(|s| (s.name.replace(&prefix, ""), s.server.clone(), s.scope.clone())).collect()
}

/// What was skipped, as `name: what`.
pub fn skipped(d: &Discovery, dir: &Path) -> Vec<String> {
    let prefix = format!("{}/", dir.display());
    d.skipped.iter().map(|s| format!("{}: {}", s.name, s.what).replace(&prefix, "")).collect()
}
