//! What the fuzz targets run. `checks` needs only the libraries, so the ordinary test suite replays the findings
//! with it; the configuration is part of the command, whose files are borrowed here.
#![allow(dead_code, unused_imports)]

pub mod checks;

// Files of the command, at the places where they look for each other.
#[path = "../../crates/cfray/src"]
mod command {
    pub mod args;
    pub mod config;
    pub mod exit;
    pub mod values;
}
use command::{args, config as configuration, exit, values};

/// `cfray.toml`: any text gives a configuration or a message that says where.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(message) = configuration::parse(text) {
        assert!(!message.trim().is_empty());
    }
    // The values of options, without TOML around them.
    for value in text.lines().take(4) {
        let _ = value.parse::<values::Moment>().map(|moment| moment.at(cfray_model::Stamp(1_795_350_247_000_000_000)));
        let _ = value.parse::<values::Statuses>();
        let _ = value.parse::<values::Size>();
        let _ = value.parse::<values::Zone>();
        let _ = value.parse::<values::FailOn>();
        let _ = values::glob::server(value);
        let _ = values::glob::log_format(value);
        let _ = values::GlobPair::<values::Zone>::parse(value);
    }
}
