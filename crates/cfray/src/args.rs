//! What may be typed. Values stay as typed (an absent option is `None`); [`crate::plan`] says what they mean.

use crate::values::{FailOn, GlobPair, Moment, Size, Statuses, Zone, glob};
use cfray_report::OutputFormat;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const ABOUT: &str = "Names the cause of every Cloudflare 520 from Logpush and the origin's logs";

const LONG_ABOUT: &str = "\
Cloudflare answers 520 when the origin gave it an empty, broken or unexpected reply. cfray reads \
Cloudflare's Logpush data and the origin's own logs (nginx, Apache, PHP-FPM, kernel, ...), ties each 520 \
to what the origin was doing, names the cause with the lines that prove it, says how sure it is, and what to do.

    cfray analyze LOGDIR                      a directory with both kinds of logs
    zcat logs/*.gz | cfray analyze - /var/log/nginx
    cfray analyze logs -o report.html -o report.csv
    cfray ray 9e0ad402c9afa70a logs           one request, as a timeline
    cfray bundle --redact logs                one archive for a support ticket
    cfray explain keepalive-race              what a cause means and how to fix it";

const STATUSES: &str = "\
Exit status:
  0    done
  1    done, and what --fail-on names was found; for `cfray ray`: the ray is nowhere
  2    could not do it: bad usage, nothing readable, output not writable,
       or under --strict anything unreadable or rejected
  130  interrupted";

/// The command line.
#[derive(Parser, Debug)]
#[command(name = "cfray", version, about = ABOUT, long_about = LONG_ABOUT, after_help = STATUSES)]
#[command(arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Find every 520, tie it to the origin's logs and name its cause
    Analyze(Box<AnalyzeArgs>),
    /// Show everything known about one request of any status, as a timeline
    Ray(Box<RayArgs>),
    /// Say which causes these logs could not show, and the line to paste that reveals each
    Audit(Box<AuditArgs>),
    /// Write one archive for a support ticket: rays, tied origin lines, reports, what to send to whom
    Bundle(Box<BundleArgs>),
    /// Explain a cause: what it means, its evidence, its fix; without one, list all
    Explain(ExplainArgs),
    /// List the known log formats; with files, say what each was taken for and why
    Formats(Box<FormatsArgs>),
    /// Show the largest headers and cookies of a browser's recording (HAR) against Cloudflare's limits
    Har(Box<HarArgs>),
    /// Write a completion script for a shell to standard output
    Completions {
        /// Shell to write for
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual page to standard output
    Man,
}

/// `cfray analyze`.
#[derive(Args, Debug, Default)]
#[command(after_help = STATUSES)]
pub struct AnalyzeArgs {
    /// Files, directories (searched recursively), or - for standard input
    ///
    /// With no PATH: standard input if it is a pipe, a socket or a regular file, else the current
    /// directory. What each file is, is decided by its content; compressed files are read as they are.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    #[command(flatten)]
    pub mask: MaskArgs,
    #[command(flatten)]
    pub verdict: VerdictArgs,
}

/// `cfray ray`.
#[derive(Args, Debug, Default)]
#[command(after_help = "Exit status: 0 found, 1 the ray is nowhere, 2 could not do it, 130 interrupted")]
pub struct RayArgs {
    /// The ray, with or without the data centre: 9e0ad402c9afa70a or 9e0ad402c9afa70a-FRA
    #[arg(value_name = "RAY-ID")]
    pub ray: String,
    /// Files, directories (searched recursively), or - for standard input; origin logs alone will do
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub read: ReadArgs,
    #[command(flatten)]
    pub mask: MaskArgs,
    #[command(flatten)]
    pub color: ColorArgs,
}

/// `cfray bundle`.
#[derive(Args, Debug, Default)]
#[command(after_help = "Exit status: 0 written, 2 could not do it, 130 interrupted")]
pub struct BundleArgs {
    /// Files, directories (searched recursively), or - for standard input, as for `cfray analyze`
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Archive to write: .tar.gz, .tgz or .zip [default: cfray-bundle.tar.gz]
    ///
    /// It appears whole or not at all, readable by you alone.
    #[arg(short = 'o', long = "output", value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Print no list of what was written and no progress
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
    #[command(flatten)]
    pub select: SelectArgs,
    #[command(flatten)]
    pub read: ReadArgs,
    #[command(flatten)]
    pub mask: MaskArgs,
}

/// `cfray audit`.
#[derive(Args, Debug, Default)]
#[command(after_help = STATUSES)]
pub struct AuditArgs {
    /// Files, directories (searched recursively), or - for standard input; origin logs alone or Logpush alone will do
    ///
    /// With no PATH: standard input if it is a pipe, a socket or a regular file, else the current directory.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How to write it
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub format: AuditFormat,
    #[command(flatten)]
    pub read: ReadArgs,
    #[command(flatten)]
    pub mask: MaskArgs,
    /// Exit with 2 when anything was unreadable or rejected
    #[arg(long)]
    pub strict: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub color: ColorArgs,
}

/// `text`, `json` or `md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum AuditFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// Markdown.
    Md,
}

/// `cfray explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Name of a cause, such as keepalive-race, or a status from 520 to 530
    pub cause: Option<String>,
    /// Configuration file with causes of your own; without it cfray.toml in the current directory
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read no configuration file
    #[arg(long, conflicts_with = "config")]
    pub no_config: bool,
    #[command(flatten)]
    pub color: ColorArgs,
}

/// `cfray formats`.
#[derive(Args, Debug, Default)]
pub struct FormatsArgs {
    /// Files or directories to look at, or - for standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub read: ReadArgs,
    #[command(flatten)]
    pub color: ColorArgs,
}

/// `cfray har`.
#[derive(Args, Debug, Default)]
pub struct HarArgs {
    /// HTTP archives (.har), or - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub format: HarFormat,
    /// Addresses and cookies shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    #[command(flatten)]
    pub mask: MaskArgs,
    #[command(flatten)]
    pub color: ColorArgs,
}

/// `text` or `json`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum HarFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one document.
    Json,
}

/// Where reports go.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Write a report; the ending chooses the format. May be repeated; - is standard output
    ///
    /// Endings: .csv .parquet .ndjson .json .html .md. A file appears whole or not at all.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub outputs: Vec<PathBuf>,
    /// Format of -o - and of names without a known ending
    #[arg(long, value_name = "NAME", value_parser = format_name())]
    pub format: Option<OutputFormat>,
    /// Print no summary and no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Leave CSV cells that begin with = + - @ or a tab as they are
    #[arg(long)]
    pub csv_raw: bool,
    #[command(flatten)]
    pub color: ColorArgs,
}

/// When to use colour.
#[derive(Args, Debug, Default)]
pub struct ColorArgs {
    /// When to use colour (auto: on a terminal, unless NO_COLOR is set)
    #[arg(long, value_name = "WHEN", value_enum, help_heading = "Output")]
    pub color: Option<When>,
}

/// `auto`, `always` or `never`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// Which requests are looked at.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Which requests")]
pub struct SelectArgs {
    /// Requests at or after: 2026-11-22T10:00:00Z, "2026-11-22 10:00" (UTC) or 2h for two hours ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Requests before
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Requests of this host only; may be repeated
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<String>,
    /// Requests through this Cloudflare data centre only, such as FRA; may be repeated
    #[arg(long, value_name = "COLO", value_delimiter = ',')]
    pub colo: Vec<String>,
    /// Edge statuses to report, such as 520-527,530 [default: 520]
    #[arg(long, value_name = "LIST")]
    pub status: Option<Statuses>,
    // A doc comment would take the brackets for a link.
    #[arg(long, value_name = "FILE", help = "Without Logpush: a list of rays, one a line, or ray,time[,host,method,uri]")]
    pub rays: Option<PathBuf>,
}

/// How input is read.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Reading")]
pub struct ReadArgs {
    /// Time zone of logs that do not state theirs: Europe/Berlin, +05:30, 'web1/*=Asia/Kolkata'
    #[arg(long, value_name = "[GLOB=]ZONE", value_parser = GlobPair::<Zone>::parse)]
    pub tz: Vec<GlobPair<Zone>>,
    /// Files that belong to one server
    #[arg(long, value_name = "NAME=GLOB", value_parser = glob::server)]
    pub server: Vec<(String, String)>,
    /// nginx log_format, Apache LogFormat or ErrorLogFormat, or FPM access.format string
    #[arg(long, value_name = "[GLOB=]STRING", value_parser = glob::log_format)]
    pub log_format: Vec<glob::LogFormat>,
    /// Configuration of the origin's servers beside what PATH holds; may be repeated
    ///
    /// nginx.conf, apache2.conf, httpd.conf, php-fpm.conf, a pool file, a directory of such, or the output of
    /// nginx -T. Its log formats are used to read the logs, and it is audited for what causes 520s.
    #[arg(long, value_name = "PATH")]
    pub server_config: Vec<PathBuf>,
    /// Cloudflare's networks in place of the built-in list: one a line, # begins a comment
    #[arg(long, value_name = "FILE")]
    pub cloudflare_ips: Option<PathBuf>,
    /// Names of the columns of Logpush CSV without a header row, in order
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub csv_fields: Vec<String>,
    /// Most bytes that one compressed file may expand to, such as 20G
    #[arg(long, value_name = "SIZE")]
    pub max_inflate: Option<Size>,
    /// Most times its own size that a compressed file may expand to
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_ratio: Option<u64>,
    /// Memory that should do, such as 2G: large storms are cut into smaller slices of time, evidence is thinned to fit (fewer
    /// lines of one meaning a second), and the summary says so; no request is left out
    #[arg(long, value_name = "SIZE")]
    pub max_memory: Option<Size>,
    /// May files be mapped into memory?
    #[arg(long, value_name = "WHEN", value_enum)]
    pub mmap: Option<Mmap>,
    /// Worker threads [default: one for each core]
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Configuration file; without it cfray.toml in the current directory, unless that is being scanned
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read no configuration file
    #[arg(long, conflicts_with = "config")]
    pub no_config: bool,
}

/// `auto` or `never`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mmap {
    /// Where it is safe and pays.
    Auto,
    /// Read every file.
    Never,
}

/// What may be shown.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Privacy")]
pub struct MaskArgs {
    /// Replace addresses and query values by pseudonyms that are new in each run
    #[arg(long)]
    pub redact: bool,
    /// Do not mask passwords, tokens, cookies and the like
    #[arg(long, conflicts_with = "redact")]
    pub show_secrets: bool,
}

/// What the exit status says.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Exit status")]
pub struct VerdictArgs {
    /// Exit with 2 when anything was unreadable or rejected, after the report is written
    #[arg(long)]
    pub strict: bool,
    /// Exit with 1 when one of these causes was found
    #[arg(long, value_name = "CAUSE[,...]|any[:MIN]")]
    pub fail_on: Option<FailOn>,
}

/// A parser that knows the names in the report crate's table, so that help lists them.
fn format_name() -> impl clap::builder::TypedValueParser<Value = OutputFormat> {
    use clap::builder::TypedValueParser;
    let names = cfray_report::FORMATS.iter().map(|f| clap::builder::PossibleValue::new(f.name).help(f.about));
    clap::builder::PossibleValuesParser::new(names).try_map(|name| OutputFormat::from_name(&name).ok_or("no such format"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_is_explained() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for arg in command.get_arguments() {
                assert!(arg.get_help().is_some(), "{} {}", command.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn lists_repeats_and_globs() {
        let cli = Cli::try_parse_from(
            ["cfray", "analyze", "a", "-", "-o", "x.csv", "-o", "y.html", "--host", "a.example,b.example", "--host", "c.example"]
                .into_iter()
                .chain(["--tz", "web/*=+05:30", "--tz", "UTC", "--server", "w=web/*", "-j", "3", "-q", "--status", "520-527"]),
        )
        .unwrap();
        let Command::Analyze(args) = cli.command else { panic!("another command") };
        assert_eq!(args.paths.len(), 2);
        assert_eq!(args.output.outputs.len(), 2);
        assert_eq!(args.select.host, ["a.example", "b.example", "c.example"]);
        assert_eq!(args.read.tz.len(), 2);
        assert_eq!(args.read.tz[0].glob.as_deref(), Some("web/*"));
        assert_eq!(args.read.threads, Some(3));
        assert_eq!(args.select.status.unwrap().ranges, [(520, 527)]);
    }
}
