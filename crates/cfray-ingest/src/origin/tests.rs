//! The origin pass over small trees.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::testing::{access, access_line, edge, errors, fpm, gzip, look, look_with, put, syslog, tree};
use crate::{Discovery, NoProgress, Options, scan_origin};
use cfray_model::{IncidentIndex, OriginScan, Sig, SourceScan, Stack, key};

fn scan(d: &Discovery, index: &IncidentIndex) -> OriginScan {
    scan_origin(d, index.clone(), &Options { threads: 2, ..Options::default() }, &NoProgress)
}

fn wanting(uris: &[&str]) -> IncidentIndex {
    IncidentIndex { requests: uris.iter().map(|u| key::request_key(b"GET", u.as_bytes()) as u32).collect(), ..IncidentIndex::default() }
}

fn source<'a>(scan: &'a OriginScan, end: &str) -> &'a SourceScan {
    scan.sources.iter().find(|s| s.info.name.ends_with(end)).unwrap()
}

#[test]
fn keeps_what_is_wanted_and_what_means_something() {
    let mut log = access(100);
    log.push_str(&access_line(100, "/dropped", 444));
    log.push_str("no access line at all\n");
    let dir = tree(&[("nginx/access.log", &log), ("nginx/error.log", &errors(3)), ("php/fpm.log", &fpm(2))]);
    let d = look(dir.path());
    let scan = scan(&d, &wanting(&["/page/7?q=1", "/page/50?q=1"]));
    let access = source(&scan, "access.log");
    assert_eq!((access.lines, access.parsed, access.rejected), (102, 101, 1));
    assert_eq!(access.rejects[0].at.line, 102);
    let kept: Vec<_> = access.events.iter().map(|e| (e.at.line, e.path.as_str(), e.status)).collect();
    assert_eq!(kept, [(8, "/page/7", Some(200)), (51, "/page/50", Some(200)), (101, "/dropped", Some(444))]);
    assert_eq!(access.events[0].agent, key::bytes_key(b"Mozilla/5.0 (X11)"));
    assert_eq!(access.events[0].stack, Stack::Nginx);
    assert!(!access.events[0].time_is_start);
    assert_eq!(access.minutes.values().map(|n| u64::from(*n)).sum::<u64>(), 101);
    assert_eq!(access.zones.get(&0), Some(&101));
    let error = source(&scan, "error.log");
    assert!(error.events.iter().all(|e| e.sig.as_ref().unwrap().sig == Sig::UpstreamClosed));
    assert_eq!(error.events.len(), 3);
    let fpm = source(&scan, "fpm.log");
    assert!(fpm.events.iter().all(|e| e.sig.as_ref().unwrap().sig == Sig::FpmChildSignal));
}

#[test]
fn equal_results_whatever_threads_and_blocks() {
    let stderr = "2026/11/22 10:00:00 [error] 9#9: *1 FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught Error in /a.php:1\nStack trace:\n#0 {main}\n  thrown in /a.php on line 1\" while reading response header from upstream, client: 192.0.2.1, server: a, request: \"GET /x HTTP/1.1\", upstream: \"fastcgi://unix:/run/a.sock:\", host: \"a\"\n";
    let error = format!("{}{}{}", errors(50), stderr.repeat(30), errors(700));
    let dir =
        tree(&[("access.log", &access(1500)), ("access.log.1.gz", &access(900)), ("error.log", &error), ("syslog", &syslog("web1", 50))]);
    let d = look(dir.path());
    let index = wanting(&["/page/7?q=1", "/page/1200?q=1"]);
    let run = |threads, block| {
        let options = Options { threads, block, ..Options::default() };
        format!("{:?}", scan_origin(&d, index.clone(), &options, &NoProgress))
    };
    let expected = run(1, 1 << 20);
    for (threads, block) in [(1, 700), (2, 4096), (5, 333), (2, 1 << 20)] {
        assert!(run(threads, block) == expected, "{threads} threads, blocks of {block}");
    }
}

