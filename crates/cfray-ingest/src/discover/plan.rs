//! The outcome of discovery: sources, what was skipped, and how to open each source.

use super::servers::Hosts;
use super::sniff::{Found, What};
use super::walk::Opening;
use crate::blocks::Split;
use crate::edge::EdgeFormat;
use crate::open::{self, Compression, Content, FileId};
use crate::options::Options;
use crate::parallel::Job;
use cfray_formats::RecordParser;
use cfray_model::source::Skipped;
use cfray_model::{SourceId, SourceInfo, Stack};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What the inputs hold.
#[derive(Debug, Default)]
pub struct Discovery {
    /// What will be read: edge logs first, then origin logs, each sorted by name. The index is the [`SourceId`].
    pub sources: Vec<SourceInfo>,
    /// What will not be, sorted.
    pub skipped: Vec<Skipped>,
    /// Configuration of the origin's servers.
    pub configs: Vec<cfray_model::serverconf::ConfTree>,
    plans: Vec<Plan>,
    hosts: Hosts,
    /// Only sources of this scope are scanned; see [`Discovery::focus`].
    focus: Option<String>,
}

/// How one source is opened and read.
#[derive(Debug)]
pub struct Plan {
    path: PathBuf,
    id: Option<FileId>,
    len: u64,
    compression: Compression,
    /// A stream that discovery has opened: it can be read once.
    stream: Option<Mutex<Option<Content>>>,
    /// Set for edge logs.
    edge: Option<EdgeFormat>,
    /// Set for origin logs.
    origin: Option<OriginPlan>,
}

/// How an origin log is read.
#[derive(Clone, Debug)]
pub struct OriginPlan {
    /// The parser chosen for it.
    pub parser: Arc<dyn RecordParser>,
    /// Stack that its access lines are given, where their text does not tell it.
    pub stack: Option<Stack>,
    /// Values are unescaped by the parser (JSON), so log escapes in them are none.
    pub json: bool,
    /// The user named the server of the whole file: hosts in it do not split it.
    pub fixed_server: bool,
}

impl OriginPlan {
    /// A plan around a parser.
    pub(crate) fn new(parser: Arc<dyn RecordParser>, stack: Option<Stack>, fixed_server: bool) -> Self {
        let json = parser.format().contains("json");
        Self { parser, stack, json, fixed_server }
    }

    /// A plan for tests that need none.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        #[derive(Debug)]
        struct Nothing;
        impl RecordParser for Nothing {
            fn format(&self) -> &'static str {
                "nothing"
            }
            fn parse<'a>(&self, _record: &'a [u8]) -> Result<cfray_model::Line<'a>, cfray_formats::LineError> {
                Err(cfray_formats::LineError::new("nothing is read", 0))
            }
        }
        Self::new(Arc::new(Nothing), None, false)
    }

    /// Where the log may be cut into blocks.
    pub fn split(&self) -> Split<'_> {
        Split::Records(&*self.parser)
    }
}

impl Discovery {
    /// Edge sources with their formats.
    pub fn edge(&self) -> impl Iterator<Item = (SourceId, &EdgeFormat)> {
        self.numbered().filter(|(id, _)| self.in_focus(*id, false)).filter_map(|(id, plan)| Some((id, plan.edge.as_ref()?)))
    }

    /// Origin sources with their parsers.
    pub fn origin(&self) -> impl Iterator<Item = (SourceId, &OriginPlan)> {
        self.numbered().filter(|(id, _)| self.in_focus(*id, true)).filter_map(|(id, plan)| Some((id, plan.origin.as_ref()?)))
    }

