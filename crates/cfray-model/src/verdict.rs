//! What is said about an incident.

use crate::cause::Cause;
use crate::text::Text;
use serde::Serialize;
use std::borrow::Cow;

/// How an origin line belongs to an incident, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tie {
    /// No origin line.
    #[default]
    None,
    /// A line that names no request, near in time, by contrast.
    Window,
    /// Reached from a tied line by connection, log id or process.
    Chain,
    /// Method, URI and what else both sides have, one to one.
    Request,
    /// The ray.
    Ray,
}

impl Tie {
    /// The word in the report's `match` column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Window => "window",
            Self::Chain => "chain",
            Self::Request => "request",
            Self::Ray => "ray",
        }
    }
}

crate::shelf::pack_listed!(Tie, [Tie::None, Tie::Window, Tie::Chain, Tie::Request, Tie::Ray]);

/// Kinds of evidence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// An origin line.
    Line,
    /// Fields of the edge row.
    Field,
    /// A comparison with requests that succeeded.
    Contrast,
    /// What is not there, under coverage.
    Absence,
    /// A directive in a configuration file.
    Config,
}

impl EvidenceKind {
    /// The fixed word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Field => "field",
            Self::Contrast => "contrast",
            Self::Absence => "absence",
            Self::Config => "config",
        }
    }
}

crate::shelf::pack_listed!(
    EvidenceKind,
    [EvidenceKind::Line, EvidenceKind::Field, EvidenceKind::Contrast, EvidenceKind::Absence, EvidenceKind::Config]
);

/// One item of evidence. At most 5 an incident, at most 400 characters of text each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What kind.
    pub kind: EvidenceKind,
    /// File of a `line` or `config` item; empty otherwise.
    pub source: Text,
    /// Line number; `None` when not a line.
    pub line: Option<u64>,
    /// Corrected UTC time of the line in milliseconds since the epoch.
    pub time_ms: Option<i64>,
    /// `time` minus the incident's end, in milliseconds.
    pub offset_ms: Option<i64>,
    /// Raw text (secrets not yet masked) or a sentence with its numbers.
    pub text: Text,
}

crate::shelf::pack_struct!(Evidence { kind, source, line, time_ms, offset_ms, text });

/// The verdict on one incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The cause; [`Cause::Unknown`] below 0.5.
    pub cause: Cause,
    /// Estimated probability that `cause` is the true label.
    pub confidence: f64,
    /// Strongest tie to an origin line.
    pub tie: Tie,
    /// Strongest first.
    pub evidence: Vec<Evidence>,
    /// What would have been needed to be surer.
    pub missing: Vec<Cow<'static, str>>,
    /// The next likely cause and its probability.
    pub runner_up: Option<(Cause, f64)>,
}

crate::shelf::pack_struct!(Verdict { cause, confidence, tie, evidence, missing, runner_up });
