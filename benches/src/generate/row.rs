//! One request: drawn from its number alone, so that any thread can draw any row.

use super::plan::{BEGIN_NS, Failure, Fate, Plan};
use super::rng::{Rng, at};
use super::tables::{AGENTS, ARTICLES, Agent, COLOS, Colo, DEVICE, FAR, GOODS, ORIGINS, Origin, REFERRERS, SCRAPERS, STATIC};
use super::text::Text;

/// Ordinary visitors.
const VISITORS: u64 = 20_000;
/// Number of the first visitor that the origin drops.
const FIRST_BLOCKED: u64 = 30_000;
/// Number of the first far device.
const FIRST_DEVICE: u64 = 40_000;
/// Colo numbers of the addresses that only far devices use begin here.
const QUIET: u64 = 128;
/// Addresses of a colo that all others share.
const BUSY: u64 = 4;

/// A request with everything that either side says about it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number.
    pub number: u64,
    /// What becomes of it.
    pub fate: Fate,
    /// Ray.
    pub ray: u64,
    /// When the edge got it.
    pub start_ns: i64,
    /// Data centre.
    pub colo: &'static Colo,
    /// Last number of the edge address towards the origin.
    pub edge_host: u64,
    /// Number of the visitor.
    pub visitor: u64,
    /// Where the visitor is.
    pub place: &'static Origin,
    /// User agent.
    pub agent: &'static Agent,
    /// Host.
    pub host: &'static str,
    /// Method.
    pub method: &'static str,
    /// Path and query.
    pub uri: Text,
    /// Length of the path in `uri`.
    pub path_len: usize,
    /// Referrer, may be empty.
    pub referrer: &'static str,
    /// Content type of the answer.
    pub content: &'static str,
    /// `CacheCacheStatus`.
    pub cache: &'static str,
    /// Asked of the origin.
    pub origin: bool,
    /// Answered by a firewall rule at the edge.
    pub stopped: bool,
    /// Status for the visitor.
    pub edge_status: u64,
    /// What the origin's access log says; 0 when it has no line.
    pub logged_status: u64,
    /// `OriginResponseStatus`.
    pub origin_status: u64,
    /// Bytes of the body as the origin logs it.
    pub body: u64,
    /// Goes through PHP.
    pub php: bool,
    /// TCP handshake with the origin in milliseconds; 0 on a reused connection.
    pub tcp_ms: u64,
    /// TLS handshake.
    pub tls_ms: u64,
    /// From the request sent to the header received.
    pub header_ms: u64,
    /// Microseconds beyond the whole milliseconds, for time stamps.
    pub extra_us: u64,
    /// The origin logs a warning of PHP about it.
    pub warning: bool,
}

impl Default for Row {
    fn default() -> Self {
        Self {
            number: 0,
            fate: Fate::Ordinary,
            ray: 0,
            start_ns: 0,
            colo: &COLOS[0],
            edge_host: 0,
            visitor: 0,
            place: &ORIGINS[0],
            agent: &AGENTS[0],
            host: "",
            method: "GET",
            uri: Text::default(),
            path_len: 0,
            referrer: "",
            content: "",
            cache: "",
            origin: false,
            stopped: false,
            edge_status: 0,
            logged_status: 0,
            origin_status: 0,
            body: 0,
            php: false,
            tcp_ms: 0,
            tls_ms: 0,
            header_ms: 0,
            extra_us: 0,
            warning: false,
        }
    }
}

impl Row {
    /// Draws row `number`.
    pub fn fill(&mut self, plan: &Plan, number: u64) {
        let fate = plan.fate(number);
        let seed = plan.spec.seed;
        // What is asked for comes from one stream (a retry asks the same again), what happens from another.
        let mut ask = Rng::new(seed, 1, if let Fate::Retry { of, .. } = fate { of } else { number });
        let mut run = Rng::new(seed, 2, number);
        self.number = number;
        self.fate = fate;
        self.ray = ray(&mut run, plan.nominal_ns(number));
        self.start_ns = match fate {
            Fate::Race { start_ns, .. } => start_ns,
            // Rows are not in order of their start.
            _ => plan.nominal_ns(number) + (run.below(3 * plan.step_ns() as u64 / 1_000) * 1_000) as i64,
        };
        self.extra_us = run.below(1_000);
        self.warning = false;
        self.stopped = false;
        self.who(&mut ask, seed, fate);
        self.what(&mut ask, &mut run, fate);
        self.how_long(&mut run, fate);
    }

