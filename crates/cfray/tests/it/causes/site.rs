//! A busy site, made of nothing but a fixed generator: edge rows as Logpush delivers them, the origin's
//! access lines that go with them, and the errors that every error log holds and that end in valid answers.
//!
//! Times are milliseconds after 2026-11-22T12:24:00Z; the servers keep UTC.

use super::report::Report;
pub use super::row::{Kind, Row, Wire, stamp};
pub use super::tree::Tree;
use std::collections::BTreeMap;

/// The site is watched for so long.
pub const SPAN: i64 = 90_000;
/// Requests of the background.
const REQUESTS: i64 = 460;
/// The server whose logs are there.
pub const ORIGIN: &str = "192.0.2.10";
/// The site's name.
pub const HOST: &str = "www.example.com";

/// Numbers that look random and are the same in every run.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) ^ (self.0 >> 47)
    }

    /// From 0 to `n - 1`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n
    }

    /// From `from` to `to - 1`.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + self.below((to - from) as u64) as i64
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

/// Data centres: name, milliseconds to the origin and back, edge network.
const COLOS: [(&str, i64, &str); 5] = [
    ("FRA", 8, "172.70.240"),
    ("AMS", 14, "162.158.110"),
    ("CDG", 20, "141.101.68"),
    ("IAD", 92, "172.68.70"),
    ("SIN", 168, "108.162.193"),
];
const AGENTS: [&str; 7] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "okhttp/5.1.0",
];
const WORDS: [&str; 8] = ["lamp", "chair", "desk", "garden", "kitchen", "frame", "stool", "clock"];

/// The site: rows and log lines, to be changed by a test and then written and analysed.
#[derive(Clone)]
pub struct Site {
    pub kind: Kind,
    pub rows: Vec<Row>,
    pub dice: Dice,
    /// By file: moment, order of making, text.
    logs: BTreeMap<String, Vec<(i64, usize, String)>>,
    made: usize,
    cid: u64,
    /// When the last request of an edge address ended.
    idle_since: BTreeMap<String, i64>,
}

impl Site {
    /// A site with a background of requests.
    pub fn new(kind: Kind) -> Self {
        Self::seeded(kind, 0)
    }

    /// Another site of the same kind.
    pub fn seeded(kind: Kind, seed: u64) -> Self {
        let mut site = Self {
            kind,
            rows: Vec::new(),
            dice: Dice(0x00c0_ffee_0000_0520 ^ kind as u64 ^ seed << 8),
            logs: BTreeMap::new(),
            made: 0,
            cid: 20,
            idle_since: BTreeMap::new(),
        };
        // Apache closes idle connections after 5 s, nginx after 65 s.
        let keep_ms = if kind.is_nginx() { 65_000 } else { 5_000 };
        for i in 0..REQUESTS {
            let at = i * SPAN / REQUESTS + site.dice.between(0, 150);
            let mut row = site.request(at);
            let known = site.idle_since.get(&row.edge_ip).is_some_and(|end| at - end < keep_ms - 400);
            if known && site.dice.below(100) < 85 {
                row = row.reused();
            }
            site.ordinary(row);
        }
        assert!(site.rows.len() >= 450 && site.logs.values().map(Vec::len).sum::<usize>() >= 400);
        site
    }

    /// Somebody's request for some page, over a new connection, not yet sent or answered.
    pub fn request(&mut self, at: i64) -> Row {
        let d = &mut self.dice;
        let (colo, rtt, net) = *d.pick(&COLOS);
        let n = d.below(900);
        let word = *d.pick(&WORDS);
        let uri = match d.below(7) {
            0 => "/".to_owned(),
            1 => format!("/p/{n}-{word}"),
            2 => format!("/c/{word}?page={}", 1 + n % 9),
            3 => format!("/blog/2026/{:02}/{word}-{n}/", 1 + n % 11),
            4 => format!("/find?q={word}+{n}"),
            5 => format!("/api/stock/{n}"),
            _ => format!("/account/orders?from={n}"),
        };
        let last = 1 + d.below(70);
        let client = if last.is_multiple_of(2) { format!("203.0.113.{last}") } else { format!("198.51.100.{last}") };
        let dur = rtt + d.between(12, 140);
        Row {
            ray: 0x9e00_0000_0000_0000 | d.draw() << 26 | d.draw() & 0x03ff_ffff,
            start: at,
            dur,
            status: 200,
            origin_status: 200,
            host: HOST.to_owned(),
            method: "GET".to_owned(),
            uri,
            client,
            asn: 64_500 + (last % 9) as u32,
            country: ["de", "nl", "fr", "us", "sg"][(last % 5) as usize].to_owned(),
            agent: AGENTS[(last % 7) as usize].to_owned(),
            referer: if last.is_multiple_of(3) { format!("https://{HOST}/") } else { String::new() },
            colo: colo.to_owned(),
            edge_ip: format!("{net}.{}", 20 + d.below(3) * 7),
            origin_ip: ORIGIN.to_owned(),
            origin_tls: "TLSv1.3".to_owned(),
            tcp: rtt,
            tls: rtt + 3,
            header_ms: dur - 2,
            cache: "dynamic".to_owned(),
            source: "eyeball".to_owned(),
            parent: "00".to_owned(),
            o2o: false,
        }
    }

