//! What the fuzz targets run. `checks` needs only the libraries, so the ordinary test suite replays the findings
//! with it; the configuration is part of the command, whose files are borrowed here.
#![allow(dead_code)]

pub mod checks;

#[path = "../../crates/cfray/src/args.rs"]
mod args;
#[path = "../../crates/cfray/src/config.rs"]
mod configuration;
#[path = "../../crates/cfray/src/exit.rs"]
mod exit;
#[path = "../../crates/cfray/src/values/mod.rs"]
mod values;

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