    fn who(&mut self, ask: &mut Rng, seed: u64, fate: Fate) {
        let drawn = ask.below(VISITORS).min(ask.below(VISITORS)).min(ask.below(VISITORS));
        self.visitor = match fate {
            Fate::BeforeRace { slot } | Fate::Race { slot, .. } => FIRST_DEVICE + slot,
            Fate::Blocked { visitor } => FIRST_BLOCKED + visitor,
            _ => drawn,
        };
        let mut home = Rng::new(seed, 3, self.visitor);
        self.place = home.pick(ORIGINS);
        self.agent = match fate {
            Fate::BeforeRace { .. } | Fate::Race { .. } => &DEVICE,
            Fate::Blocked { visitor } => at(SCRAPERS, visitor),
            _ => home.pick(AGENTS),
        };
        match fate {
            Fate::BeforeRace { slot } | Fate::Race { slot, .. } => {
                self.colo = at(COLOS, COLOS.len() as u64 - 1 - slot % FAR);
                self.edge_host = QUIET + slot;
            }
            _ => {
                self.colo = home.pick(COLOS);
                self.edge_host = 14 + 23 * ask.below(BUSY);
            }
        }
    }

    /// Page, cache and statuses.
    fn what(&mut self, ask: &mut Rng, run: &mut Rng, fate: Fate) {
        self.method = "GET";
        self.host = "www.example.com";
        self.referrer = *ask.pick(REFERRERS);
        self.content = "text/html; charset=UTF-8";
        self.php = true;
        self.cache = "dynamic";
        self.origin = true;
        self.edge_status = 200;
        self.body = 3_000 + ask.below(9_000);
        let uri = &mut self.uri;
        uri.bytes.clear();
        match fate {
            Fate::Ordinary => match ask.below(100) {
                0..=31 => {
                    let (name, content) = ask.pick(STATIC);
                    uri.s(name).s("?v=").n(2_026_110 + ask.below(4));
                    self.content = content;
                    self.hit(run);
                }
                32..=43 => {
                    uri.s("/media/p/").n(ask.below(4_000)).s("/").n(ask.below(8)).s("-960x1280.webp");
                    self.content = "image/webp";
                    self.hit(run);
                }
                44..=45 => {
                    uri.s("/wp-login.php");
                    self.method = "POST";
                    self.stopped = true;
                    self.origin = false;
                    self.edge_status = 403;
                    self.cache = "unknown";
                    self.body = 4_529;
                }
                _ => self.page(ask),
            },
            Fate::BeforeRace { .. } | Fate::Race { .. } => {
                self.method = "POST";
                self.host = "api.example.com";
                self.referrer = "";
                self.content = "application/json";
                self.body = 17;
                uri.s("/api/v1/telemetry?device=").n(self.visitor).s("&seq=").n(ask.below(100_000));
            }
            Fate::Dropped => {
                self.method = "POST";
                self.referrer = "";
                uri.s("/xmlrpc.php");
            }
            Fate::HeadersTooLarge => {
                uri.s("/account/saved/").n(ask.below(90_000));
            }
            Fate::Timeout | Fate::Retry { like: Failure::Report, .. } => {
                uri.s("/reports/yearly?account=").n(ask.below(90_000)).s("&format=xlsx");
            }
            Fate::Crash { .. } | Fate::Blocked { .. } | Fate::PoolFull | Fate::Retry { .. } => self.page(ask),
        }
        self.path_len = self.uri.bytes.iter().position(|b| *b == b'?').unwrap_or(self.uri.bytes.len());
        if fate == Fate::Ordinary && self.origin && !self.cache.starts_with("miss") {
            match run.below(1_000) {
                0..=11 => self.edge_status = 404,
                12..=17 => self.edge_status = 301,
                18..=20 => self.edge_status = 403,
                21..=23 => self.edge_status = 502,
                24 => self.edge_status = 500,
                n => self.warning = self.php && n < 40,
            }
            if self.edge_status != 200 {
                self.body = 150 + run.below(900);
            }
        }
        (self.logged_status, self.origin_status) = if self.origin { (self.edge_status, self.edge_status) } else { (0, 0) };
        if fate.fails() {
            self.edge_status = 520;
            (self.logged_status, self.origin_status) = match fate {
                Fate::Race { .. } | Fate::Crash { .. } => (0, 0),
                Fate::HeadersTooLarge => (200, 200),
                _ => (444, 0),
            };
            if self.logged_status == 444 {
                self.body = 0;
            }
        }
    }