    /// One request of the background: answered, by the cache or the origin, well or with an error that
    /// reaches the visitor.
    fn ordinary(&mut self, mut row: Row) {
        let chance = self.dice.below(100);
        if chance < 12 {
            row.uri = format!("/assets/{}.{}.css", WORDS[(chance % 8) as usize], row.ray % 997);
            (row.edge_ip, row.origin_ip) = (String::new(), String::new());
            (row.tcp, row.tls, row.header_ms, row.origin_status) = (0, 0, 0, 0);
            (row.cache, row.origin_tls, row.dur) = ("hit".to_owned(), "unknown".to_owned(), 4);
            self.rows.push(row);
            return;
        }
        self.idle_since.insert(row.edge_ip.clone(), row.end());
        let size = 800 + self.dice.below(9000);
        let fastcgi = "fastcgi://unix:/run/php/www.sock:";
        let (nginx, at) = (self.kind.is_nginx(), row.end() - 3);
        match chance {
            12..=14 => {
                row = row.asking("GET", "/old/teaser.html").ended(Wire::Valid(404));
                if nginx {
                    let path = "open() \"/var/www/site/public/old/teaser.html\" failed (2: No such file or directory)";
                    self.nginx_about(at, "error", path, &row, "");
                }
            }
            15..=17 => {
                row = row.asking("GET", "/.git/config").ended(Wire::Valid(403));
                if nginx {
                    self.nginx_about(at, "error", "access forbidden by rule", &row, "");
                } else {
                    let text = "AH01630: client denied by server configuration: /var/www/site/public/.git";
                    self.apache_error(at, "authz_core:error", 2210, Some(&row.edge_ip), text);
                }
            }
            18..=20 => {
                let status = if nginx { 502 } else { 503 };
                let page = format!("/intranet/{}", chance + row.ray % 50);
                row = row.asking("GET", &page).ended(Wire::Valid(status));
                if nginx {
                    let text = "connect() failed (111: Connection refused) while connecting to upstream";
                    let upstream = format!("http://127.0.0.1:8010{}", row.uri);
                    self.nginx_about(at, "error", text, &row, &upstream);
                } else {
                    let text = "(111)Connection refused: AH00957: http: attempt to connect to 127.0.0.1:8010 (127.0.0.1:8010) failed";
                    self.apache_error(at, "proxy:error", 2214, None, text);
                    let text = "AH01114: HTTP: failed to make connection to backend: 127.0.0.1";
                    self.apache_error(at, "proxy_http:error", 2214, Some(&row.edge_ip), text);
                }
            }
            21..=26 => {
                let text = "PHP Warning:  Undefined variable $related_items in /var/www/site/lib/page.php on line 3";
                if nginx {
                    let text = format!("FastCGI sent in stderr: \"PHP message: {text}\" while reading response header from upstream");
                    self.nginx_about(at, "error", &text, &row, fastcgi);
                } else {
                    self.apache_error(at, "php:warn", 2219, Some(&row.edge_ip), text);
                }
            }
            _ => {}
        }
        let (status, size) = (row.status, if row.status == 200 { size } else { 500 });
        self.answered(row, status, size);
    }

    /// Keeps a row and writes its access line.
    pub fn answered(&mut self, row: Row, logged: u16, size: u64) {
        self.access(&row, logged, size, size + 300);
        self.rows.push(row);
    }

