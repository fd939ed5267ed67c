//! `cfray analyze`: every 520, its cause, and reports.

use crate::args::AnalyzeArgs;
use crate::exit::{Failure, Outcome, Status};
use crate::progress::Display;
use crate::{diag, output, pipeline, plan, text};
use cfray_model::SourceInfo;
use cfray_model::report::Report;
use cfray_model::source::Skipped;
use cfray_report::view::View;
use cfray_report::{OutputFormat, RenderOptions};
use std::io::IsTerminal;

/// More incidents than this leave so much free memory behind that it is worth giving back.
const MANY: usize = 10_000;

/// Runs it.
pub fn run(args: &AnalyzeArgs) -> Outcome<Status> {
    let mut reading = plan::reading(&args.paths, &args.read)?;
    let selection = plan::selection(&args.select, &mut reading, plan::now())?;
    let config = reading.config.clone();
    if let Some(fail_on) = &args.verdict.fail_on {
        let own: Vec<_> = reading.own.rules.iter().map(|rule| rule.cause).collect();
        fail_on.known(&own).map_err(|error| Failure::new("--fail-on", error))?;
    }
    let quiet = args.output.quiet || config.quiet;
    let mut render = plan::render_options(&args.mask, args.output.csv_raw, &config)?;
    render.threads = reading.options.workers();
    let outputs =
        if args.output.outputs.is_empty() { config.output.map(Vec::from).unwrap_or_default() } else { args.output.outputs.clone() };
    let targets = output::targets(&outputs, format(args.output.format, config.format.as_deref(), !outputs.is_empty())?)?;
    output::check(&targets)?;

    let progress = Display::new(!quiet);
    let mut discovery = pipeline::discover(&reading)?;
    output::spare_inputs(&targets, &discovery.sources.iter().map(|s| s.name.clone()).collect::<Vec<_>>())?;
    if selection.rays.is_none() && !discovery.sources.iter().any(pipeline::is_edge) {
        return Err(no_edge_log(&discovery.sources, &discovery.skipped));
    }
    let scanned = pipeline::scan(&mut discovery, &reading, &selection, None, &progress)?;

    let mut settings = pipeline::settings(&reading, &selection, &scanned.configs);
    settings.meta.notes.extend(scanned.notes.iter().cloned());
    settings.lines = targets.iter().any(|t| t.format == cfray_report::OutputFormat::Html);
    let (report, flawed) = pipeline::report(scanned, &mut discovery, &reading, &settings, &progress);

    // Events and facts have gone, and outputs are written by threads of their own.
    if report.rows.len() > MANY {
        cfray_ingest::memory::give_back();
    }
    let (written, failure) = output::write(&report, &targets, &render);
    render.written = written;
    if !quiet {
        let when = args.output.color.color.or(config.color).unwrap_or_default();
        if targets.iter().any(output::Target::is_stdout) {
            let color = text::color(when, std::io::stderr().is_terminal());
            diag::stderr(&cfray_report::terminal(&report, text::width(), color, &render));
        } else {
            let color = text::color(when, std::io::stdout().is_terminal());
            diag::stdout(&cfray_report::terminal(&report, text::width(), color, &render))?;
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    if flawed && (args.verdict.strict || config.strict) {
        rejected(&report, &render);
        let help = "the report is complete for everything else; the warnings above name what it was";
        return Err(Failure::new("--strict: something could not be read or was rejected", "").help(help));
    }
    let fail_on = args.verdict.fail_on.as_ref().or(config.fail_on.as_ref());
    let found = fail_on.is_some_and(|rule| rule.found(&report.rows));
    // The process ends here: giving back millions of small pieces one by one would only take time.
    std::mem::forget(report);
    Ok(if found { Status::Found } else { Status::Done })
}

/// Names the lines that were rejected, also where no summary does: those that were kept as a sample, and how many more.
fn rejected(report: &Report, render: &RenderOptions) {
    for source in View::new(report, render).head.sources.iter().filter(|s| s.rejected > 0) {
        for reject in &source.rejects {
            diag::warning(&format!("{}:{}: rejected: {}", source.info.name, reject.at.line, reject.reason));
        }
        let more = source.rejected.saturating_sub(source.rejects.len() as u64);
        if more > 0 {
            diag::warning(&format!("{}: {more} more lines rejected", source.info.name));
        }
    }
}

/// The format of `-o -` and of names without ending; the configuration's only where there are outputs.
fn format(args: Option<OutputFormat>, config: Option<&str>, has_outputs: bool) -> Outcome<Option<OutputFormat>> {
    match (args, config) {
        (None, Some(name)) if has_outputs => {
            let names = cfray_report::FORMATS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
            let unknown = || Failure::new(format!("configuration: there is no format {name:?}"), "").help(format!("one of {names}"));
            OutputFormat::from_name(name).map(Some).ok_or_else(unknown)
        }
        (format, _) => Ok(format),
    }
}

/// Origin logs alone cannot say which requests were answered 520.
pub fn no_edge_log(sources: &[SourceInfo], skipped: &[Skipped]) -> Failure {
    let mut why =
        format!("found {} of the origin", if sources.len() == 1 { "1 log".to_owned() } else { format!("{} logs", sources.len()) });
    for source in sources.iter().take(5) {
        why.push_str(&format!("\n    {}: {}", source.name, source.format));
    }
    if sources.len() > 5 {
        why.push_str(&format!("\n    and {} more", sources.len() - 5));
    }
    for skip in skipped.iter().take(5) {
        let hint = if skip.hint.is_empty() { String::new() } else { format!(" ({})", skip.hint) };
        why.push_str(&format!("\n    not read: {}: {}{hint}", skip.name, skip.what));
    }
    if skipped.len() > 5 {
        why.push_str(&format!("\n    and {} more that were not read", skipped.len() - 5));
    }
    Failure::new("no Cloudflare log, so nothing says which requests were answered 520", why).help(
        "add Logpush http_requests data as a PATH or on standard input (-),\n\
         or name the columns of a CSV without header with --csv-fields, or give a list of rays with --rays FILE, or look at one request with `cfray ray RAY-ID PATH`",
    )
}
