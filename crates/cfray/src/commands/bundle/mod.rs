//! `cfray bundle`: one archive for a support ticket.

mod archive;
mod excerpts;
mod lines;
mod made;
mod rays;
mod ticket;

use super::analyze::no_edge_log;
use crate::args::BundleArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::progress::Display;
use crate::{diag, output, pipeline, plan};
use archive::{Kind, Member};
use cfray_ingest::{Discovery, Options};
use cfray_model::report::Report;
use cfray_report::view::View;
use cfray_report::{Masker, OutputFormat, RenderOptions};
use std::path::PathBuf;

/// Name of the archive where none is given.
const NAME: &str = "cfray-bundle.tar.gz";

/// The outputs that go into it: for people, for a spreadsheet, for scripts and for the ticket itself.
const REPORTS: &[(OutputFormat, &str)] = &[
    (OutputFormat::Html, "report/report.html"),
    (OutputFormat::Csv, "report/report.csv"),
    (OutputFormat::Json, "report/report.json"),
    (OutputFormat::Markdown, "report/report.md"),
];

/// Runs it.
pub fn run(args: &BundleArgs) -> Outcome<Status> {
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(NAME));
    let kind = Kind::of(&path)?;
    let mut reading = plan::reading(&args.paths, &args.read)?;
    let selection = plan::selection(&args.select, &mut reading, plan::now())?;
    let config = reading.config.clone();
    let render = plan::render_options(&args.mask, false, &config)?;
    output::check_path(&path)?;

    let quiet = args.quiet || config.quiet;
    // What a report does not hold is asked of the joined worlds, which are kept whole.
    reading.options.incidents_at_once = usize::MAX;
    let progress = Display::new(!quiet);
    let mut discovery = pipeline::discover(&reading)?;
    output::spare_input(&path, &discovery.sources.iter().map(|s| s.name.clone()).collect::<Vec<_>>())?;
    if selection.rays.is_none() && !discovery.sources.iter().any(pipeline::is_edge) {
        return Err(no_edge_log(&discovery.sources, &discovery.skipped));
    }
    let scanned = pipeline::scan(&mut discovery, &reading, &selection, None, &progress)?;
    let mut settings = pipeline::settings(&reading, &selection, &scanned.configs);
    settings.lines = true;
    let (report, worlds) = cfray_causes::analyze_keeping(scanned.parts, &scanned.sources, scanned.skipped, &settings);
    let (tied, left_out) = lines::tied(&report, &worlds);
    let members = members(&report, &tied, left_out, &discovery, &reading.options, &render)?;
    let written = cfray_report::write_whole(&path, &mut |out| Ok(archive::write(kind, &members, out)?));
    written.map_err(|error| Failure::new(error.to_string(), "").help("what stood under that name is untouched"))?;
    if !quiet {
        diag::stdout(&said(&path.display().to_string(), &report, &members, &render))?;
    }
    Ok(Status::Done)
}

/// Everything that goes into the archive, in the order in which a reader wants it.
fn members(
    report: &Report,
    tied: &[lines::Tied<'_>],
    left_out: usize,
    discovery: &Discovery,
    options: &Options,
    render: &RenderOptions,
) -> Outcome<Vec<Member>> {
    let masker = Masker::new(render);
    let view = View::new(report, render);
    let mut members = vec![
        Member::text("ticket-for-the-host.txt", ticket::host(&view)),
        Member::text("ticket-for-cloudflare.txt", ticket::cloudflare(&view)),
        Member { name: "rays.csv".to_owned(), bytes: rays::table(&view).map_err(|error| Failure::new("cannot make rays.csv", error))? },
        Member {
            name: "origin/lines.csv".to_owned(),
            bytes: lines::table(report, tied, &masker).map_err(|error| Failure::new("cannot make origin/lines.csv", error))?,
        },
    ];
    members.extend(excerpts::excerpts(tied, discovery, options, &masker));
    for (format, name) in REPORTS {
        let mut bytes = Vec::new();
        cfray_report::render(report, *format, render, &mut bytes).map_err(|error| Failure::new(format!("cannot make {name}"), error))?;
        members.push(Member { name: (*name).to_owned(), bytes });
    }
    members.push(Member::text("how-it-was-made.txt", made::made(&view, left_out)));
    members.insert(0, Member::text("README.txt", made::readme(&members, render)));
    Ok(members)
}

/// What the command prints.
fn said(path: &str, report: &Report, members: &[Member], render: &RenderOptions) -> String {
    let masked = match (render.redact.is_some(), render.show_secrets) {
        (true, _) => "Secrets are masked; addresses and query values are pseudonyms, the same in every file of the archive.",
        (false, true) => "Secrets are NOT masked (--show-secrets): do not send this to anybody.",
        (false, false) => "Secrets are masked. Addresses and query values are not: --redact makes pseudonyms of them.",
    };
    let mut out = format!("{}\n\n{path}: {} files\n", diag::safe(&View::new(report, render).head.headline), members.len());
    for member in members {
        out.push_str(&format!("  {:>9}  {}\n", member.bytes.len(), member.name));
    }
    out.push_str(&format!("{masked}\nRead ticket-for-the-host.txt and ticket-for-cloudflare.txt before you send them.\n"));
    diag::safe(&out)
}