    /// The parts of the input that stand for themselves: directories that hold edge and origin logs
    /// of their own, and what lies outside them. One empty name when there is only one part.
    pub fn scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> = self.sources.iter().map(|s| s.scope.clone()).filter(|s| !s.is_empty()).collect();
        scopes.sort();
        scopes.dedup();
        let outside = self.numbered().any(|(id, plan)| plan.edge.is_some() && self.scope_of(id).is_empty());
        if scopes.is_empty() || outside {
            scopes.push(String::new());
        }
        scopes
    }

    /// Limits both passes to one of [`Discovery::scopes`]. Origin logs outside every scope go with each.
    pub fn focus(&mut self, scope: &str) {
        self.focus = Some(scope.to_owned());
    }

    fn scope_of(&self, source: SourceId) -> &str {
        usize::try_from(source.0).ok().and_then(|i| self.sources.get(i)).map_or("", |s| s.scope.as_str())
    }

    fn in_focus(&self, source: SourceId, origin: bool) -> bool {
        let scope = self.scope_of(source);
        self.focus.as_deref().is_none_or(|focus| scope == focus || (origin && scope.is_empty()))
    }

    /// The server that a syslog or journal host of a scope stands for.
    pub fn host_server(&self, scope: &str, host: &[u8]) -> String {
        self.hosts.server(scope, &String::from_utf8_lossy(host))
    }

    /// Is the source a stream, which can be opened only once?
    pub fn is_stream(&self, source: SourceId) -> bool {
        self.plan(source).is_some_and(|p| p.stream.is_some())
    }

    /// Opens a source's decompressed content. A stream can be opened once.
    pub fn open(&self, source: SourceId, options: &Options) -> Result<Content, String> {
        let plan = self.plan(source).ok_or("is not a source of this run")?;
        match &plan.stream {
            Some(stream) => {
                stream.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(|| "is a stream and was read before".to_owned())
            }
            None => open::open_file(&plan.path, plan.id, plan.len, plan.compression, options),
        }
    }

    /// The parser of an origin source.
    pub fn parser(&self, source: SourceId) -> Option<&dyn RecordParser> {
        Some(&*self.plan(source)?.origin.as_ref()?.parser)
    }

    /// A job for [`crate::parallel::for_each_block`].
    pub fn job<'a>(&'a self, source: SourceId, split: Split<'a>, options: &'a Options) -> Job<'a> {
        let size = self.plan(source).map_or(0, |p| p.len);
        Job { source, size, split, in_order: false, numbered: true, open: Box::new(move || self.open(source, options)) }
    }

    fn plan(&self, source: SourceId) -> Option<&Plan> {
        self.plans.get(usize::try_from(source.0).ok()?)
    }

    fn numbered(&self) -> impl Iterator<Item = (SourceId, &Plan)> {
        self.plans.iter().enumerate().map(|(i, plan)| (SourceId(u32::try_from(i).unwrap_or(u32::MAX)), plan))
    }
}

/// Builds the outcome from what was found, in its order.
pub(super) fn assemble(found: Vec<Found>, skipped: Vec<Skipped>, hosts: Hosts) -> Discovery {
    let mut out = Discovery { skipped, hosts, ..Discovery::default() };
    for one in found {
        let (len, id) = match one.candidate.opening {
            Opening::File { len, id } => (len, id),
            Opening::Fifo | Opening::Stdin => (0, None),
        };
        let (format, stack) = match &one.what {
            What::Edge(_) => (one.format.clone(), None),
            What::Origin(_) => (one.format.clone(), one.stack),
        };
        out.sources.push(SourceInfo {
            name: one.candidate.name.clone(),
            format,
            why: one.why,
            compression: one.compression.name().to_owned(),
            server: one.server,
            scope: one.scope,
            stack,
            bytes: len,
        });
        let (edge, origin) = match one.what {
            What::Edge(format) => (Some(format), None),
            What::Origin(parser) => (None, Some(OriginPlan::new(parser, one.stack, one.fixed_server))),
        };
        out.plans.push(Plan {
            path: one.candidate.path,
            id,
            len,
            compression: one.compression,
            stream: one.stream.map(|content| Mutex::new(Some(content))),
            edge,
            origin,
        });
    }
    out
}
