//! Servers of another Debian release, which lies in a directory (`record.sh` makes it).

use std::process::Command;
use std::sync::Once;

use crate::run::{Debian, Run};

pub const TRIXIE: &str = "/opt/cfray-lab-trixie";
static READY: Once = Once::new();

/// The command as it has to be started: web servers of Debian 13 within their directory.
pub fn argv<'a>(run: &Run, argv: &[&'a str]) -> Vec<&'a str> {
    let servers = ["nginx", "apache2", "php-fpm8.4", "haproxy"];
    if run.set.debian == Debian::Bookworm || !servers.contains(&argv[0]) {
        return argv.to_vec();
    }
    READY.call_once(mounts);
    ["chroot", TRIXIE].into_iter().chain(argv.iter().copied()).collect()
}

/// Runs' directories, /proc and /dev are the same inside.
fn mounts() {
    for dir in ["/tmp/lab-runs", "/proc", "/dev"] {
        let inside = format!("{TRIXIE}{dir}");
        let _ = std::fs::create_dir_all(dir);
        let _ = std::fs::create_dir_all(&inside);
        let mounted = Command::new("mountpoint").args(["-q", &inside]).status().is_ok_and(|s| s.success());
        if !mounted {
            let _ = Command::new("mount").args(["--bind", dir, &inside]).status();
        }
    }
}

/// PHP's version in that release.
pub fn php(run: &Run) -> &'static str {
    match run.set.debian {
        Debian::Bookworm => "8.2",
        Debian::Trixie => "8.4",
    }
}