#[test]
fn hosts_of_several_servers_split_a_file() {
    let dir = tree(&[("syslog", &format!("{}{}", syslog("web1", 3), syslog("web2", 2)))]);
    let d = look(dir.path());
    let scan = scan(&d, &IncidentIndex::default());
    let seen: Vec<_> = scan.sources.iter().map(|s| (s.info.server.as_str(), s.parsed, s.lines, s.events.len())).collect();
    assert_eq!(seen, [("web1", 3, 3, 3), ("web2", 2, 2, 2)]);
    assert!(scan.sources.iter().all(|s| s.events.iter().all(|e| e.at.source.0 == 0)));
    assert!(scan.sources[1].info.name.ends_with("syslog [web2]"));
    let options = Options { servers: vec![("mine".into(), "syslog".into())], ..Options::default() };
    let d = look_with(dir.path(), &options);
    assert_eq!(scan_origin(&d, IncidentIndex::default(), &options, &NoProgress).sources.len(), 1);
}

#[test]
fn a_cut_gzip_gives_what_it_holds_and_says_so() {
    let dir = tree(&[]);
    let whole = gzip(access(5000).as_bytes());
    put(dir.path(), "access.log.gz.cut", &whole[..whole.len() / 2]);
    let d = look(dir.path());
    let scan = scan(&d, &IncidentIndex::default());
    let source = &scan.sources[0];
    assert!(source.parsed > 500 && source.parsed < 5000, "{}", source.parsed);
    assert!(source.problems[0].contains("gzip data ends early"), "{:?}", source.problems);
}

#[test]
fn a_file_that_moves_is_no_crash() {
    let dir = tree(&[
        ("a/access.log", &access(3000)),
        ("b/access.log", &access(3001)),
        ("c/access.log", &access(3002)),
        ("d/access.log", &access(3003)),
    ]);
    let d = look(dir.path());
    let at = |name: &str| dir.path().join(name);
    // Cut short, rotated away, removed, grown.
    std::fs::File::options().write(true).open(at("a/access.log")).unwrap().set_len(1000).unwrap();
    std::fs::rename(at("b/access.log"), at("b/access.log.1")).unwrap();
    std::fs::write(at("b/access.log"), "new\n").unwrap();
    std::fs::remove_file(at("c/access.log")).unwrap();
    let grown = format!("{}{}", access(3003), access(500));
    std::fs::write(at("d/access.log"), grown).unwrap();
    let scan = scan(&d, &IncidentIndex::default());
    let of = |name: &str| source(&scan, name);
    assert!(of("a/access.log").problems[0].contains("became shorter"));
    assert!(of("a/access.log").parsed > 0);
    assert_eq!((of("b/access.log").parsed, of("b/access.log").problems.len()), (3001, 0));
    assert!(of("c/access.log").problems[0].contains("No such file"));
    assert_eq!((of("d/access.log").parsed, of("d/access.log").problems.len()), (3003, 0));
}

/// Cuts a file short as soon as something of it has been read.
struct CutWhileReading(std::path::PathBuf);

impl crate::Progress for CutWhileReading {
    fn total(&self, _bytes: u64) {}
    fn phase(&self, _name: &str) {}
    fn advance(&self, _bytes: u64) {
        std::fs::File::options().write(true).open(&self.0).unwrap().set_len(20_000).unwrap();
    }
}

#[test]
fn truncation_in_the_middle_of_the_scan_is_a_problem_not_a_crash() {
    for mmap in [crate::MmapPolicy::Auto, crate::MmapPolicy::Never] {
        let dir = tree(&[("access.log", &access(20_000))]);
        let d = look(dir.path());
        let options = Options { mmap, block: 8192, threads: 1, ..Options::default() };
        let scan = scan_origin(&d, IncidentIndex::default(), &options, &CutWhileReading(dir.path().join("access.log")));
        let source = &scan.sources[0];
        assert!(source.parsed > 50 && source.parsed < 1000, "{}", source.parsed);
        assert!(source.problems[0].starts_with("became shorter while it was read: 20000 of"), "{:?}", source.problems);
    }
}

