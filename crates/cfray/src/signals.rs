//! Interruption: the terminal is left clean, no file is left half written, and the status is 130.

use std::sync::OnceLock;

/// Takes the progress display off the terminal.
static CLEAN_UP: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Says how the terminal is cleaned. Only the first call counts.
pub fn on_interrupt(clean_up: impl Fn() + Send + Sync + 'static) {
    let _ = CLEAN_UP.set(Box::new(clean_up));
}

/// Begins to listen. Without it the default action ends the process, which is no worse than before.
#[cfg(unix)]
pub fn install() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) else { return };
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut seen = 0;
        for signal in signals.forever() {
            seen += 1;
            if seen == 1 {
                // A second signal must not have to wait for what the first one waits for.
                let _ = std::thread::Builder::new().name("interrupted".to_owned()).spawn(move || end(signal));
            } else {
                std::process::exit(128 + signal);
            }
        }
    });
}

/// Elsewhere the default action ends the process.
#[cfg(not(unix))]
pub fn install() {}

#[cfg(unix)]
fn end(signal: i32) {
    if let Some(clean_up) = CLEAN_UP.get() {
        clean_up();
    }
    let _nothing_is_finished_any_more = cfray_report::abandon();
    std::process::exit(128 + signal);
}
