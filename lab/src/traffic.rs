//! Background traffic: visitors, bots and scanners on three kinds of site, and what such sites
//! answer on a normal day (404, 403, 301, valid 500/502/503, PHP warnings).

use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;

use crate::edge::colo::Colo;
use crate::edge::{Body, Req, Visitor};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Shop,
    WordPress,
    Saas,
    Magento,
    Forum,
    Api,
}

/// Who the visitors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// Mostly people, each with a few requests.
    Usual,
    /// A few clients, mostly programs, with many requests each.
    Few,
    /// Almost as many requests by crawlers as by people.
    Bots,
}

const BROWSERS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
];
const BOTS: &[&str] = &[
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
];
const APPS: &[&str] = &["okhttp/5.1.0", "ExampleApp/412 CFNetwork/1568 Darwin/24.0.0", "axios/1.12.2"];
const WORDS: &[&str] = &[
    "lamp",
    "desk",
    "sofa",
    "rug",
    "mirror",
    "chair",
    "shelf",
    "vase",
    "clock",
    "frame",
    "basket",
    "stool",
    "spring-sale",
    "care-guide",
    "size-chart",
    "our-story",
    "gift-ideas",
    "garden",
    "kitchen",
    "office",
];
const SCANS: &[&str] = &["/.env", "/.git/config", "/wp-login.php", "/xmlrpc.php", "/.aws/credentials", "/phpinfo.php"];

pub struct Visitors {
    people: Vec<Arc<Visitor>>,
    bots: Vec<Arc<Visitor>>,
    apps: Vec<Arc<Visitor>>,
    scanners: Vec<Arc<Visitor>>,
    /// Out of a hundred requests: those by bots, those by bots or apps.
    shares: (u32, u32),
    pub profile: Profile,
}

impl Visitors {
    pub fn new(colos: &[Colo], profile: Profile, crowd: Crowd, rng: &mut StdRng) -> Self {
        let mut group =
            |n: usize, uas: &[&str]| -> Vec<Arc<Visitor>> { (0..n).map(|_| Arc::new(visitor(colos, uas, None, rng))).collect() };
        let ((people, bots, apps), shares) = match crowd {
            Crowd::Usual => ((220, 9, 25), (8, 18)),
            Crowd::Few => ((9, 2, 14), (2, 84)),
            Crowd::Bots => ((130, 42, 6), (46, 48)),
        };
        Self {
            people: group(people, BROWSERS),
            bots: group(bots, BOTS),
            apps: group(apps, APPS),
            shares,
            scanners: group(4, &["Mozilla/5.0 zgrab/0.x", "curl/8.14.1"]),
            profile,
        }
    }

    pub fn person(&self, rng: &mut StdRng) -> Arc<Visitor> {
        self.people[rng.random_range(0..self.people.len())].clone()
    }

    pub fn app(&self, rng: &mut StdRng) -> Arc<Visitor> {
        self.apps[rng.random_range(0..self.apps.len())].clone()
    }

    /// Mostly people, some apps and bots: whoever asks for an ordinary page.
    pub fn anyone(&self, rng: &mut StdRng) -> Arc<Visitor> {
        match rng.random_range(0..100) {
            n if n < self.shares.0 => self.bots[rng.random_range(0..self.bots.len())].clone(),
            n if n < self.shares.1 => self.app(rng),
            _ => self.person(rng),
        }
    }