#[test]
fn freak_lines_are_counted_not_held() {
    let long = "x".repeat(300_000);
    let dir = tree(&[("access.log", &format!("{}{long}\n{}\0\0\0{}\r\n\n\n", access(30), access(2), access(1).trim_end()))]);
    let d = look(dir.path());
    let options = Options { max_line: 100_000, block: 4096, threads: 1, ..Options::default() };
    let scan = scan_origin(&d, IncidentIndex::default(), &options, &NoProgress);
    let source = &scan.sources[0];
    assert_eq!((source.parsed, source.rejected, source.lines), (33, 1, 36));
    assert_eq!(source.rejects[0].at.line, 31);
    assert!(source.rejects[0].reason.contains("300000 bytes is longer than the limit of 100000"), "{}", source.rejects[0].reason);
}

#[test]
fn escapes_and_rays_meet_the_edge() {
    let log: String = (0..30)
        .map(|i| {
            format!(
                "192.0.2.7 - - [22/Nov/2026:10:00:{i:02} +0000] \"GET /p/{i} HTTP/1.1\" 200 5 \"-\" \"Bot \\x22{i}\\x22 \\xC3\\xA9\" \"9e0ad402c9afa7{i:02}-FRA\"\n"
            )
        })
        .collect();
    let dir = tree(&[("access.log", &log)]);
    let d = look(dir.path());
    let ray = cfray_model::RayId::parse(b"9e0ad402c9afa713").unwrap();
    let index = IncidentIndex { rays: [ray.0].into_iter().collect(), ..IncidentIndex::default() };
    let scan = scan(&d, &index);
    let source = &scan.sources[0];
    assert_eq!(source.with_ray, 30);
    assert_eq!(source.events.len(), 1);
    let event = &source.events[0];
    assert_eq!((event.ray, event.path.as_str()), (ray.0, "/p/13"));
    assert_eq!(event.agent, key::bytes_key("Bot \"13\" é".as_bytes()));
}

#[test]
fn the_choice_of_answers_is_the_parsers_although_most_lines_are_only_glanced_at() {
    let log = access(12_000);
    let dir = tree(&[("access.log", &log)]);
    let d = look(dir.path());
    let (id, plan) = d.origin().next().unwrap();
    let mut all = super::answers::Answers::default();
    let mut offset = 0;
    for (i, line) in log.split_inclusive('\n').enumerate() {
        let at = cfray_model::LineRef { source: id, line: i as u64 + 1, offset };
        all.add(&plan.parser.parse(line.trim_end().as_bytes()).unwrap(), at, plan.json);
        offset += line.len() as u64;
    }
    let scan = scan(&d, &IncidentIndex { answers: true, ..IncidentIndex::default() });
    assert_eq!(source(&scan, "access.log").answers, all.finish());
}

#[test]
fn a_request_of_bytes_that_are_no_text_meets_its_line() {
    let failing = edge(30).replace("/page/7?q=1\",\"EdgeResponseStatus\":200", "/page/\u{1}?q=1\",\"EdgeResponseStatus\":520");
    // What the visitor sent, as Cloudflare writes it and as nginx does.
    let rows: Vec<u8> = failing.bytes().map(|b| if b == 1 { 0xe9 } else { b }).collect();
    let mut log = access(6000);
    log.push_str(&access_line(7, r"/page/\xE9?q=1", 404));
    let dir = tree(&[("nginx/access.log", &log)]);
    put(dir.path(), "cloudflare/rows.log", &rows);
    let d = look(dir.path());
    let options = Options { threads: 2, ..Options::default() };
    let edge = crate::scan_edge(&d, &cfray_model::EdgeFilter::default(), &options, &NoProgress);
    assert_eq!(edge.incidents.len(), 1);
    assert_eq!(edge.incidents[0].uri.as_deref(), Some("/page/\u{fffd}?q=1"));
    let scan = scan(&d, &edge.index());
    assert!(source(&scan, "access.log").events.iter().any(|e| e.status == Some(404)));
}