    fn hit(&mut self, run: &mut Rng) {
        self.php = false;
        self.origin = !run.chance(9_600);
        self.cache = if self.origin { "miss" } else { "hit" };
    }

    fn page(&mut self, ask: &mut Rng) {
        let uri = &mut self.uri;
        match ask.below(10) {
            0..=2 => {
                uri.s("/product/").n(ask.below(4_000));
            }
            3 | 4 => {
                uri.s("/category/").s(ask.pick(GOODS)).s("?page=").n(1 + ask.below(9)).s("&sort=price_asc&in_stock=1");
            }
            5 | 6 => {
                self.host = "api.example.com";
                self.content = "application/json";
                self.body = 60 + ask.below(2_000);
                uri.s("/api/v1/items/").n(ask.below(4_000)).s("?fields=price,stock,delivery");
            }
            7 => {
                uri.s("/blog/").s(ask.pick(ARTICLES));
            }
            8 => {
                uri.s("/search?q=").s(ask.pick(GOODS)).s("&page=").n(1 + ask.below(4));
            }
            _ => {
                self.host = "shop.example.com";
                self.method = "POST";
                self.body = 300 + ask.below(900);
                uri.s("/cart/items?sku=").n(ask.below(4_000));
            }
        }
    }

    fn how_long(&mut self, run: &mut Rng, fate: Fate) {
        (self.tcp_ms, self.tls_ms, self.header_ms) = (0, 0, 0);
        if !self.origin {
            return;
        }
        let rtt = self.colo.rtt_ms;
        let fresh = match fate {
            Fate::Ordinary | Fate::Retry { .. } | Fate::Dropped | Fate::Blocked { .. } => run.chance(700),
            Fate::BeforeRace { .. } => true,
            _ => false,
        };
        if fresh {
            self.tcp_ms = rtt;
            self.tls_ms = rtt + 2 + run.below(3);
        }
        // Mostly short, with a tail.
        let work = if self.php { 18 + run.below(60) + if run.chance(400) { run.below(1_400) } else { 0 } } else { 1 + run.below(3) };
        self.header_ms = rtt
            + match fate {
                Fate::Race { .. } | Fate::Dropped | Fate::Blocked { .. } | Fate::PoolFull => run.below(3),
                Fate::Timeout => 30_020 + run.below(400),
                // The close arrives half a round trip after the worker died.
                Fate::Crash { at_ns } => return self.header_ms = ((at_ns - self.start_ns) / 1_000_000).max(1) as u64 + rtt / 2,
                _ => work,
            };
    }

    /// What the edge spent on the origin, in milliseconds.
    pub const fn origin_ms(&self) -> u64 {
        self.tcp_ms + self.tls_ms + self.header_ms
    }

    /// Time to the first byte for the visitor, in milliseconds.
    pub const fn first_byte_ms(&self) -> u64 {
        self.origin_ms() + 2
    }

    /// When the edge had sent the answer.
    pub const fn end_ns(&self) -> i64 {
        self.start_ns + ((self.first_byte_ms() * 1_000 + self.extra_us) * 1_000) as i64
    }

    /// When the origin was done with it, which is when nginx writes the line.
    pub const fn origin_end_ns(&self) -> i64 {
        let half = self.colo.rtt_ms / 2;
        self.start_ns + ((self.origin_ms().saturating_sub(half) * 1_000 + self.extra_us) * 1_000) as i64
    }

    /// Path without query.
    pub fn path(&self) -> &[u8] {
        &self.uri.bytes[..self.path_len]
    }

    /// Appends the visitor's address.
    pub fn write_visitor(&self, out: &mut Text) {
        let v = self.visitor;
        match v % 8 {
            0 => out.s("203.0.113.").n(v / 8 % 254 + 1),
            1 => out
                .s("2001:db8:")
                .hex(v % 0xe000 + 0x1000, 4)
                .s(":")
                .hex(v * 7 % 0xeff1 + 0x1000, 4)
                .s("::")
                .hex(v * 31 % 0xeff1 + 0x1000, 4),
            _ => out.s("198.18.").n(v / 250 % 256).s(".").n(v % 250 + 1),
        };
    }
}

/// A ray that grows with time as real ones do, and is unlike all others.
fn ray(run: &mut Rng, ns: i64) -> u64 {
    let tick = ((ns - BEGIN_NS) / 1_000_000 / 40) as u64;
    (0x9e0a_d000 + tick) << 32 | run.bits() >> 32
}
