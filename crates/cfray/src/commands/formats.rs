//! `cfray formats [FILE]...`: the known formats, and what each file was taken for.

use crate::args::FormatsArgs;
use crate::diag;
use crate::exit::{Failure, Outcome, Status};
use crate::plan;
use crate::text::{self, Paint};
use cfray_model::SourceInfo;
use cfray_model::source::Skipped;
use cfray_report::escape::visible;
use std::io::IsTerminal;

/// Prints the list, or what the files are.
pub fn run(args: &FormatsArgs) -> Outcome<Status> {
    let paint = Paint(text::color(args.color.color.unwrap_or_default(), std::io::stdout().is_terminal()));
    let width = text::width();
    if args.files.is_empty() {
        diag::stdout(&list(width, paint))?;
        return Ok(Status::Done);
    }
    let mut reading = plan::reading(&args.files, &args.read)?;
    reading.options.fifos = false;
    let discovery = cfray_ingest::discover(&reading.inputs.list, &reading.options);
    if discovery.sources.is_empty() && discovery.skipped.is_empty() {
        return Err(Failure::new("nothing to look at", format!("no file in {}", reading.inputs.names().join(", "))));
    }
    let mut out: String = discovery.sources.iter().map(|source| known(source, width, paint)).collect();
    out.extend(discovery.skipped.iter().map(|skip| other(skip, width, paint)));
    diag::stdout(&out)?;
    let all_failed = discovery.sources.is_empty() && discovery.skipped.iter().all(|s| s.failed);
    Ok(if all_failed { Status::Failed } else { Status::Done })
}

/// Forms of Cloudflare's data: name, title, where it is defined.
const CLOUDFLARE: &[(&str, &str, &str)] = &[
    (
        "cloudflare-ndjson",
        "Cloudflare Logpush http_requests, one JSON object a line (also Log Explorer and wrapped records)",
        "https://developers.cloudflare.com/logs/logpush/logpush-job/datasets/zone/http_requests/",
    ),
    (
        "cloudflare-csv",
        "Cloudflare Logpush http_requests as CSV, with a header row or with --csv-fields",
        "https://developers.cloudflare.com/logs/logpush/logpush-job/log-output-options/",
    ),
];

fn list(width: usize, paint: Paint) -> String {
    let origin = || cfray_formats::FORMATS.iter().map(|f| (f.name, f.title, f.docs));
    let column = CLOUDFLARE.iter().copied().chain(origin()).map(|(name, _, _)| name.len()).max().unwrap_or(0) + 4;
    let mut out = format!("{}\n", paint.heading("Cloudflare"));
    let row = |(name, title, docs): (&str, &str, &str)| {
        let text = text::wrap(title, width, &" ".repeat(column));
        let name = format!("{}{}", paint.name(name), " ".repeat(column.saturating_sub(2 + name.len())));
        format!("  {name}{}{}", text.get(column..).unwrap_or("\n"), text::wrap(docs, width, &" ".repeat(column)))
    };
    out.extend(CLOUDFLARE.iter().copied().map(row));
    out.push_str(&format!("\n{}\n", paint.heading("Origin")));
    out.extend(origin().map(row));
    out.push('\n');
    out.push_str(&text::wrap(
        "Content decides, never the name of a file. gzip, zstd, bzip2 and xz are read as they are. Other formats of nginx, Apache and \
         PHP-FPM: --log-format with the string of log_format, LogFormat, ErrorLogFormat or access.format.",
        width,
        "",
    ));
    out
}

fn known(source: &SourceInfo, width: usize, paint: Paint) -> String {
    let compression = if source.compression.is_empty() { String::new() } else { format!(" ({})", source.compression) };
    let mut out = format!("{}: {}{compression}\n", visible(&source.name), paint.name(&source.format));
    out.push_str(&text::wrap(&diag::safe(&source.why), width, "    "));
    if !source.server.is_empty() {
        out.push_str(&format!("    server {}\n", visible(&source.server)));
    }
    out
}

fn other(skip: &Skipped, width: usize, paint: Paint) -> String {
    let what = if skip.failed { paint.bad(&diag::safe(&skip.what)) } else { diag::safe(&skip.what) };
    let mut out = format!("{}: not read: {what}\n", visible(&skip.name));
    if !skip.hint.is_empty() {
        out.push_str(&text::wrap(&diag::safe(&skip.hint), width, "    "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_format_and_fits() {
        let list = list(80, Paint(false));
        for format in cfray_formats::FORMATS {
            assert!(list.lines().any(|line| line.trim_start().starts_with(format.name)), "{}", format.name);
        }
        for line in list.lines().filter(|line| line.trim().contains(' ')) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn names_of_files_cannot_act_on_the_terminal() {
        let skip = Skipped { name: "a\u{1b}[2J\nb".to_owned(), what: "empty".to_owned(), ..Skipped::default() };
        assert_eq!(other(&skip, 80, Paint(false)), "a\\x1B[2J\\x0Ab: not read: empty\n");
        let source = SourceInfo { name: "x\ny".to_owned(), format: "app".to_owned(), ..SourceInfo::default() };
        assert!(known(&source, 80, Paint(false)).starts_with("x\\x0Ay: app\n"));
    }
}
