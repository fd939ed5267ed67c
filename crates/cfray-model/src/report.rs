//! The one value that every output renders.

use crate::cause::Cause;
use crate::edge::{EdgeCounters, EdgeRow, Reject};
use crate::rows::Rows;
use crate::serverconf::ConfigReport;
use crate::shelf::{Pack, Packer, Unpack, pack_struct};
use crate::source::{Skipped, SourceInfo};
use crate::text::{Place, Text};
use crate::time::Stamp;
use crate::verdict::{Tie, Verdict};
use serde::Serialize;

/// Everything a run has to say. Contains no clock reading of its own: equal input, equal bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How it was made.
    pub meta: Meta,
    /// Sources that were read, edge logs first.
    pub sources: Vec<SourceSummary>,
    /// Files that were not.
    pub skipped: Vec<Skipped>,
    /// The edge log as a whole.
    pub edge: EdgeSummary,
    /// One row an incident, ordered by edge time, ray, source.
    pub rows: Rows,
    /// Bursts, worst first.
    pub episodes: Vec<Episode>,
    /// Causes with counts, most frequent first (counted rows only).
    pub causes: Vec<CauseSummary>,
    /// Endpoints hit most.
    pub endpoints: Vec<Share>,
    /// Breakdowns: host, path, colo, OriginIP, method, client.
    pub breakdowns: Vec<Breakdown>,
    /// What the logs could not have shown.
    pub audit: Vec<AuditItem>,
    /// What the servers' configuration says.
    pub config: ConfigReport,
    /// Effect on visitors.
    pub impact: Impact,
    /// Requests and incidents by bucket, for the chart.
    pub timeline: Timeline,
    /// The answer in a sentence or two, for people.
    pub headline: String,
}

/// How the report was made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Meta {
    /// Version of cfray.
    pub version: String,
    /// Inputs as given.
    pub inputs: Vec<String>,
    /// Which input was taken when none was given, else empty.
    pub input_note: String,
    /// Options that were set, as `name value`.
    pub options: Vec<String>,
    /// Statuses chosen, as given (`520`).
    pub statuses: String,
    /// Remarks on the whole run (filtered job, sampled job, no Logpush data, refused configuration).
    pub notes: Vec<String>,
}

/// One source in the summary.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SourceSummary {
    /// What it is.
    pub info: SourceInfo,
    /// Physical lines.
    pub lines: u64,
    /// Records read.
    pub parsed: u64,
    /// Records not read.
    pub rejected: u64,
    /// A few of them: place and reason.
    pub rejects: Vec<Reject>,
    /// Earliest and latest record in corrected UTC.
    pub first: Option<Stamp>,
    /// See `first`.
    pub last: Option<Stamp>,
    /// Gaps in coverage inside that span, longest first (at most 5).
    pub gaps: Vec<(Stamp, Stamp)>,
    /// Names of files that a rotated set lacks between those that are there.
    pub missing_files: Vec<String>,
    /// Hosts that it speaks for: of the requests in it, or that wrote it (syslog), most lines first (at most 5).
    pub hosts: Vec<String>,
    /// Lowest level that occurs in it, such as `notice`; empty where lines have none.
    pub lowest_level: String,
    /// Lines stand in it later than they came about, in blocks (`access_log ... buffer=`): its end may not be written yet.
    pub buffered: bool,
    /// The clock, one sentence: "UTC+05:30, 40 s fast (±0.5 s), from 212 pairs by ray".
    pub clock: String,
    /// The same in numbers; `None` when it is not known, and for Cloudflare's own logs.
    pub measured: Option<ClockSummary>,
    /// True when no clock is known: such a source gives no window ties.
    pub clock_unknown: bool,
    /// Does it carry rays?
    pub has_ray: bool,
    /// Incidents tied to it by ray or request.
    pub tied: u64,
}

/// A source's clock in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClockSummary {
    /// Zone of its digits in seconds east of UTC, a multiple of 15 minutes.
    pub zone_s: i64,
    /// Seconds that it is fast (slow: negative) beside that, in the middle of its span.
    pub skew_s: f64,
    /// Half width of the interval in which the skew lies, seconds.
    pub error_s: f64,
    /// Change of the skew in seconds an hour; 0 when none was measured.
    pub drift_s_per_hour: f64,
    /// When local time was turned within the file or somebody set the clock, and by how many seconds.
    pub steps: Vec<(Stamp, f64)>,
    /// `given`, `ray`, `request`, `machine` (events that another log of the server tells, too), `borrowed`
    /// or `stated`.
    pub by: String,
    /// Pairs that agree on it.
    pub pairs: u32,
    /// Width of one tick of its stamps in seconds.
    pub tick_s: f64,
}

