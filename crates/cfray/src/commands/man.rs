//! `cfray man`: one page for the command and all its verbs.

use crate::args::Cli;
use crate::diag;
use crate::exit::{Failure, Outcome, Status};
use clap::CommandFactory;
use std::io;

/// Writes the page (roff) to standard output.
pub fn run() -> Outcome<Status> {
    let page = page().map_err(|error| Failure::new("cannot make the manual page", error))?;
    diag::write_all(&mut io::stdout().lock(), &page)?;
    Ok(Status::Done)
}

fn page() -> io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let main = clap_mangen::Man::new(command.clone());
    main.render_title(&mut page)?;
    main.render_name_section(&mut page)?;
    main.render_synopsis_section(&mut page)?;
    main.render_description_section(&mut page)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let title = format!("cfray {}", verb.get_name()).to_uppercase();
        page.extend_from_slice(format!(".SH {title}\n").as_bytes());
        page.extend_from_slice(sections_of(verb)?.as_bytes());
    }
    main.render_extra_section(&mut page)?;
    main.render_version_section(&mut page)?;
    Ok(page)
}

/// The sections of a verb, one level down.
fn sections_of(verb: &clap::Command) -> io::Result<String> {
    let man = clap_mangen::Man::new(verb.clone());
    let mut roff = Vec::new();
    man.render_synopsis_section(&mut roff)?;
    man.render_description_section(&mut roff)?;
    man.render_options_section(&mut roff)?;
    let roff = String::from_utf8_lossy(&roff);
    Ok(roff.lines().map(|line| line.strip_prefix(".SH ").map_or_else(|| format!("{line}\n"), |title| format!(".SS {title}\n"))).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_page_holds_every_verb_and_option() {
        let page = String::from_utf8(page().unwrap()).unwrap().replace("\\-", "-");
        assert!(page.contains(".TH"));
        for verb in Cli::command().get_subcommands() {
            assert!(page.contains(&format!(".SH CFRAY {}", verb.get_name().to_uppercase())), "{}", verb.get_name());
            for option in verb.get_arguments().filter_map(|arg| arg.get_long()) {
                assert!(page.contains(&format!("--{option}")), "{option}");
            }
        }
    }
}
