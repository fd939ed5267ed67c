//! The five documented parts of a cause, printed by `cfray explain` and used in reports.

use cfray_model::{Cause, OwnCause};

/// What a person may read about one cause. Plain text; paragraphs are separated by a blank line.
#[derive(Clone, Copy, Debug)]
pub struct CauseDoc {
    /// Which cause.
    pub cause: Cause,
    /// What it says: one sentence for the report, no trailing period needed elsewhere.
    pub says: &'static str,
    /// Why this gives a 520: the mechanism on the wire, edge to origin.
    pub why: &'static str,
    /// Evidence required: which lines, which fields, which window.
    pub evidence: &'static str,
    /// Not this cause when: the near miss that looks alike.
    pub not_when: &'static str,
    /// What to do, by the reader's role.
    pub fix: Fix,
    /// The one check that splits this cause from the likeliest other one, as a command or a line to paste.
    pub check: &'static str,
    /// What is often blamed for it and gives a valid answer, or a published limit that is out of
    /// date, with dates; empty if nothing of the kind is known.
    pub often_blamed: &'static str,
    /// Where the facts are from: page or source file, with date or version.
    pub sources: &'static [&'static str],
}

/// Fixes for the four readers. Each is one to three sentences, concrete, and must not harm.
#[derive(Clone, Copy, Debug)]
pub struct Fix {
    /// Site owner without server access.
    pub owner: &'static str,
    /// Server administrator; configuration lines to paste are set off by backticks.
    pub admin: &'static str,
    /// Developer of the application.
    pub developer: &'static str,
    /// The client that met the error: when retrying helps (1, 2, 4, 8, 16 s), when it does not.
    pub client: &'static str,
}

/// What is known about a cause of the user's: what the configuration says of it.
pub fn own(own: &'static OwnCause) -> CauseDoc {
    CauseDoc {
        cause: Cause::Own(own),
        says: own.says,
        why: "Your configuration says what this line means; cfray knows the line and its ties, not the mechanism.",
        evidence: own.evidence,
        not_when: "The line names another request, or is as frequent near answered requests as near failed ones. A line of the \
            request that cfray itself knows counts more than one that is near in time only.",
        fix: Fix { owner: own.to_do, admin: own.to_do, developer: own.to_do, client: "" },
        check: "",
        often_blamed: "",
        sources: &["your configuration (cfray.toml)"],
    }
}
