//! One recording: its directory, addresses, edge, load and events.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::edge::colo::{self, Colo, Site};
use crate::edge::logpush::{Job, Stamp};
use crate::edge::{Edge, Origin, Req, Row};
use crate::stacks::Proc;
use crate::traffic::{Crowd, Profile, Visitors};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    Files,
    Syslog,
    Journal,
}

/// Which release's servers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debian {
    /// Debian 12, the machine's own.
    Bookworm,
    /// Debian 13, in a directory of its own (record.sh makes it).
    Trixie,
    /// Debian 11, likewise: nginx 1.18 and PHP 7.4.
    Bullseye,
    /// Debian's testing, likewise.
    Forky,
}

/// The knobs of a variant that do not change the fault.
#[derive(Clone, Debug)]
pub struct Settings {
    pub site: Site,
    /// Where most visitors are; near the origin unless it says so.
    pub audience: Option<Site>,
    pub tz: &'static str,
    pub skew_s: i64,
    pub stamp: Stamp,
    pub job: Job,
    pub status_on_520: u16,
    pub wrap: Wrap,
    pub rotate: bool,
    /// Part of the run the origin logs cover, as fractions; (0, 1) is all of it.
    pub covered: (f64, f64),
    pub profile: Profile,
    pub crowd: Crowd,
    pub seconds: u64,
    pub rate: f64,
    pub ray: &'static str,
    pub client: &'static str,
    pub debian: Debian,
    /// Edges and origins are shown with IPv6 addresses.
    pub ipv6: bool,
    /// Share of the time that a dry run takes; what a scenario does then happens sooner.
    pub pace: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            site: Site::Europe,
            audience: None,
            tz: "UTC",
            skew_s: 0,
            stamp: Stamp::Rfc3339,
            job: Job::All,
            status_on_520: 0,
            wrap: Wrap::Files,
            rotate: false,
            covered: (0.0, 1.0),
            profile: Profile::Shop,
            crowd: Crowd::Usual,
            seconds: 55,
            rate: 26.0,
            ray: "none",
            client: "edge",
            debian: Debian::Bookworm,
            ipv6: false,
            pace: 1.0,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Label {
    pub cause: &'static str,
    pub accept: &'static str,
    pub evidence: String,
}

impl Label {
    pub fn new(cause: &'static str, evidence: impl Into<String>) -> Self {
        Self { cause, accept: "", evidence: evidence.into() }
    }
}

pub type Labeler = Box<dyn Fn(&Row, &Run) -> Option<Label> + Send + Sync>;

pub struct Run {
    pub name: String,
    pub id: u8,
    pub root: PathBuf,
    pub set: Settings,
    pub edge: Arc<Edge>,
    pub visitors: Arc<Visitors>,
    pub rng: StdRng,
    pub began: Instant,
    pub began_at: SystemTime,
    /// Loopback address (with or without port) to the one the logs shall show.
    pub addresses: HashMap<String, String>,
    /// Log files: path below the root, path below logs/, syslog identifier.
    pub logs: Vec<(String, String, &'static str)>,
    pub servers: Vec<(String, String)>,
    pub events: Mutex<Vec<(SystemTime, String)>>,
    pub notes: Vec<String>,
    pub label: Labeler,
    pub procs: Vec<Proc>,
    pub flying: Arc<AtomicUsize>,
    pub stop: Arc<AtomicBool>,
    /// Origin clock error per log directory, when servers differ; else `set.skew_s`.
    pub skews: HashMap<String, i64>,
    frozen: HashMap<String, String>,
}

impl Run {
    pub fn new(name: &str, id: u8, set: Settings) -> Result<Self> {
        let seed = name.bytes().fold(0xcf_u64, |h, b| h.wrapping_mul(0x100_0000_01b3) ^ u64::from(b));
        let mut rng = StdRng::seed_from_u64(seed);
        let root = PathBuf::from(format!("/tmp/lab-runs/{name}"));
        if root.exists() {
            std::fs::remove_dir_all(&root)?;
        }
        for d in ["var/log", "run", "etc", "var/www"] {
            std::fs::create_dir_all(root.join(d))?;
        }
        let mut colos = colo::colos(set.site, set.audience.unwrap_or(set.site), &mut rng);
        Self::grow(&mut colos, name, &mut rng);
        let mut addresses = HashMap::new();
        for e in colos.iter().flat_map(|c| &c.edges) {
            addresses.insert(e.bind.to_string(), e.shown(set.ipv6));
        }
        let visitors = Arc::new(Visitors::new(&colos, set.profile, set.crowd, &mut rng));
        let edge = Edge::new(colos, Vec::new());
        Ok(Self {
            name: name.to_owned(),
            id,
            root,
            set,
            edge,
            visitors,
            rng,
            began: Instant::now(),
            began_at: SystemTime::now(),
            addresses,
            logs: Vec::new(),
            servers: Vec::new(),
            events: Mutex::default(),
            notes: Vec::new(),
            label: Box::new(|_, _| None),
            procs: Vec::new(),
            flying: Arc::default(),
            stop: Arc::default(),
            skews: HashMap::new(),
            frozen: HashMap::new(),
        })
    }