/// The edge log as a whole.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EdgeSummary {
    /// Counters.
    pub counters: EdgeCounters,
    /// `full`, `filtered`, `sampled` or `none`.
    pub kind: String,
    /// Incidents, counted ones.
    pub incidents: u64,
    /// Incidents of internal sources: listed, not counted.
    pub uncounted: u64,
    /// Counted incidents by strongest tie: name and number.
    pub ties: Vec<(String, u64)>,
    /// OriginIP to server, learned from ties: (origin, server, ties).
    pub origins: Vec<(String, String, u64)>,
    /// Rows that touched the origin or have status 500 or more, internal ones left out; 0 when the job
    /// delivers failures only. What normal shares are shares of.
    pub origin_requests: u64,
    /// Neighbour statuses 521 to 530 with their meaning: (status, cause, count).
    pub neighbours: Vec<(u16, Cause, u64)>,
}

/// One incident.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The edge row.
    pub edge: EdgeRow,
    /// `FILE:LINE`.
    pub source: Place,
    /// Server it was tied to, empty if none.
    pub server: Text,
    /// `new`, `reused`, `none` or empty.
    pub connection: &'static str,
    /// Seconds since the last origin request from the same edge address to the same origin address.
    pub idle_gap_s: Option<f64>,
    /// The verdict.
    pub verdict: Verdict,
    /// Number of the episode, from 1.
    pub episode: Option<i64>,
    /// `cleared`, `persisted` or empty.
    pub retry: &'static str,
    /// Seconds to that success.
    pub cleared_after_s: Option<f64>,
    /// Counted in totals.
    pub counted: bool,
    /// Origin lines of this very request, tied by ray, request or chain, in order of time (at most
    /// [`LINES`]).
    pub lines: Vec<TiedLine>,
}

/// Words of [`Row::connection`].
const CONNECTIONS: [&str; 4] = ["", "none", "reused", "new"];
/// Words of [`Row::retry`].
const RETRIES: [&str; 3] = ["", "cleared", "persisted"];

impl Pack for Row {
    fn pack<'t>(&'t self, out: &mut Packer<'t>) {
        let Self { edge, source, server, connection, idle_gap_s, verdict, episode, retry, cleared_after_s, counted, lines } = self;
        edge.pack(out);
        source.pack(out);
        server.pack(out);
        out.word(CONNECTIONS.iter().position(|word| word == connection).unwrap_or(0));
        idle_gap_s.pack(out);
        verdict.pack(out);
        episode.pack(out);
        out.word(RETRIES.iter().position(|word| word == retry).unwrap_or(0));
        cleared_after_s.pack(out);
        counted.pack(out);
        lines.pack(out);
    }

    fn unpack(from: &mut Unpack<'_>) -> Self {
        let word = |words: &[&'static str], number: u8| words.get(usize::from(number)).copied().unwrap_or_default();
        Self {
            edge: Pack::unpack(from),
            source: Pack::unpack(from),
            server: Pack::unpack(from),
            connection: word(&CONNECTIONS, u8::unpack(from)),
            idle_gap_s: Pack::unpack(from),
            verdict: Pack::unpack(from),
            episode: Pack::unpack(from),
            retry: word(&RETRIES, u8::unpack(from)),
            cleared_after_s: Pack::unpack(from),
            counted: Pack::unpack(from),
            lines: Pack::unpack(from),
        }
    }
}

/// Most [`Row::lines`].
pub const LINES: usize = 10;

/// An origin line that belongs to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TiedLine {
    /// How.
    pub tie: Tie,
    /// File.
    pub source: Text,
    /// Line number.
    pub line: u64,
    /// Corrected UTC time in milliseconds since the epoch: the middle of what its stamp can mean.
    pub time_ms: Option<i64>,
    /// How far the true time may lie from `time_ms`, in milliseconds.
    pub error_ms: i64,
    /// Raw text (secrets not yet masked). Empty when an item of evidence of the same file and line has it.
    pub text: Text,
}