#[test]
#[cfg(unix)]
fn a_fifo_given_by_name_is_read_once_to_its_end() {
    for cut in [false, true] {
        let dir = tree(&[]);
        let path = dir.path().join("pipe");
        if !std::process::Command::new("mkfifo").arg(&path).status().is_ok_and(|s| s.success()) {
            return;
        }
        let mut bytes = gzip(access(4000).as_bytes());
        if cut {
            bytes.truncate(bytes.len() / 3);
        }
        let to = path.clone();
        let writer = std::thread::spawn(move || std::fs::write(to, bytes));
        let d = crate::discover(&[crate::Input::Path(path)], &Options::default());
        assert_eq!(d.sources.len(), 1, "{:?}", d.skipped);
        assert_eq!(d.sources[0].compression, "gzip");
        assert!(d.is_stream(d.origin().next().unwrap().0));
        let scan = scan(&d, &wanting(&["/page/9?q=1"]));
        let source = &scan.sources[0];
        assert_eq!(source.events.len(), 1);
        assert_eq!(source.parsed == 4000, !cut);
        assert_eq!(source.problems.len(), usize::from(cut));
        let again = d.open(d.origin().next().unwrap().0, &Options::default()).unwrap_err();
        assert!(again.contains("was read before"), "{again}");
        let _ = writer.join();
    }
}

mod merging {
    use super::super::wanted::Wanted;
    use super::*;
    use crate::blocks::{Block, BlockReader};
    use crate::origin::collect::Collector;
    use proptest::prelude::*;

    /// Lines of every kind that leaves something behind, some of them damaged.
    fn line() -> impl Strategy<Value = String> {
        let fixed =
            [errors(3), access(2), access_line(9, "/dropped", 444), "no line at all\n".to_owned(), "\0\0\n".to_owned(), "\n".to_owned()];
        let alert = (0u32..4, 0u32..6).prop_map(|(pid, second)| {
            format!("2026/11/22 10:00:0{second} [alert] {pid}#{pid}: worker process 77{pid} exited on signal 11\n")
        });
        let wanted = (0usize..5, 0usize..4).prop_map(|(second, page)| access_line(second, &format!("/page/{page}?q=1"), 200));
        prop_oneof![proptest::sample::select(fixed.to_vec()), alert, wanted]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Blocks dealt to three workers, merged in any order and grouping.
        #[test]
        fn is_associative_and_commutative(lines in proptest::collection::vec(line(), 1..60), deal in proptest::collection::vec(0usize..3, 1..20), block in 60usize..900, level in 0usize..3) {
            let dir = tree(&[("error.log", &(errors(4) + &lines.concat()))]);
            let d = look(dir.path());
            let (id, plan) = d.origin().next().unwrap();
            let options = Options { block, ..Options::default() };
            let index = wanting(&["/page/1?q=1"]);
            let parts = || {
                let mut reader = BlockReader::new(d.open(id, &options).unwrap().reader, plan.split(), &options);
                let mut parts = [Collector::default(), Collector::default(), Collector::default()];
                let (mut one, mut dealt) = (Block::default(), deal.iter().cycle());
                while reader.next_block(&mut one) {
                    parts[*dealt.next().unwrap()].block(id, plan, &Wanted::new(&index), &options, &one);
                }
                parts
            };
            let show = |mut all: Collector| {
                all.thin(level);
                format!("{:?}", all.finish(&d.sources[0], &|_| String::new(), Vec::new()))
            };
            let [mut a, b, c] = parts();
            a.merge(b);
            a.merge(c);
            let left = show(a);
            let [mut a, mut b, c] = parts();
            b.merge(c);
            a.merge(b);
            prop_assert_eq!(&left, &show(a));
            let [a, b, mut c] = parts();
            c.thin(level.min(1));
            c.merge(b);
            c.merge(a);
            prop_assert_eq!(&left, &show(c));
        }
    }
}