    /// The keep-alive race needs many connections that idle; far colos get more machines for it.
    fn grow(colos: &mut [Colo], name: &str, rng: &mut StdRng) {
        if name.contains("keepalive-race") {
            for c in colos {
                if c.rtt > Duration::from_millis(50) {
                    c.add_edges(12, rng);
                }
            }
        }
    }

    pub fn ip(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, self.id, host)
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// Adds an origin address; `public` is what OriginIP and the logs show.
    pub fn origin(&mut self, host: u8, port: u16, tls: Option<Arc<rustls::ClientConfig>>) -> usize {
        let addr = SocketAddr::from((self.ip(host), port));
        let known = self.addresses.get(&self.ip(host).to_string()).cloned();
        let last: u8 = self.rng.random_range(5..250);
        let public = known.unwrap_or_else(|| if self.set.ipv6 { format!("2001:db8:20::{last:x}") } else { format!("192.0.2.{last}") });
        self.addresses.insert(self.ip(host).to_string(), public.clone());
        let shown = match port {
            28080 => 80,
            28443 => 443,
            p => p,
        };
        let with_port = if public.contains(':') { format!("[{public}]:{shown}") } else { format!("{public}:{shown}") };
        self.addresses.insert(addr.to_string(), with_port);
        let mut origins = self.edge.origins.lock().unwrap();
        origins.push(Origin { addr, public, tls, inner_zone: false });
        origins.len() - 1
    }

    /// A backend on this machine: shown as 127.0.0.1 with the same port.
    pub fn local(&mut self, host: u8, port: u16) -> SocketAddr {
        let addr = SocketAddr::from((self.ip(host), port));
        self.addresses.insert(self.ip(host).to_string(), "127.0.0.1".into());
        addr
    }

    pub fn event(&self, what: impl Into<String>) {
        self.events.lock().unwrap().push((SystemTime::now(), what.into()));
    }

    /// Times of events whose text starts so.
    pub fn events_of(&self, prefix: &str) -> Vec<SystemTime> {
        let events = self.events.lock().unwrap();
        events.iter().filter(|(_, w)| w.starts_with(prefix)).map(|(t, _)| *t).collect()
    }

    /// Whether the request was under way at the origin within `before`/`after` seconds of such an event.
    pub fn near_event(&self, row: &Row, prefix: &str, before: f64, after: f64) -> bool {
        self.events_of(prefix).into_iter().any(|t| {
            let from = t - Duration::from_secs_f64(before);
            let to = t + Duration::from_secs_f64(after);
            row.over_at >= from && row.sent_at <= to
        })
    }

    pub fn start_clock(&mut self) {
        self.began = Instant::now();
        self.began_at = SystemTime::now();
    }

    /// The moment of a second of the scenario.
    pub fn at(&self, second: f64) -> Instant {
        self.began + Duration::from_secs_f64(second * self.set.pace)
    }

    pub async fn until(&self, second: f64) {
        tokio::time::sleep_until(self.at(second).into()).await;
    }

    /// Requests at Poisson times in a window; a visitor who got a 520 sometimes tries again.
    pub fn load<F>(&mut self, rate: f64, window: (f64, f64), make: F)
    where
        F: Fn(&mut StdRng, &Visitors) -> Req + Send + 'static,
    {
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        let (edge, visitors, flying) = (self.edge.clone(), self.visitors.clone(), self.flying.clone());
        let (begin, end) = (self.at(window.0), self.at(window.1));
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(begin.into()).await;
            let mut at = Instant::now();
            loop {
                let gap = -rng.random_range(1e-9..1.0f64).ln() / rate;
                at += Duration::from_secs_f64(gap);
                if at > end || stop.load(Ordering::Relaxed) {
                    return;
                }
                tokio::time::sleep_until(at.into()).await;
                let req = make(&mut rng, &visitors);
                let again = rng.random_bool(0.3).then(|| rng.random_range(1.0..3.0));
                spawn(&edge, &flying, req, again);
            }
        });
    }

    pub async fn drain(&self) {
        let give_up = Instant::now() + Duration::from_secs(25);
        while self.flying.load(Ordering::Relaxed) > 0 && Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub fn write(&self, below: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(below);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Freezes the logs as they are now.
    pub fn snapshot_logs(&mut self) {
        for (from, _, _) in self.logs.clone() {
            let text = self.log_text(&from);
            self.frozen.insert(from, text);
        }
    }

    pub fn log_text(&self, below: &str) -> String {
        if let Some(text) = self.frozen.get(below) {
            return text.clone();
        }
        let bytes = std::fs::read(self.path(below)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn log(&mut self, below_root: &str, below_logs: &str, ident: &'static str) {
        self.logs.push((below_root.into(), below_logs.into(), ident));
    }
}

fn spawn(edge: &Arc<Edge>, flying: &Arc<AtomicUsize>, req: Req, again: Option<f64>) {
    let (edge, flying) = (edge.clone(), flying.clone());
    flying.fetch_add(1, Ordering::Relaxed);
    tokio::spawn(async move {
        let status = edge.fetch(req.clone()).await;
        if status == 520
            && let Some(wait) = again
        {
            tokio::time::sleep(Duration::from_secs_f64(wait)).await;
            edge.fetch(req).await;
        }
        flying.fetch_sub(1, Ordering::Relaxed);
    });
}
