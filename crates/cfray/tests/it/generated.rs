//! Help, completions and the manual page are made from one definition, tables and pages of the documentation from the
//! registries. `CFRAY_BLESS=1` writes the documents anew.

use crate::support::run;
use cfray_model::Family;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn help_and_version_are_no_error() {
    let here = Path::new(".");
    run(here, &["--version"]).ended(0).says(&["cfray"]);
    run(here, &["--help"]).ended(0).says(&["analyze", "ray", "explain", "formats", "Exit status", "130"]);
    run(here, &["analyze", "--help"]).ended(0).says(&["--since", "--fail-on", "--csv-fields", "--max-inflate", ".parquet"]);
    run(here, &[]).ended(2).complains(&["Usage"]);
}

#[test]
fn completions_for_three_shells() {
    for (shell, words) in
        [("bash", ["_cfray", "--fail-on"]), ("zsh", ["#compdef cfray", "--fail-on"]), ("fish", ["complete -c cfray", "fail-on"])]
    {
        run(Path::new("."), &["completions", shell]).ended(0).says(&words);
    }
    run(Path::new("."), &["completions", "tcsh"]).ended(2).complains(&["bash"]);
}

#[test]
fn the_manual_page_is_roff() {
    let ran = run(Path::new("."), &["man"]).ended(0).says(&[".TH", "CFRAY ANALYZE", "CFRAY RAY"]);
    assert!(ran.stdout.replace("\\-", "-").contains("--fail-on"));
}

// ---- Tables and pages of the documentation, made from the registries

