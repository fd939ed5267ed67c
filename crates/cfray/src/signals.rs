//! Interruption: the terminal is left clean, no file is left half written, and the status is 130.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Held while a report file is being written. The one who interrupts waits for it: a report takes
/// moments to write, and its temporary file would stay behind.
static WRITING: Mutex<()> = Mutex::new(());

/// Takes the progress display off the terminal.
static CLEAN_UP: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

/// Marks that a file is being written, until the guard is dropped.
pub fn writing() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

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
                // A second signal must not have to wait for the file that the first one waits for.
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
    let _file_is_whole = writing();
    std::process::exit(128 + signal);
}