    /// The access line of a request.
    pub fn access(&mut self, row: &Row, status: u16, body: u64, sent: u64) {
        let written = row.end() - 2;
        let (at, dir) = if self.kind.is_nginx() { (written, "nginx") } else { (row.start + 2, "apache2") };
        let client = if self.kind == Kind::NginxRealIp { &row.client } else { &row.edge_ip };
        let referer = if row.referer.is_empty() { "-" } else { &row.referer };
        let tail = match self.kind {
            Kind::NginxRay => format!(" {}-{}", row.ray(), row.colo),
            Kind::ApacheIo => format!(" {} {sent}", 1100 + row.uri.len()),
            _ => String::new(),
        };
        let size = if body == 0 && !self.kind.is_nginx() { "-".to_owned() } else { body.to_string() };
        let text = format!(
            "{client} - - [{}] \"{} {} HTTP/1.1\" {status:03} {size} \"{referer}\" \"{}\"{tail}",
            stamp(at, "%d/%b/%Y:%H:%M:%S +0000"),
            row.method,
            row.uri,
            row.agent
        );
        // Apache stamps the start and writes at the end.
        self.log(&format!("{dir}/access.log"), written, text);
    }

    /// Any line of any file.
    pub fn log(&mut self, file: &str, at: i64, text: String) {
        self.made += 1;
        self.logs.entry(file.to_owned()).or_default().push((at, self.made, text));
    }

    /// A line of nginx's error log about a process.
    pub fn nginx_error(&mut self, at: i64, level: &str, text: &str) {
        self.log("nginx/error.log", at, format!("{} [{level}] 811#811: {text}", stamp(at, "%Y/%m/%d %H:%M:%S")));
    }

    /// A line of nginx's error log about a request.
    pub fn nginx_about(&mut self, at: i64, level: &str, text: &str, row: &Row, upstream: &str) {
        self.cid += 3;
        let client = if self.kind == Kind::NginxRealIp { &row.client } else { &row.edge_ip };
        let tail = row.nginx_tail(upstream).replacen(&row.edge_ip, client, 1);
        let text = format!("{} [{level}] 814#814: *{} {text}{tail}", stamp(at, "%Y/%m/%d %H:%M:%S"), self.cid);
        self.log("nginx/error.log", at, text);
    }

    /// A line of Apache's error log.
    pub fn apache_error(&mut self, at: i64, module: &str, pid: u32, client: Option<&str>, text: &str) {
        let client = client.map(|c| format!("[client {c}:{}] ", 30_000 + self.made % 20_000)).unwrap_or_default();
        let time = stamp(at, "%a %b %d %H:%M:%S%.6f %Y");
        // The text of an errno stands before the client.
        let (os, text) = text.split_at(if text.starts_with('(') { text.find("AH").unwrap_or(0) } else { 0 });
        self.log("apache2/error.log", at, format!("[{time}] [{module}] [pid {pid}:tid {pid}] {os}{client}{text}"));
    }

    /// ModSecurity's line on Apache about a request: how it was denied, what the rule matched, and the page as it knows it.
    pub fn modsecurity(&mut self, row: &Row, client: &str, how: &str, matched: &str, page: &str) {
        let text = format!(
            "[client {client}] ModSecurity: Access denied with {how}. {matched}. [file \"/etc/modsecurity/rules.conf\"] [line \"41\"] [id \"100{}\"] [hostname \"{}\"] [uri \"{page}\"] [unique_id \"aSGw3H8AAQEAAAS{}\"]",
            self.made % 100,
            row.host,
            row.ray()
        );
        self.apache_error(row.end() - 20, "security2:error", 2240, Some(client), &text);
    }

    /// A line of PHP-FPM's main log.
    pub fn fpm(&mut self, at: i64, level: &str, text: &str) {
        self.log("php/php8.2-fpm.log", at, format!("[{}] {level}: {text}", stamp(at, "%d-%b-%Y %H:%M:%S")));
    }

    /// A line of the kernel's log.
    pub fn kernel(&mut self, at: i64, text: &str) {
        let since_boot = 81_000 + at.div_euclid(1000);
        let time = stamp(at, "%b %d %H:%M:%S");
        self.log("kern.log", at, format!("{time} web1 kernel: [{since_boot}.{:06}] {text}", at.rem_euclid(1000) * 1000));
    }

    /// What a kernel writes all day, from before the first request to after the last.
    pub fn kernel_noise(&mut self) {
        for i in 0..24 {
            let text = format!(
                "[UFW BLOCK] IN=eth0 OUT= SRC=198.18.0.{} DST=192.0.2.10 LEN=40 TOS=0x00 PREC=0x00 TTL=244 ID=5{i} PROTO=TCP SPT=4{i}11 DPT=23 WINDOW=1024 RES=0x00 SYN URGP=0",
                i + 1
            );
            self.kernel(-5_000 + i * 4_300, &text);
            let text = format!(
                "audit: type=1400 audit(1795350{i:03}.412:71): apparmor=\"ALLOWED\" operation=\"open\" profile=\"snap.agent\" name=\"/proc/{i}/stat\""
            );
            self.kernel(-3_000 + i * 4_300, &text);
        }
    }