/// Forms of Cloudflare's own data, which are no part of the registry of origin formats.
const CLOUDFLARE: &[(&str, &str)] = &[
    ("cloudflare-ndjson", "Logpush `http_requests` as NDJSON, also Log Explorer and wrapped records"),
    ("cloudflare-csv", "Logpush `http_requests` as CSV, with a header row or with `--csv-fields`"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Text in a cell of a table: one line, and no `|` that would end it.
fn cell(text: &str) -> String {
    escaped(text).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// Plain text as Markdown: outside backticks nothing is taken for markup.
fn escaped(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    let pieces = pieces
        .map(|(at, piece)| if at % 2 == 1 { piece.to_owned() } else { piece.replace('*', "\\*").replace('_', "\\_").replace('<', "&lt;") });
    pieces.collect::<Vec<_>>().join("`")
}

fn link(docs: &str) -> String {
    if docs.starts_with("https://") { format!("<{docs}>") } else { cell(docs) }
}

fn formats_table() -> String {
    let mut out = "| format | what it is |\n|---|---|\n".to_owned();
    for (name, title) in CLOUDFLARE {
        out.push_str(&format!("| {name} | {title} |\n"));
    }
    for format in cfray_formats::FORMATS {
        out.push_str(&format!("| {} | {} |\n", format.name, cell(format.title)));
    }
    out
}

fn causes_table() -> String {
    let mut out = "| cause | family | what it says |\n|---|---|---|\n".to_owned();
    for doc in cfray_causes::docs() {
        let cause = doc.cause;
        out.push_str(&format!("| [{cause}](docs/causes.md#{cause}) | {} | {} |\n", cause.family(), cell(doc.says)));
    }
    out
}

const MADE: &str = "<!-- Made from the source by `CFRAY_BLESS=1 cargo test -p cfray --test it generated`; do not edit. -->";

fn formats_page() -> String {
    let mut out = format!("# Formats\n\n{MADE}\n\nContent decides what a file is, never its name. ");
    out.push_str(
        "gzip, zstd, bzip2 and xz are read as they are.\nOther formats of nginx, Apache and PHP-FPM are read with `--log-format` and the string of \
         `log_format`, `LogFormat`,\n`ErrorLogFormat` or `access.format`. `cfray formats FILE...` says what a file was taken for, and why.\n\n## Cloudflare\n\n",
    );
    for (name, title) in CLOUDFLARE {
        out.push_str(&format!("* **{name}**: {title}\n"));
    }
    out.push_str("\n## Origin\n");
    for format in cfray_formats::FORMATS {
        out.push_str(&format!("\n### {}\n\n{}. Defined in {}\n\n", format.name, escaped(format.title), link(format.docs)));
        for line in format.samples.iter().flat_map(|sample| sample.split('\n')) {
            out.push_str(format!("    {}", visible(line)).trim_end());
            out.push('\n');
        }
    }
    out
}

/// Control characters of a sample in a readable form.
fn visible(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() }).collect()
}

fn causes_page() -> String {
    let mut out = format!("# Causes\n\n{MADE}\n\nThe same as `cfray explain CAUSE`.\n");
    for doc in cfray_causes::docs() {
        let neighbour = doc.cause.family() == Family::Neighbour;
        out.push_str(&format!("\n## {}\n\nFamily {}. {}\n", doc.cause, doc.cause.family(), escaped(doc.says)));
        let why = if neighbour { "What happens" } else { "Why this gives a 520" };
        let parts = [(why, doc.why), ("Evidence required", doc.evidence), ("Not this cause when", doc.not_when)];
        for (title, text) in parts {
            out.push_str(&format!("\n**{title}.** {}\n", escaped(text)));
        }
        out.push_str("\n**What to do.**\n\n");
        let fix = &doc.fix;
        for (role, text) in [
            ("Site owner, without access to the server", fix.owner),
            ("Server administrator", fix.admin),
            ("Developer", fix.developer),
            ("Client that met the error", fix.client),
        ] {
            out.push_str(&format!("* *{role}*: {}\n", cell(text).replace("\\|", "|")));
        }
        out.push_str(&format!("\n**One check that settles it.** {}\n", escaped(doc.check)));
        if !doc.often_blamed.is_empty() {
            out.push_str(&format!("\n**Often blamed, or out of date.** {}\n", escaped(doc.often_blamed)));
        }
        out.push_str("\n**Sources**\n\n");
        for source in doc.sources {
            out.push_str(&format!(
                "* {}\n",
                if source.starts_with("https://") && !source.contains(' ') { link(source) } else { escaped(source) }
            ));
        }
    }
    out
}

fn columns_page() -> String {
    let mut out = format!(
        "# Columns of the reports\n\n{MADE}\n\nCSV, Parquet and NDJSON have the same columns, a row for each request. In CSV what is absent is empty, \
         else null.\nTimes in CSV are written `2026-11-22T12:24:07.123Z`.\n\n| column | type | meaning |\n|---|---|---|\n"
    );
    for column in cfray_report::columns() {
        out.push_str(&format!("| {} | {} | {} |\n", column.name, column.kind.name(), cell(column.about)));
    }
    out
}

/// The text with what stands between a table's markers replaced.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let (open, close) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
    let start = text.find(&open).unwrap_or_else(|| panic!("README.md has no {open}")) + open.len();
    let end = start + text[start..].find(close).unwrap_or_else(|| panic!("README.md: {name} has no end"));
    format!("{}\n{table}\n{}", &text[..start], &text[end..])
}

/// Compares, or with `CFRAY_BLESS=1` writes.
fn stands_in(file: &str, wanted: &str) {
    let path = root().join(file);
    let found = fs::read_to_string(&path).unwrap_or_default();
    if found == wanted {
        return;
    }
    assert!(
        std::env::var_os("CFRAY_BLESS").is_some_and(|value| value == "1"),
        "{file} is not what the registries say: CFRAY_BLESS=1 cargo test -p cfray --test it generated"
    );
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, wanted).unwrap();
}

#[test]
fn the_documents_say_what_the_registries_say() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let readme = with_table(&readme, "formats", &formats_table());
    stands_in("README.md", &with_table(&readme, "causes", &causes_table()));
    stands_in("docs/formats.md", &formats_page());
    stands_in("docs/causes.md", &causes_page());
    stands_in("docs/columns.md", &columns_page());
}

#[test]
fn cloudflare_s_formats_are_those_of_the_command() {
    let list = run(Path::new("."), &["formats"]).ended(0).stdout;
    let named: Vec<&str> = list.lines().filter_map(|l| l.split_whitespace().next()).filter(|w| w.starts_with("cloudflare-")).collect();
    assert_eq!(named, CLOUDFLARE.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