    pub fn host(&self) -> &'static str {
        match self.profile {
            Profile::Shop => "www.example.org",
            Profile::WordPress => "blog.example.net",
            Profile::Saas => "app.example.com",
            Profile::Magento => "store.example.org",
            Profile::Forum => "forum.example.net",
            Profile::Api => "api.example.com",
        }
    }

    pub fn zone(&self) -> &'static str {
        self.host().split_once('.').map_or("", |(_, z)| z)
    }

    /// A request with the usual look: host, visitor, sometimes a referer.
    pub fn req(&self, rng: &mut StdRng, tag: &'static str, method: &'static str, uri: String, v: Arc<Visitor>) -> Req {
        let referer = match rng.random_range(0..10) {
            0..=2 => format!("https://{}/", self.host()),
            3 => "https://www.google.com/".into(),
            _ => String::new(),
        };
        let body = if method == "POST" {
            let len = rng.random_range(30..900);
            Body::Full((0..len).map(|i| if i % 9 == 8 { b'&' } else { b'a' + (i % 26) as u8 }).collect())
        } else {
            Body::None
        };
        Req {
            tag,
            method,
            host: self.host().into(),
            uri,
            referer,
            visitor: v,
            body,
            headers: Vec::new(),
            cached: None,
            cacheable: false,
            origin: 0,
            source: "eyeball",
            worker: false,
            edge_only: None,
        }
    }

    pub fn background(&self, rng: &mut StdRng) -> Req {
        let n = rng.random_range(1..600);
        let w = WORDS[rng.random_range(0..WORDS.len())];
        let v = self.anyone(rng);
        let roll = rng.random_range(0..1000);
        let mut r = match roll {
            // Static files; most come from the edge's cache.
            0..=229 => {
                let (path, kind, len) = match n % 4 {
                    0 => (format!("/assets/app.{:x}.css", n % 5 + 0x3a1), "text/css", 14_000 + n % 5 * 311),
                    1 => (format!("/assets/main.{:x}.js", n % 5 + 0x7f2), "application/javascript", 60_100 + n % 5 * 97),
                    2 => (format!("/img/{w}-{}.webp", n % 30), "image/webp", 9_000 + n % 30 * 400),
                    _ => ("/favicon.ico".into(), "image/x-icon", 4286),
                };
                let mut r = self.req(rng, "background", "GET", path, v);
                r.cacheable = true;
                if rng.random_bool(0.86) {
                    r.cached = Some((len, kind));
                }
                r
            }
            230..=249 => self.req(rng, "background", "GET", format!("/old/{w}.html"), v), // 301
            250..=272 => {
                let p = ["/apple-touch-icon.png", "/ads.txt", "/img/missing.png", "/humans.txt"][n % 4];
                self.req(rng, "background", "GET", p.into(), v) // 404
            }
            273..=289 => {
                let s = self.scanners[n % self.scanners.len()].clone();
                self.req(rng, "scanner", "GET", SCANS[n % SCANS.len()].into(), s) // 403, 404
            }
            290..=296 => self.req(rng, "background", "GET", format!("/widget/{n}"), v), // valid 500
            297..=302 => self.req(rng, "background", "GET", format!("/upkeep/{w}"), v), // valid 503
            303..=312 => self.req(rng, "background", "GET", format!("/reports-old/{n}"), v), // dead upstream: 502, 503
            _ => self.page(rng, n, w, v),
        };
        if roll >= 313 && rng.random_bool(0.02) {
            // Another virtual host on the same server, failing for its own, validly answered reason.
            r.host = format!("intranet.{}", self.zone());
        }
        r
    }

    fn page(&self, rng: &mut StdRng, n: usize, w: &str, v: Arc<Visitor>) -> Req {
        let k = rng.random_range(0..100);
        let (method, uri) = match self.profile {
            Profile::Shop => match k {
                0..=14 => ("GET", "/".into()),
                15..=44 => ("GET", format!("/p/{n}-{w}")),
                45..=61 => ("GET", format!("/c/{w}?page={}", n % 6 + 1)),
                62..=71 => ("GET", format!("/find?q={w}")),
                72..=84 => ("GET", format!("/api/stock/{n}")),
                85..=92 => ("POST", "/basket".into()),
                93..=95 => ("POST", "/order/submit".into()),
                _ => ("GET", format!("/guide/{w}")),
            },
            Profile::WordPress => match k {
                0..=19 => ("GET", "/".into()),
                20..=54 => ("GET", format!("/2026/{:02}/{w}-{}/", n % 11 + 1, n % 40)),
                55..=66 => ("GET", format!("/category/{w}/")),
                67..=76 => ("GET", format!("/wp-json/wp/v2/posts?page={}", n % 9 + 1)),
                77..=86 => ("POST", "/wp-admin/admin-ajax.php".into()),
                87..=91 => ("GET", "/feed/".into()),
                92..=94 => ("POST", "/wp-comments-post.php".into()),
                _ => ("GET", format!("/?s={w}")),
            },
            Profile::Saas => match k {
                0..=9 => ("GET", "/dashboard".into()),
                10..=29 => ("GET", format!("/projects/{n}")),
                30..=59 => ("GET", format!("/api/v2/tasks?cursor={}", n * 7919)),
                60..=74 => ("POST", "/api/v2/events".into()),
                75..=84 => ("GET", format!("/api/v2/users/{n}")),
                85..=89 => ("POST", format!("/api/v2/tasks/{n}/comments")),
                _ => ("GET", format!("/help/{w}")),
            },
            Profile::Magento => match k {
                0..=24 => ("GET", format!("/{w}-{n}.html")),
                25..=39 => ("GET", format!("/catalog/product/view/id/{n}/s/{w}/")),
                40..=59 => ("GET", format!("/customer/section/load/?sections=cart%2Cmessages&force_new_section_timestamp=false&_={n}")),
                60..=67 => ("GET", format!("/catalogsearch/result/?q={w}")),
                68..=77 => ("POST", format!("/checkout/cart/add/product/{n}/")),
                78..=84 => ("GET", format!("/rest/V1/guest-carts/{n}/totals")),
                85..=91 => ("GET", "/checkout/cart/".into()),
                _ => ("GET", "/".into()),
            },
            Profile::Forum => match k {
                0..=29 => ("GET", format!("/t/{w}/{n}")),
                30..=44 => ("GET", format!("/viewtopic.php?f={}&t={n}", n % 12)),
                45..=59 => ("POST", format!("/message-bus/{n}/poll?dlp=t")),
                60..=74 => ("GET", format!("/u/{w}{n}/summary.json")),
                75..=84 => ("GET", "/latest.json?order=default".into()),
                85..=90 => ("POST", "/posts".into()),
                _ => ("GET", format!("/c/{w}/{}", n % 30)),
            },
            Profile::Api => match k {
                0..=34 => ("GET", format!("/v1/items/{n}")),
                35..=54 => ("GET", format!("/v1/search?term={w}&limit=20")),
                55..=69 => ("POST", "/v1/collect".into()),
                70..=79 => ("PUT", format!("/v1/items/{n}/state")),
                80..=87 => ("POST", "/oauth/token".into()),
                88..=94 => ("GET", "/v1/me".into()),
                _ => ("DELETE", format!("/v1/items/{n}")),
            },
        };
        self.req(rng, "background", method, uri, v)
    }
}

