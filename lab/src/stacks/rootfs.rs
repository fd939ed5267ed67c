//! Servers of other Debian releases, which lie in directories (`record.sh` makes them).

use std::process::Command;
use std::sync::Mutex;

use crate::run::{Debian, Run};

pub const TRIXIE: &str = "/opt/cfray-lab-trixie";
const BULLSEYE: &str = "/opt/cfray-lab-bullseye";
const FORKY: &str = "/opt/cfray-lab-forky";
static READY: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// Where the recording's release lies; the machine's own has no directory.
fn root(run: &Run) -> Option<&'static str> {
    match run.set.debian {
        Debian::Bookworm => None,
        Debian::Trixie => Some(TRIXIE),
        Debian::Bullseye => Some(BULLSEYE),
        Debian::Forky => Some(FORKY),
    }
}

/// The command as it has to be started: web servers of another release within their directory.
pub fn argv<'a>(run: &Run, argv: &[&'a str]) -> Vec<&'a str> {
    let servers = ["nginx", "apache2", "haproxy"];
    let Some(root) = root(run).filter(|_| servers.contains(&argv[0]) || argv[0].starts_with("php-fpm")) else {
        return argv.to_vec();
    };
    let mut ready = READY.lock().unwrap();
    if !ready.contains(&root) {
        mounts(root);
        ready.push(root);
    }
    ["chroot", root].into_iter().chain(argv.iter().copied()).collect()
}

/// Runs' directories, /proc and /dev are the same inside.
fn mounts(root: &str) {
    for dir in ["/tmp/lab-runs", "/proc", "/dev"] {
        let inside = format!("{root}{dir}");
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
        Debian::Trixie | Debian::Forky => "8.4",
        Debian::Bullseye => "7.4",
    }
}
