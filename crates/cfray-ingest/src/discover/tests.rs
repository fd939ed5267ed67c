//! Trees of files: what is found, as what, and of which server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::testing::{access, edge, errors, fpm, gzip, look, look_with, places, put, skipped, syslog, tree};
use crate::{Input, Options, discover};

fn rows(list: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    list.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

#[test]
fn one_machine_is_one_server() {
    let dir = tree(&[
        ("logs/cloudflare/20261122/a.log.gz", &edge(30)),
        ("logs/nginx/access.log", &access(40)),
        ("logs/nginx/error.log", &errors(5)),
        ("logs/php/php8.2-fpm.log", &fpm(5)),
    ]);
    let d = look(&dir.path().join("logs"));
    let expected = [
        ("logs/cloudflare/20261122/a.log.gz", "", ""),
        ("logs/nginx/access.log", "logs", ""),
        ("logs/nginx/error.log", "logs", ""),
        ("logs/php/php8.2-fpm.log", "logs", ""),
    ];
    assert_eq!(places(&d, dir.path()), rows(&expected));
    assert!(d.skipped.is_empty());
    assert_eq!(d.edge().count(), 1);
    assert_eq!(d.origin().count(), 3);
    assert_eq!(d.sources[0].compression, "gzip");
}

#[test]
fn the_only_server_has_its_directory_for_a_name() {
    let dir =
        tree(&[("logs/web1/nginx/access.log", &access(40)), ("logs/web1/nginx/error.log", &errors(5)), ("logs/php/fpm.log", &fpm(3))]);
    let d = look(&dir.path().join("logs"));
    assert!(d.sources.iter().all(|s| s.server == "web1"), "{:?}", places(&d, dir.path()));
}

#[test]
fn directories_with_both_logs_are_servers() {
    let dir = tree(&[
        ("cf/a.json", &edge(30)),
        ("web1/nginx/access.log", &access(40)),
        ("web1/nginx/error.log", &errors(5)),
        ("web1/php/fpm.log", &fpm(5)),
        ("web2/nginx/access.log", &access(41)),
        ("web2/nginx/error.log", &errors(6)),
        ("web3/nginx/access.log", &access(42)),
    ]);
    let d = look(dir.path());
    let expected = [
        ("cf/a.json", "", ""),
        ("web1/nginx/access.log", "web1", ""),
        ("web1/nginx/error.log", "web1", ""),
        ("web1/php/fpm.log", "web1", ""),
        ("web2/nginx/access.log", "web2", ""),
        ("web2/nginx/error.log", "web2", ""),
        ("web3/nginx/access.log", "web3", ""),
    ];
    assert_eq!(places(&d, dir.path()), rows(&expected));
    let options = Options { servers: vec![("blue".into(), "web1/**".into()), ("green".into(), "fpm.log".into())], ..Options::default() };
    let d = look_with(dir.path(), &options);
    let blue: Vec<_> = d.sources.iter().filter(|s| s.server == "blue").collect();
    assert_eq!(blue.len(), 3);
}

#[test]
fn stories_side_by_side_are_worlds() {
    let mut files = Vec::new();
    for (story, n) in [("crash", 40), ("drop", 50)] {
        files.push((format!("{story}/logs/cloudflare/a.log.gz"), edge(n)));
        files.push((format!("{story}/logs/nginx/access.log"), access(n)));
        files.push((format!("{story}/logs/nginx/error.log"), errors(n)));
        // The same content in both stories is not a copy.
        files.push((format!("{story}/logs/php/fpm.log"), fpm(5)));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let dir = tree(&files);
    let d = look(dir.path());
    assert_eq!(d.sources.len(), 8);
    for source in &d.sources {
        let story = if source.name.contains("crash") { "crash" } else { "drop" };
        assert_eq!(source.scope, story, "{}", source.name);
        assert_eq!(source.server, if source.format.starts_with("cloudflare") { "" } else { story }, "{}", source.name);
    }
    // One of them alone is no scope.
    let d = look(&dir.path().join("crash"));
    assert!(d.sources.iter().all(|s| s.scope.is_empty()));
}

#[test]
fn hosts_name_servers() {
    let dir = tree(&[("syslog", &syslog("web1", 9)), ("nginx/access.log", &access(40)), ("nginx/error.log", &errors(5))]);
    let d = look(dir.path());
    assert!(d.sources.iter().all(|s| s.server == "web1"), "{:?}", places(&d, dir.path()));
    let both = format!("{}{}", syslog("web1", 9), syslog("web2.example.com", 4));
    let dir = tree(&[
        ("central/syslog", &both),
        ("web1/nginx/access.log", &access(40)),
        ("web1/nginx/error.log", &errors(5)),
        ("other/nginx/access.log", &access(41)),
        ("other/nginx/error.log", &errors(6)),
    ]);
    let d = look(dir.path());
    assert_eq!(d.host_server("", b"web1"), "web1");
    assert_eq!(d.host_server("", b"WEB2.example.com"), "web2.example.com");
    assert_eq!(d.host_server("", b"unseen"), "unseen");
    assert_eq!(d.sources.iter().find(|s| s.name.contains("other/")).unwrap().server, "other");
}

#[test]
fn an_unrelated_machine_stays_apart() {
    let mut files = vec![
        ("logs/nginx/access.log", access(40)),
        ("logs/nginx/error.log", errors(5)),
        ("logs/nginx/shop/access.log", access(43)),
        ("logs/php/fpm.log", fpm(5)),
    ];
    let before = tree(&files.iter().map(|(a, b)| (*a, b.as_str())).collect::<Vec<_>>());
    let d = look(before.path());
    let name = d.sources[0].server.clone();
    assert!(d.sources.iter().all(|s| s.server == name), "{:?}", places(&d, before.path()));
    files.extend([
        ("logs/db1/syslog", syslog("db1", 9)),
        ("logs/other/nginx/access.log", access(41)),
        ("logs/third/nginx/access.log", access(42)),
        ("logs/third/nginx/error.log", errors(7)),
    ]);
    let after = tree(&files.iter().map(|(a, b)| (*a, b.as_str())).collect::<Vec<_>>());
    let d = look(after.path());
    let server = |part: &str| {
        d.sources.iter().filter(|s| s.name.contains(part)).map(|s| s.server.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    let main: std::collections::BTreeSet<_> = ["logs/nginx/", "logs/php/"].iter().flat_map(|p| server(p)).collect();
    assert_eq!(main.len(), 1, "{:?}", places(&d, after.path()));
    for other in ["/db1/", "/other/", "/third/"] {
        assert_eq!(server(other).len(), 1);
        assert!(main.is_disjoint(&server(other)), "{other}: {:?}", places(&d, after.path()));
    }
    assert_eq!(server("/db1/").first().map(String::as_str), Some("db1"));
}

#[test]
fn the_same_log_twice_is_read_once() {
    let long = access(2000);
    let dir = tree(&[("access.log.1", &long), ("access.log.1.gz", &long), ("access.log.2.gz", &access(2001)), ("error.log", &errors(3))]);
    std::fs::hard_link(dir.path().join("error.log"), dir.path().join("zz-linked.log")).unwrap();
    let d = look(dir.path());
    let names: Vec<_> = places(&d, dir.path()).into_iter().map(|p| p.0).collect();
    assert_eq!(names, ["access.log.1", "access.log.2.gz", "error.log"]);
    let skipped = skipped(&d, dir.path());
    assert_eq!(skipped, ["access.log.1.gz: same content as access.log.1", "zz-linked.log: same file as error.log"]);
}

#[test]
#[cfg(unix)]
fn special_files_are_named() {
    use std::os::unix::fs::symlink;
    let dir = tree(&[("a/.hidden/access.log", &access(30)), ("a/empty.log", ""), ("a/system.journal", "LPKSHHRH\0\0\0")]);
    let a = dir.path().join("a");
    symlink(&a, a.join("loop")).unwrap();
    symlink("nowhere", a.join("dangling")).unwrap();
    symlink(a.join(".hidden"), a.join("again")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(a.join("sock")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(a.join("pipe")).status().is_ok_and(|s| s.success());
    put(&a, "broken.gz", b"");
    std::fs::write(a.join("broken.gz"), &gzip(access(100).as_bytes())[..12]).unwrap();
    let d = look(&a);
    assert_eq!(d.sources.len(), 1);
    let mut skipped = skipped(&d, dir.path());
    skipped[0] = skipped[0].replace(|c: char| c.is_ascii_digit(), "").replace("after  ", "after N ");
    let mut expected = vec![
        "a/broken.gz: gzip data ends early, after N bytes of content; what came before was read",
        "a/dangling: symbolic link to nothing",
        "a/empty.log: empty file",
        "a/loop: symbolic link to a directory above it",
        "a/pipe: FIFO",
        "a/sock: socket",
        "a/system.journal: systemd journal (binary)",
    ];
    if !made {
        expected.retain(|s| !s.contains("pipe"));
    }
    assert_eq!(skipped, expected);
    assert_eq!(d.skipped.iter().filter(|s| s.failed).count(), 1);
}

#[test]
fn pieces_of_a_set_learn_from_each_other() {
    let stack = "#0 /var/www/a.php(3): b()\n#1 {main}\n  thrown in /var/www/a.php on line 3\n";
    let php = "[22-Nov-2026 10:00:00 UTC] PHP Fatal error:  Uncaught Error: x in /var/www/a.php:3\nStack trace:\n#0 {main}\n  thrown in /var/www/a.php on line 3\n";
    let dir = tree(&[("php_errors.log", stack), ("php_errors.log.1", &php.repeat(9))]);
    let d = look(dir.path());
    assert_eq!(d.sources.len(), 2, "{:?}", d.skipped);
    assert_eq!(d.sources[0].format, d.sources[1].format);
    assert!(d.sources[0].why.contains("same rotated set"), "{}", d.sources[0].why);
}

#[test]
fn a_log_that_begins_inside_a_record_is_read() {
    let cut = format!("{}{}", "    at some.frame(File.java)\n".repeat(4000), errors(300));
    let dir = tree(&[("error.log", &cut)]);
    let d = look(dir.path());
    assert_eq!(d.sources.first().map(|s| s.format.as_str()), Some("nginx-error"), "{:?}", d.skipped);
}

#[test]
fn templates_and_missing_inputs() {
    let line = "custom|2026-11-22T10:00:00+00:00|GET /x HTTP/1.1|444|0\n";
    let dir = tree(&[("custom.log", line.repeat(30).as_str()), ("note.txt", "Only a note.\nNothing more.\n")]);
    let template = "custom|$time_iso8601|$request|$status|$bytes_sent";
    for glob in [Some("custom.*".to_owned()), None] {
        let options = Options { log_formats: vec![(glob, template.to_owned())], ..Options::default() };
        let d = look_with(dir.path(), &options);
        assert_eq!(d.sources.len(), 1, "{:?}", d.skipped);
        assert!(d.sources[0].why.contains("--log-format"));
    }
    let d = discover(&[Input::Path(dir.path().join("absent"))], &Options::default());
    assert!(d.skipped[0].failed && d.skipped[0].what.contains("No such file"), "{:?}", d.skipped);
}

#[test]
fn stack_comes_from_the_neighbours() {
    let apache =
        "[Sun Nov 22 10:00:00.000001 2026] [mpm_prefork:notice] [pid 10] AH00163: Apache/2.4.62 configured -- resuming normal operations\n";
    let dir = tree(&[
        ("apache2/access.log", &access(30)),
        ("apache2/error.log", &apache.repeat(9)),
        ("nginx/access.log", &access(31)),
        ("nginx/error.log", &errors(9)),
    ]);
    let d = look(dir.path());
    let stacks: Vec<_> = d.sources.iter().map(|s| s.stack).collect();
    use cfray_model::Stack::{Apache, Nginx};
    assert_eq!(stacks, [Some(Apache), Some(Apache), Some(Nginx), Some(Nginx)]);
}