/// A visitor from one of the documentation networks, behind a colo near it.
pub fn visitor(colos: &[Colo], uas: &[&str], at: Option<usize>, rng: &mut StdRng) -> Visitor {
    let colo = at.unwrap_or_else(|| {
        let total: u32 = colos.iter().map(|c| c.weight).sum();
        let mut left = rng.random_range(0..total);
        colos
            .iter()
            .position(|c| {
                c.weight > left || {
                    left -= c.weight;
                    false
                }
            })
            .unwrap_or(0)
    });
    let c = &colos[colo];
    let (country, asn) = c.visitors[rng.random_range(0..c.visitors.len())];
    let host = rng.random_range(2..254u8);
    let ip = match rng.random_range(0..10) {
        0..=2 => format!("203.0.113.{host}"),
        3..=5 => format!("198.51.100.{host}"),
        6..=8 => format!("198.{}.{}.{host}", rng.random_range(18..20), rng.random_range(0..=255)),
        _ => format!("2001:db8:{:x}:{:x}::{:x}", rng.random_range(1..0xffff), rng.random_range(1..0xffff), rng.random_range(1..0xffff)),
    };
    Visitor {
        ip,
        asn,
        country: country.into(),
        ua: uas[rng.random_range(0..uas.len())].into(),
        colo,
        edge: rng.random_range(0..c.edges.len()),
    }
}
