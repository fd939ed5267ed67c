//! What may be done to the logs without changing a verdict, and what may not.

use super::connections::{at_five_seconds, race};
use super::report::{Cells, Report};
use super::site::{Dice, Kind, Site, Tree, Wire, stamp};
use super::{blocked, limits, processes};
use std::collections::BTreeMap;
use std::fs;

/// A site on which several things go wrong, each in some requests.
struct Story {
    site: Site,
    /// Cause, its requests, and what its decisive lines hold.
    told: Vec<(&'static str, Vec<String>, &'static [&'static str])>,
}

fn segfault(pid: u32) -> String {
    format!("nginx[{pid}]: segfault at 18 ip 00007f3a1c2b4d10 sp 00007ffd5e1c2a40 error 4 in a.so[7f3a1c2b4000+3000]")
}

/// Crashes, a full pool, a time limit, a block: by ray, by request, by window and by contrast.
fn faults(kind: Kind) -> Story {
    let mut site = Site::new(kind);
    site.kernel_noise();
    let crash = processes::nginx_deaths(&mut site, "11 (core dumped)", segfault);
    let pool = limits::full_pool(&mut site, Wire::Closed);
    let limit = limits::too_long(&mut site, Wire::Closed);
    let block = blocked::by_edge(&mut site, Wire::Closed);
    let told: Vec<(_, _, &'static [&'static str])> = vec![
        ("worker-crash", crash, &["exited on signal 11", "segfault at"]),
        ("pool-exhausted", pool, &["failed (11:", "max_children"]),
        ("timeout-kill", limit, &["execution timed out", "exited on signal 15", "recv() failed (104"]),
        ("edge-ip-blocked", block, &["\" 444 0 "]),
    ];
    Story { site, told }
}

fn races() -> Story {
    let mut site = Site::new(Kind::Apache);
    let rays = race(&mut site, Wire::Closed, at_five_seconds);
    Story { site, told: vec![("keepalive-race", rays, &[])] }
}

fn stories() -> Vec<Story> {
    vec![faults(Kind::Nginx), faults(Kind::NginxRay), races()]
}

impl Story {
    #[track_caller]
    fn holds(&self, report: &Report) {
        for (cause, rays, _) in &self.told {
            report.proves(rays, cause, &["ray", "request", "chain", "window", "none"], "");
        }
    }
}

#[test]
fn the_stories_are_told() {
    for story in stories() {
        story.holds(&story.site.report());
    }
}

#[test]
fn without_the_decisive_lines_nothing_is_named() {
    for story in stories() {
        for (cause, rays, lines) in &story.told {
            let mut site = story.site.clone();
            for line in *lines {
                assert!(site.each_line(line, |_, _| None) > 0);
            }
            if !lines.is_empty() {
                site.report().denies(rays, cause);
            }
        }
    }
}

#[test]
fn ten_minutes_away_they_prove_nothing() {
    const FORMATS: [&str; 4] = ["%Y/%m/%d %H:%M:%S", "%d-%b-%Y %H:%M:%S", "%b %d %H:%M:%S", "%d/%b/%Y:%H:%M:%S"];
    for story in stories() {
        for (cause, rays, lines) in &story.told {
            let mut site = story.site.clone();
            for line in *lines {
                site.each_line(line, |at, text| {
                    let text = FORMATS.iter().fold(text.to_owned(), |t, f| {
                        // An access line of nginx is stamped when the request ends.
                        t.replace(&stamp(at, f), &stamp(at + 600_000, f))
                    });
                    Some((at + 600_000, text))
                });
            }
            if !lines.is_empty() {
                site.report().denies(rays, cause);
            }
        }
    }
}

/// Spread evenly over the time, lines without a request weigh less.
#[test]
fn sprinkled_over_all_requests_they_weigh_less() {
    let story = faults(Kind::Nginx);
    let (cause, rays, _) = &story.told[0];
    let before = story.site.report();
    let mut site = story.site.clone();
    for i in 0..88 {
        site.kernel(490 + i * 1_010, &segfault(6_000 + i as u32));
        site.nginx_error(500 + i * 1_010, "alert", &format!("worker process {} exited on signal 11 (core dumped)", 6_000 + i));
    }
    let after = site.report();
    for ray in rays {
        let row = after.row(ray);
        let named = if row["cause"] == *cause { after.confidence(ray) } else { 0.0 };
        assert!(named < before.confidence(ray), "{row:#?}");
    }
}

/// New names for hosts, paths, addresses, processes and rays.
#[test]
fn names_do_not_matter() {
    for story in stories() {
        let before = story.site.report();
        let mut dice = Dice(99);
        let rays: BTreeMap<String, String> =
            story.site.rows.iter().map(|r| (r.ray(), format!("{:08x}{:08x}", dice.below(1 << 31), dice.below(1 << 31)))).collect();
        let swaps = [
            ("www.example.com", "shop.sample.net"),
            ("status.example.com", "state.sample.net"),
            ("172.70.240.", "172.69.33."),
            ("162.158.110.", "162.159.8."),
            ("141.101.68.", "104.22.17."),
            ("172.68.70.", "141.101.99."),
            ("108.162.193.", "188.114.97."),
            ("203.0.113.", "198.18.4."),
            ("198.51.100.", "198.19.7."),
            ("192.0.2.10", "192.0.2.140"),
            ("/p/", "/item/"),
            ("/c/", "/shelf/"),
            ("/export/", "/dump/"),
            ("/account/", "/me/"),
            ("/find?q=", "/search?for="),
            ("814#814", "92#92"),
            ("811#811", "7#7"),
            ("process 42", "process 1942"),
            ("nginx[42", "nginx[1942"),
            ("child 33", "child 77"),
        ];
        let rename = |text: &str| {
            let text = swaps.iter().fold(text.to_owned(), |t, (from, to)| t.replace(from, to));
            let words = text.split_inclusive(|c: char| !c.is_ascii_hexdigit());
            words
                .map(|word| match word.get(..16).and_then(|ray| rays.get(ray)) {
                    Some(new) => format!("{new}{}", &word[16..]),
                    None => word.to_owned(),
                })
                .collect::<String>()
        };
        let tree = Tree::new();
        let all = story.site.origin().into_iter().chain([("cloudflare/http_requests.ndjson".to_owned(), story.site.edge())]);
        for (file, text) in all {
            tree.put(&format!("logs/{file}"), &text.lines().map(|l| rename(l) + "\n").collect::<String>());
        }
        let after = tree.report();
        let expected: BTreeMap<String, String> = before.causes().into_iter().map(|(ray, cause)| (rays[&ray].clone(), cause)).collect();
        assert_eq!(after.causes(), expected);
    }
}

/// A line of combined with the ray behind, in another format.
fn rewritten(text: &str, format: &str) -> String {
    let (client, rest) = text.split_once(" - - [").unwrap();
    let (time, rest) = rest.split_once("] \"").unwrap();
    let (request, rest) = rest.split_once("\" ").unwrap();
    let (numbers, rest) = rest.split_once(" \"").unwrap();
    let (status, size) = numbers.split_once(' ').unwrap();
    let (referer, rest) = rest.split_once("\" \"").unwrap();
    let (agent, ray) = rest.rsplit_once('"').unwrap();
    let values =
        [("$c", client), ("$t", time), ("$q", request), ("$s", status), ("$b", size), ("$e", referer), ("$a", agent), ("$y", ray.trim())];
    values.iter().fold(format.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The access log in a format of one's own says what it says in combined.
#[test]
fn the_order_of_fields_does_not_matter() {
    for format in [
        "$t $c \"$y\" \"$q\" $s $b \"$e\" \"$a\"",
        "[$y] [$t] $s $b client=$c req=\"$q\" ua=\"$a\"",
        "time:$t\thost:$c\treq:$q\tstatus:$s\tsize:$b\tua:$a\tcf_ray:$y",
        "$t | $c | $q | $s | $b | $y | $a",
    ] {
        let Story { mut site, told } = faults(Kind::NginxRay);
        let before = site.report();
        assert!(site.each_line(" - - [", |at, text| Some((at, rewritten(text, format)))) > 100);
        let after = site.report();
        assert_eq!(after.causes(), before.causes(), "{format}");
        for (cause, rays, _) in told {
            after.proves(&rays, cause, &["ray", "request", "chain", "window", "none"], "");
        }
    }
}

/// The CSV without the column that names the row's place.
fn without_source(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let at = reader.headers().unwrap().iter().position(|h| h == "source").unwrap();
    reader.records().map(|r| r.unwrap().iter().enumerate().filter(|(i, _)| *i != at).map(|(_, cell)| cell.to_owned()).collect()).collect()
}

#[test]
fn order_and_files_of_edge_rows_do_not_matter() {
    for story in stories() {
        let tree = story.site.write();
        let before = tree.report();
        let mut rows: Vec<String> = story.site.edge().lines().map(|l| format!("{l}\n")).collect();
        let mut dice = Dice(3);
        for i in (1..rows.len()).rev() {
            rows.swap(i, dice.below(i as u64 + 1) as usize);
        }
        fs::remove_file(tree.path().join("logs/cloudflare/http_requests.ndjson")).unwrap();
        for (i, part) in rows.chunks(rows.len().div_ceil(3)).enumerate() {
            tree.put(&format!("logs/cloudflare/part-{i}.log"), &part.concat());
        }
        assert_eq!(without_source(&before.csv), without_source(&tree.report().csv));
    }
}

/// Rotated origin logs: lines have other places, and nothing else is different.
#[test]
fn rotation_of_origin_logs_does_not_matter() {
    for story in stories() {
        let tree = story.site.write();
        let before = tree.report();
        for (file, text) in story.site.origin() {
            let lines: Vec<&str> = text.lines().collect();
            // Not within a record of several lines.
            let Some(cut) = (lines.len() / 2..lines.len()).find(|&i| lines[i].starts_with(|c: char| c.is_ascii_digit() || c == '[')) else {
                continue;
            };
            tree.put(&format!("logs/{file}.1"), &(lines[..cut].join("\n") + "\n"));
            tree.put(&format!("logs/{file}"), &(lines[cut..].join("\n") + "\n"));
        }
        let after = tree.report();
        for (ray, row) in before.rows() {
            let rotated = after.row(ray);
            for column in ["cause", "confidence", "match", "runner_up", "server", "missing"] {
                assert_eq!(row[column], rotated[column], "{column} of {ray}: {rotated:#?}");
            }
        }
    }
}

#[test]
fn threads_do_not_matter() {
    for story in stories() {
        let tree = story.site.write();
        let one = tree.report_with(&["logs", "-j1"]);
        assert_eq!(one.csv, tree.report_with(&["logs", "-j4"]).csv);
        story.holds(&one);
    }
}

/// Fields that a job may lack, with those that stand in for them.
const FIELDS: [&[&str]; 14] = [
    &["RayID"],
    &["EdgeEndTimestamp"],
    &["OriginResponseStatus"],
    &["ClientRequestHost"],
    &["ClientRequestMethod"],
    &["ClientRequestURI", "ClientRequestPath"],
    &["ClientIP"],
    &["ClientRequestUserAgent"],
    &["EdgeColoCode"],
    &["EdgeServerIP"],
    &["OriginIP"],
    &["OriginTCPHandshakeDurationMs"],
    &["OriginTLSHandshakeDurationMs"],
    &["CacheCacheStatus"],
];

fn without_fields(edge: &str, names: &[&str]) -> String {
    edge.lines()
        .map(|line| {
            let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
            row.retain(|name, _| !names.contains(&name.as_str()));
            serde_json::to_string(&row).unwrap() + "\n"
        })
        .collect()
}

fn confidence(row: &Cells) -> f64 {
    row["confidence"].parse().unwrap()
}

#[test]
fn a_field_less_makes_no_fault_surer() {
    each_field_less(&faults(Kind::NginxRay));
}

#[test]
fn a_field_less_makes_no_race_surer() {
    each_field_less(&races());
}

fn each_field_less(story: &Story) {
    let tree = story.site.write();
    // Starts are all different, so they name a row where rays are not delivered.
    let before: BTreeMap<String, Cells> = tree.report().rows().map(|(_, c)| (c["edge_time"].clone(), c.clone())).collect();
    for names in FIELDS {
        tree.put("logs/cloudflare/http_requests.ndjson", &without_fields(&story.site.edge(), names));
        let after: Vec<Cells> = tree.report().all();
        assert_eq!(after.len(), before.len(), "{names:?}");
        for row in after {
            let old = &before[&row["edge_time"]];
            assert!(row["missing"].contains(names[0]), "{names:?} is not missing: {row:#?}");
            let named = row["cause"] != "unknown";
            let was = format!("{} at {}", old["cause"], old["confidence"]);
            assert!(!named || confidence(&row) <= confidence(old), "without {names:?} from {was}: {row:#?}");
        }
    }
}

/// Another server's logs lie beside, with requests that Cloudflare never logged and crashes of its own.
#[test]
fn an_unrelated_server_does_not_matter() {
    for story in stories() {
        let mut empty = story.site.clone();
        empty.rows.clear();
        empty.forget_logs();
        let alone = story.site.merged(&empty, "web1", "web9").write().report();
        let mut other = Site::seeded(Kind::NginxRay, 41);
        processes::nginx_deaths(&mut other, "11 (core dumped)", segfault);
        super::site::rehost(&mut other, "intern.example.org", "192.0.2.99");
        other.rows.clear();
        let beside = story.site.merged(&other, "web1", "web9").write().report();
        story.holds(&alone);
        assert_eq!(alone.causes(), beside.causes());
    }
}

#[test]
fn a_pipe_says_the_same_as_a_directory() {
    for story in stories() {
        let tree = story.site.write();
        let directory = tree.report();
        let edge = fs::read(tree.path().join("logs/cloudflare/http_requests.ndjson")).unwrap();
        fs::remove_dir_all(tree.path().join("logs/cloudflare")).unwrap();
        crate::support::run_with(tree.path(), &["analyze", "-", "logs", "-o", "piped.csv", "-q", "--show-secrets"], edge).ended(0);
        let piped = fs::read_to_string(tree.path().join("piped.csv")).unwrap();
        assert_eq!(without_source(&directory.csv), without_source(&piped));
    }
}
