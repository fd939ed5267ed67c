//! Server configuration: what in it leads to 520s, and which of it agrees with what was observed.
//!
//! ```text
//! ConfTree -> nginx / apache view (effective values) -> checks of the registry -> findings
//!                                                                         └─ support: agrees with a verdict?
//! ```
//!
//! A finding alone is advice. Where it agrees with what the logs show it is quoted as evidence and adds a little
//! to the confidence ([`support`]).

pub mod access;
pub mod apache;
pub mod capacity;
pub mod client_cert;
pub mod drops;
pub mod headers;
pub mod http2;
pub mod keepalive;
pub mod logging;
pub mod nginx;
pub mod proxy_protocol;
pub mod ranges;
pub mod real_ip;
pub mod registry;
pub mod support;
#[cfg(test)]
mod tests;
pub mod units;

pub use ranges::Ranges;

use cfray_model::Cause;
use cfray_model::serverconf::{ConfTree, ConfigFinding, ConfigReport, ConfigSource, Directive, Software, Weight};

/// A finding with what is needed to hold it against an incident.
#[derive(Clone, Debug)]
pub struct Found {
    /// As reported.
    pub finding: ConfigFinding,
    /// Index of its configuration.
    pub tree: usize,
    /// Hosts it is about; empty: all of the configuration.
    pub hosts: Vec<String>,
    /// Mechanism it shows.
    pub fact: Fact,
}

/// What a finding says about the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// Nothing that an incident could confirm.
    Advice,
    /// Idle connections are closed after so many seconds.
    IdleClose(f64),
    /// A rule closes without an answer.
    Close,
    /// Errors of the backend are turned into a close.
    HidesErrors,
    /// A rate or connection limit closes without an answer.
    LimitCloses,
    /// Addresses of Cloudflare that a list leaves out.
    Misses(Vec<ipnet::IpNet>),
    /// The listener waits for a PROXY header.
    ProxyProtocol,
    /// A client certificate is demanded in the handshake.
    ClientCert,
    /// Visitors' addresses are not restored.
    NoRealIp,
    /// Response headers beyond Cloudflare's limit pass.
    LargeHeaders,
    /// So many workers, connections or children and no more.
    Limit,
    /// Scripts are ended after so many seconds.
    Terminates(f64),
}

/// Configurations after the audit.
#[derive(Clone, Debug, Default)]
pub struct ConfigAudit {
    /// For the report.
    pub report: ConfigReport,
    /// All findings.
    pub found: Vec<Found>,
    /// The configurations: software, first file, scope, server, and whether defaults are known.
    pub trees: Vec<TreeInfo>,
}

/// What is remembered of a configuration.
#[derive(Clone, Debug)]
pub struct TreeInfo {
    /// Whose.
    pub software: Software,
    /// First file as shown.
    pub name: String,
    /// World it belongs to.
    pub scope: String,
    /// Server that the user named.
    pub server: String,
    /// Begins with the main file.
    pub whole: bool,
}

/// What a check sees.
pub struct Ctx<'t> {
    /// The configuration.
    pub tree: &'t ConfTree,
    /// Its index.
    pub index: usize,
    /// nginx's servers.
    pub nginx: nginx::View<'t>,
    /// Apache's settings.
    pub apache: apache::View<'t>,
    /// Cloudflare's ranges.
    pub ranges: &'t Ranges,
}

/// The words of a finding.
pub struct Words {
    /// What was found, one sentence.
    pub what: String,
    /// Effective value.
    pub value: String,
    /// Part of the configuration.
    pub place: String,
    /// Why it matters for 520.
    pub why: &'static str,
    /// Lines to paste.
    pub fix: String,
}

impl<'t> Ctx<'t> {
    /// A finding about a directive, or about one that is not there.
    pub fn found(&self, check: &str, weight: Weight, d: Option<&Directive>, words: Words, causes: &[Cause]) -> Found {
        let file = d.map_or_else(|| self.tree.name.clone(), |d| self.tree.file(d).to_owned());
        Found {
            finding: ConfigFinding {
                weight,
                check: check.to_owned(),
                what: words.what,
                value: words.value,
                place: words.place,
                file,
                line: d.map(|d| u64::from(d.line)),
                directive: d.map(|d| self.tree.quote(d)).unwrap_or_default(),
                why: words.why.to_owned(),
                fix: words.fix,
                causes: causes.to_vec(),
            },
            tree: self.index,
            hosts: Vec::new(),
            fact: Fact::Advice,
        }
    }

    /// What is said of a default: where it is from, and that files which were not given may set it.
    pub fn default_note(&self, of: &str) -> String {
        let unread = self.tree.problems.iter().any(|p| !p.failed);
        format!("{of}'s default; nothing that was read sets it{}", if unread { " (some included files were not given)" } else { "" })
    }
}

impl Found {
    /// Says what the finding shows on the wire.
    #[must_use]
    pub fn shows(mut self, fact: Fact) -> Self {
        self.fact = fact;
        self
    }

    /// Limits it to hosts.
    #[must_use]
    pub fn of_hosts(mut self, hosts: Vec<String>) -> Self {
        self.hosts = hosts;
        self
    }
}

/// Runs every check on every configuration.
pub fn audit(trees: &[ConfTree], ranges: &Ranges) -> ConfigAudit {
    let mut out = ConfigAudit::default();
    for (index, tree) in trees.iter().enumerate() {
        let ctx = Ctx { tree, index, nginx: nginx::View::of(tree), apache: apache::View::of(tree), ranges };
        for check in registry::CHECKS.iter().filter(|c| c.software == tree.software) {
            out.found.extend((check.run)(&ctx));
        }
        out.trees.push(TreeInfo {
            software: tree.software,
            name: tree.name.clone(),
            scope: tree.scope.clone(),
            server: tree.server.clone(),
            whole: tree.whole,
        });
        out.report.sources.push(ConfigSource {
            name: tree.name.clone(),
            software: tree.software,
            files: tree.files.len() as u64,
            directives: count(&tree.directives),
            whole: tree.whole,
            problems: tree.problems.clone(),
        });
    }
    out.found.sort_by(|a, b| a.finding.cmp(&b.finding));
    out.found.dedup_by(|a, b| a.finding == b.finding);
    out.report.findings = out.found.iter().map(|f| f.finding.clone()).collect();
    out.report.ranges.clone_from(&ranges.source);
    out
}

fn count(list: &[Directive]) -> u64 {
    list.iter().map(|d| 1 + count(d.inside())).sum()
}

/// Names in a sentence, the first few.
pub fn some(names: &[String], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(String::as_str).collect();
    let more = names.len().saturating_sub(most);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