pack_struct!(TiedLine { tie, source, line, time_ms, error_ms, text });

/// A burst of incidents that a person can act on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Episode {
    /// Number, from 1, in order of start.
    pub number: i64,
    /// Its cause.
    pub cause: Option<Cause>,
    /// Mean confidence of its rows.
    pub confidence: f64,
    /// First and last incident.
    pub from: Option<Stamp>,
    /// See `from`.
    pub to: Option<Stamp>,
    /// Counted incidents.
    pub count: u64,
    /// Most incidents in one minute.
    pub peak_per_minute: u64,
    /// All requests of the same hosts to the origin in the span (0 when not known).
    pub requests: u64,
    /// Server.
    pub server: String,
    /// Hosts hit most, with counts (at most 5).
    pub hosts: Vec<(String, u64)>,
    /// Paths (shapes) hit most, with counts (at most 5).
    pub paths: Vec<(String, u64)>,
    /// Colos hit most, with counts (at most 5).
    pub colos: Vec<(String, u64)>,
    /// Distinct clients.
    pub clients: u64,
    /// The decisive evidence: up to 3 items as `FILE:LINE: text` or a sentence.
    pub decisive: Vec<String>,
    /// Indexes into [`Report::rows`].
    pub rows: Vec<usize>,
}

/// A cause with its number and fix.
#[derive(Clone, Debug, Serialize)]
pub struct CauseSummary {
    /// Which.
    pub cause: Cause,
    /// Counted incidents.
    pub count: u64,
    /// Mean confidence.
    pub confidence: f64,
    /// What it says, one sentence.
    pub says: String,
    /// Fix for the site owner without server access.
    pub fix_owner: String,
    /// Fix for the server administrator.
    pub fix_admin: String,
    /// Fix for the developer.
    pub fix_developer: String,
    /// Advice for the client that met the error.
    pub fix_client: String,
    /// For unsure verdicts: the one check that splits the two likeliest causes; else empty.
    pub check: String,
}

/// A name with its number of incidents and its share of all origin requests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Share {
    /// Name: `GET shop.example.com/cart`.
    pub name: String,
    /// Incidents.
    pub count: u64,
    /// All origin requests of that name, if known.
    pub total: Option<u64>,
    /// The cause of most of them.
    pub cause: Option<Cause>,
}

/// Incidents by one dimension, beside the normal share.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Breakdown {
    /// `host`, `path`, `colo`, `origin_ip`, `method`, `client`.
    pub dimension: String,
    /// Values, most incidents first (at most 12).
    pub values: Vec<Share>,
}

/// One thing the logs could not have shown, and what would show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AuditItem {
    /// What is missing: "nginx access log without $http_cf_ray".
    pub what: String,
    /// What that hides, with the causes by name.
    pub hides: String,
    /// The causes that it hides or leaves unsure.
    pub causes: Vec<Cause>,
    /// A line to paste.
    pub paste: String,
    /// Source or server it concerns; empty for the edge log.
    pub server: String,
}

/// Effect on visitors.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Impact {
    /// Distinct client addresses with an incident.
    pub clients: u64,
    /// Incidents that were not GET, HEAD or OPTIONS: lost writes.
    pub writes: u64,
    /// Cleared on retry.
    pub cleared: u64,
    /// Persisted.
    pub persisted: u64,
    /// Median seconds to success of the cleared ones.
    pub median_clear_s: Option<f64>,
    /// Seconds within which nine of ten of the cleared ones had their success.
    pub clear_90_s: Option<f64>,
    /// Incidents for which a success came within 31 s (retries after 1, 2, 4, 8 and 16 s).
    pub backoff_saves: u64,
    /// The same after each of the five retries, that is within 1, 3, 7, 15 and 31 s.
    pub backoff_steps: [u64; 5],
    /// Incidents by method, most first (at most 6).
    pub methods: Vec<(String, u64)>,
}

/// Counts over time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timeline {
    /// Width of a bucket in seconds.
    pub bucket_s: i64,
    /// Buckets in time order.
    pub buckets: Vec<Bucket>,
}

/// One bucket.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Bucket {
    /// Start, epoch seconds.
    pub start_s: i64,
    /// All edge rows.
    pub requests: u64,
    /// Counted incidents by cause.
    pub causes: Vec<(Cause, u64)>,
}
