//! `cfray audit`: which causes these logs could not have shown, and what reveals each.

use crate::args::{AuditArgs, AuditFormat, SelectArgs};
use crate::exit::{Failure, Outcome, Status};
use crate::progress::Display;
use crate::{diag, pipeline, plan, text};
use std::io::IsTerminal;

/// Runs it.
pub fn run(args: &AuditArgs) -> Outcome<Status> {
    let mut reading = plan::reading(&args.paths, &args.read)?;
    let config = reading.config.clone();
    let render = plan::render_options(&args.mask, false, &config)?;
    // What could be shown does not depend on which requests are chosen.
    let mut selection = plan::selection(&SelectArgs { status: config.status.clone(), ..SelectArgs::default() }, &mut reading, plan::now())?;
    selection.filter.since = None;
    selection.filter.until = None;
    selection.filter.hosts.clear();
    selection.filter.colos.clear();
    selection.rays = None;

    let progress = Display::new(!(args.quiet || config.quiet));
    let mut discovery = pipeline::discover(&reading)?;
    let scanned = pipeline::scan(&mut discovery, &reading, &selection, None, &progress)?;
    let settings = pipeline::settings(&reading, &selection, &scanned.configs);
    let (report, flawed) = pipeline::report(scanned, &mut discovery, &reading, &settings, &progress);
    let format = match args.format {
        AuditFormat::Text => {
            let color = text::color(args.color.color.or(config.color).unwrap_or_default(), std::io::stdout().is_terminal());
            cfray_report::AuditFormat::Text { width: text::width(), color }
        }
        AuditFormat::Json => cfray_report::AuditFormat::Json,
        AuditFormat::Md => cfray_report::AuditFormat::Markdown,
    };
    diag::stdout(&cfray_report::audit(&report, format, &render))?;
    if flawed && (args.strict || config.strict) {
        let help = "the audit is complete for everything else; warnings above name what it was";
        return Err(Failure::new("--strict: something could not be read or was rejected", "").help(help));
    }
    Ok(Status::Done)
}
