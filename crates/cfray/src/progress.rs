//! Progress on standard error: bytes, rate and time left, cleared at the end.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// The display; hidden when nobody would see it.
#[derive(Debug, Clone)]
pub struct Display {
    bar: ProgressBar,
}

const KNOWN: &str = "{prefix} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
const UNKNOWN: &str = "{prefix} {spinner} {bytes}  {bytes_per_sec}  {elapsed}";

impl Display {
    /// A display on standard error when that is a terminal and `shown` is set.
    pub fn new(shown: bool) -> Self {
        let shown = shown && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        set_style(&bar, UNKNOWN);
        if shown {
            bar.enable_steady_tick(Duration::from_millis(125));
            let at_interrupt = bar.clone();
            crate::signals::on_interrupt(move || at_interrupt.finish_and_clear());
        }
        Self { bar }
    }

    /// Takes the display away; called before anything else is printed.
    pub fn clear(&self) {
        self.bar.disable_steady_tick();
        self.bar.finish_and_clear();
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    // The templates are constants; a wrong one would only cost the display.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

impl cfray_ingest::Progress for Display {
    fn total(&self, bytes: u64) {
        if bytes > 0 {
            self.bar.set_length(bytes);
            set_style(&self.bar, KNOWN);
        } else {
            self.bar.unset_length();
            set_style(&self.bar, UNKNOWN);
        }
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        // Streams grow past what was known of them.
        if self.bar.length().is_some_and(|length| self.bar.position() > length) {
            self.bar.set_length(self.bar.position());
        }
    }

    fn phase(&self, name: &str) {
        self.bar.reset();
        self.bar.set_prefix(name.to_owned());
    }
}
