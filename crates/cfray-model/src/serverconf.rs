//! Configuration of the origin's servers: directives with their places, and what was found in them.

use crate::cause::Cause;
use serde::Serialize;

/// Whose configuration it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Software {
    /// nginx and what is built on it (OpenResty, Angie).
    Nginx,
    /// Apache httpd.
    Apache,
    /// PHP-FPM.
    Fpm,
}

impl Software {
    /// Name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "Apache",
            Self::Fpm => "PHP-FPM",
        }
    }
}

/// One directive, with the quotes and escapes of its arguments undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Name as written. Apache's names do not depend on case.
    pub name: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Index into [`ConfTree::files`].
    pub file: u32,
    /// 1-based line on which it begins.
    pub line: u32,
    /// What a block (a section, a pool) holds.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// First argument, empty without one.
    pub fn arg(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }

    /// Name without regard to case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// What the block holds; nothing without one.
    pub fn inside(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// Something in a configuration that could not be read as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ConfProblem {
    /// File as shown.
    pub file: String,
    /// 1-based line; 0 when the file as a whole is meant.
    pub line: u64,
    /// What is wrong and what was done about it.
    pub what: String,
    /// The configuration is malformed or unreadable, as opposed to: a file it names was not given.
    pub failed: bool,
}

/// One server's configuration, includes in their places.
#[derive(Clone, Debug)]
pub struct ConfTree {
    /// Whose.
    pub software: Software,
    /// Its first file as shown.
    pub name: String,
    /// True when it begins with a main file (`http {}`, `ServerRoot`, `[global]`): what is set nowhere has its
    /// default then. In a fragment it may be set by a file that was not given.
    pub whole: bool,
    /// Files it was read from, as shown.
    pub files: Vec<String>,
    /// Directives in order.
    pub directives: Vec<Directive>,
    /// What could not be read.
    pub problems: Vec<ConfProblem>,
    /// World it belongs to, as in [`crate::SourceInfo::scope`].
    pub scope: String,
    /// Server that the user named for it; empty if none.
    pub server: String,
}

impl ConfTree {
    /// File of a directive as shown.
    pub fn file(&self, d: &Directive) -> &str {
        self.files.get(d.file as usize).map_or("?", String::as_str)
    }

    /// A directive as it would be written, cut to 200 characters.
    pub fn quote(&self, d: &Directive) -> String {
        let args = d.args.iter().map(|a| word(a)).collect::<Vec<_>>().join(" ");
        let space = if args.is_empty() { "" } else { " " };
        let text = match (self.software, d.block.is_some()) {
            (Software::Nginx, false) => format!("{}{space}{args};", d.name),
            (Software::Nginx, true) => format!("{}{space}{args} {{", d.name),
            (Software::Apache, false) => format!("{}{space}{args}", d.name),
            (Software::Apache, true) => format!("<{}{space}{args}>", d.name),
            (Software::Fpm, false) => format!("{} = {}", d.name, d.arg()),
            (Software::Fpm, true) => format!("[{}]", d.arg()),
        };
        if text.chars().count() > 200 { text.chars().take(199).chain(['…']).collect() } else { text }
    }
}

/// An argument, in quotes where it needs them.
fn word(arg: &str) -> String {
    let plain = !arg.is_empty() && !arg.contains(|c: char| c.is_whitespace() || matches!(c, ';' | '{' | '"' | '\''));
    match (plain, arg.contains('"')) {
        (true, _) => arg.to_owned(),
        (false, false) => format!("\"{arg}\""),
        (false, true) => format!("'{arg}'"),
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It makes the server close without an answer, or makes every request fail.
    Closes,
    /// It leads to 520s under conditions that are common.
    Risk,
    /// It hides causes, or limits something that may run out.
    Note,
}

impl Weight {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closes => "closes",
            Self::Risk => "risk",
            Self::Note => "note",
        }
    }
}

/// One thing that a configuration says or fails to say. Advice, never a verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ConfigFinding {
    /// How much it matters.
    pub weight: Weight,
    /// Name of the check, such as `nginx-keepalive`.
    pub check: String,
    /// What was found, one sentence.
    pub what: String,
    /// The effective value with its unit, and where a default comes from.
    pub value: String,
    /// For which part of the configuration: `server shop.example.com`, `pool www`.
    pub place: String,
    /// File as shown; for a default the file that would hold the directive.
    pub file: String,
    /// 1-based line; `None` for a default.
    pub line: Option<u64>,
    /// The directive as written; empty for a default.
    pub directive: String,
    /// Why it matters for 520.
    pub why: String,
    /// Lines to paste, and what to mind with them.
    pub fix: String,
    /// Causes it speaks for.
    pub causes: Vec<Cause>,
}

/// One configuration in the report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ConfigSource {
    /// First file as shown.
    pub name: String,
    /// Whose.
    pub software: Software,
    /// Number of files read for it.
    pub files: u64,
    /// Number of directives.
    pub directives: u64,
    /// False for a fragment: defaults are not judged then.
    pub whole: bool,
    /// What could not be read.
    pub problems: Vec<ConfProblem>,
}

/// What was read of server configuration and found in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConfigReport {
    /// Configurations, by name.
    pub sources: Vec<ConfigSource>,
    /// Findings, weightiest first.
    pub findings: Vec<ConfigFinding>,
    /// Date of the list of Cloudflare's ranges that was used, or the name of the file that replaced it.
    pub ranges: String,
}

impl ConfigReport {
    /// Nothing was read?
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }
}
