//! `cfray ray RAY-ID`: everything known about one request, as a timeline.

mod render;
mod send;
mod timeline;

use crate::args::{RayArgs, SelectArgs};
use crate::exit::{Failure, Outcome, Status};
use crate::progress::Display;
use crate::text::{self, Paint};
use crate::{diag, pipeline, plan};
use cfray_causes::join::World;
use cfray_model::report::{Report, Row};
use cfray_model::{Cause, RayId};
use cfray_report::Masker;
use std::borrow::Cow;
use std::io::IsTerminal;
use timeline::Entry;

/// All there is to say about the ray.
struct Story {
    ray: RayId,
    /// Its edge row, and rows of subrequests that name it as their parent.
    rows: Vec<Row>,
    /// What happened, in time order.
    entries: Vec<Entry>,
    /// Lines whose text holds the ray where it proves nothing.
    mentions: Vec<Entry>,
    /// Sources, for what was looked at.
    looked_at: usize,
    has_edge: bool,
    /// Status in the access line of the ray.
    access_status: Option<u16>,
    /// Causes at which the lines of the ray are usually found.
    signs: Vec<Cause>,
    notes: Vec<String>,
}

/// Runs it.
pub fn run(args: &RayArgs) -> Outcome<Status> {
    let ray = RayId::parse(args.ray.trim().as_bytes()).ok_or_else(|| {
        Failure::new(format!("{:?} is no ray", args.ray), "")
            .help("a ray is 16 hexadecimal digits, perhaps with a data centre: 9e0ad402c9afa70a-FRA")
    })?;
    let mut reading = plan::reading(&args.paths, &args.read)?;
    let config = reading.config.clone();
    let render = plan::render_options(&args.mask, false, &config)?;
    // The verdict is to be the one that `cfray analyze` gives, so the same requests are looked at,
    // without a span or a host that could leave the ray out.
    let mut selection = plan::selection(&SelectArgs { status: config.status.clone(), ..SelectArgs::default() }, &mut reading, plan::now())?;
    selection.filter.since = None;
    selection.filter.until = None;
    selection.filter.hosts.clear();
    selection.filter.colos.clear();
    selection.filter.ray = Some(ray);
    selection.rays = None;

    // What a report does not hold is asked of the joined worlds, which are kept whole.
    reading.options.incidents_at_once = usize::MAX;
    let progress = Display::new(!config.quiet);
    let mut discovery = pipeline::discover(&reading)?;
    let looked_at = discovery.sources.len();
    let has_edge = discovery.sources.iter().any(pipeline::is_edge);
    let scanned = pipeline::scan(&mut discovery, &reading, &selection, Some(ray), &progress)?;
    let settings = pipeline::settings(&reading, &selection, &scanned.configs);

    let (report, worlds) = cfray_causes::analyze_keeping(scanned.parts, &scanned.sources, scanned.skipped, &settings);
    let story = tell(ray, &worlds, &report, looked_at, has_edge);

    let paint = Paint(text::color(args.color.color.or(config.color).unwrap_or_default(), std::io::stdout().is_terminal()));
    diag::stdout(&render::story(&story, &Masker::new(&render), text::width(), paint))?;
    let found = !(story.rows.is_empty() && story.entries.is_empty() && story.mentions.is_empty());
    Ok(if found { Status::Done } else { Status::Found })
}

fn tell(ray: RayId, worlds: &[World], report: &Report, looked_at: usize, has_edge: bool) -> Story {
    let mut rows: Vec<Row> =
        report.rows.iter().filter(|r| r.edge.ray == Some(ray) || r.edge.parent_ray == Some(ray)).map(Cow::into_owned).collect();
    // The ray's own row first, then its subrequests as they came.
    rows.sort_by_key(|row| (row.edge.ray != Some(ray), row.edge.start, row.edge.at));
    let entries = timeline::build(ray, worlds, &rows);
    let mentions = timeline::mentions(ray, worlds, &entries);
    let (access_status, signs) = timeline::signs(ray, worlds);
    Story { ray, rows, entries, mentions, looked_at, has_edge, access_status, signs, notes: report.meta.notes.clone() }
}

/// Is there something to explain?
fn failed(row: &Row) -> bool {
    (520..=530).contains(&row.edge.edge_status)
}

/// Masks what a report may not show and what a terminal must not obey.
fn shown(masker: &Masker, text: &str) -> String {
    cfray_report::escape::visible(&masker.text(text)).into_owned()
}