    /// Keeps a row without a line at the origin.
    pub fn silent(&mut self, row: Row) -> String {
        let ray = row.ray();
        self.rows.push(row);
        ray
    }

    /// 520s all over the time that nothing at the origin explains: new connections, visitors of all
    /// kinds, closed seconds after the request without a line.
    pub fn strangers(&mut self, n: i64) -> Vec<String> {
        (0..n)
            .map(|i| {
                let at = 5_000 + i * 78_000 / n + self.dice.between(0, 900);
                let ms = self.dice.between(1_500, 4_000);
                let row = self.request(at).ended(Wire::Closed).lasting(ms);
                self.silent(row)
            })
            .collect()
    }

    /// 520s all over the time with a `444 0` and no word why.
    pub fn closed_strangers(&mut self, n: i64) -> Vec<String> {
        (0..n)
            .map(|i| {
                let at = 6_000 + i * 78_000 / n + self.dice.between(0, 900);
                let row = self.request(at).ended(Wire::Closed);
                let ray = row.ray();
                self.access(&row, 444, 0, 0);
                self.rows.push(row);
                ray
            })
            .collect()
    }

    /// Goes through the log lines that hold a text and drops or changes each; says how many there were.
    pub fn each_line(&mut self, holds: &str, mut act: impl FnMut(i64, &str) -> Option<(i64, String)>) -> usize {
        let mut n = 0;
        for list in self.logs.values_mut() {
            let mut kept = Vec::new();
            for (at, made, text) in list.drain(..) {
                if !text.contains(holds) {
                    kept.push((at, made, text));
                    continue;
                }
                n += 1;
                if let Some((at, text)) = act(at, &text) {
                    kept.push((at, made, text));
                }
            }
            *list = kept;
        }
        n
    }

    /// Edge rows in order of end, as Logpush delivers them.
    pub fn edge(&self) -> String {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|r| (r.end(), r.ray));
        rows.iter().map(|r| r.json() + "\n").collect()
    }

    /// Files of the origin with their text.
    pub fn origin(&self) -> BTreeMap<String, String> {
        self.logs
            .iter()
            .map(|(file, lines)| {
                let mut lines: Vec<&(i64, usize, String)> = lines.iter().collect();
                lines.sort_by_key(|l| (l.0, l.1));
                (file.clone(), lines.iter().map(|l| l.2.clone() + "\n").collect())
            })
            .collect()
    }

    /// Writes it all under `logs/`.
    pub fn write(&self) -> Tree {
        let tree = Tree::new();
        tree.put("logs/cloudflare/http_requests.ndjson", &self.edge());
        for (file, text) in self.origin() {
            tree.put(&format!("logs/{file}"), &text);
        }
        let lines: usize = self.logs.values().map(Vec::len).sum();
        assert!(self.rows.len() >= 320 && (lines >= 320 || self.logs.is_empty()), "{} rows, {lines} lines", self.rows.len());
        tree
    }

    /// Writes it and has it analysed.
    pub fn report(&self) -> Report {
        self.write().report()
    }
}

/// Gives a site another name and another server.
pub fn rehost(site: &mut Site, host: &str, origin: &str) {
    for row in &mut site.rows {
        row.ray ^= 0x0055_0000_0000_0000;
        row.host = row.host.replace(HOST, host);
        if !row.origin_ip.is_empty() {
            row.origin_ip = origin.to_owned();
        }
    }
    for list in site.logs.values_mut() {
        for (_, _, text) in list {
            *text = text.replace(HOST, host).replace(" web1 kernel:", " web2 kernel:");
        }
    }
}

impl Site {
    /// Two sites behind one Cloudflare account: rows together, each server's logs in a directory of its own.
    #[must_use]
    pub fn merged(&self, other: &Self, mine: &str, theirs: &str) -> Self {
        let mut both = self.clone();
        both.rows.extend(other.rows.iter().cloned());
        both.logs = BTreeMap::new();
        for (site, dir) in [(self, mine), (other, theirs)] {
            both.logs.extend(site.logs.iter().map(|(file, lines)| (format!("{dir}/{file}"), lines.clone())));
        }
        both
    }
}

impl Site {
    /// Nothing of the origin's is collected.
    pub fn forget_logs(&mut self) {
        self.logs.clear();
    }

    /// Analyses what a test has left of the logs.
    pub fn report_thin(&self) -> Report {
        let tree = Tree::new();
        tree.put("logs/cloudflare/http_requests.ndjson", &self.edge());
        for (file, text) in self.origin() {
            tree.put(&format!("logs/{file}"), &text);
        }
        tree.report()
    }
}
