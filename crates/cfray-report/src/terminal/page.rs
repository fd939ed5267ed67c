//! Where the summary is written: lines that fit, with colour laid on after they were measured.

use crate::escape::visible;
use crate::layout::{left, wrap};
use crate::words::{self, Tone};
use anstyle::{AnsiColor, Style};
use cfray_model::Cause;

/// Lines of text are not read well when longer than this.
pub(super) const TEXT: usize = 100;
/// Indent of what belongs to a line.
pub(super) const INDENT: usize = 4;

/// The page as it grows.
pub(super) struct Page {
    /// What was written.
    pub out: String,
    /// Columns.
    pub width: usize,
    /// Are there escape bytes?
    pub color: bool,
}

impl Page {
    pub(super) fn paint(&self, text: &str, style: Style) -> String {
        if self.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub(super) fn dim(&self, text: &str) -> String {
        self.paint(text, Style::new().dimmed())
    }

    pub(super) fn strong(&self, text: &str) -> String {
        self.paint(text, Style::new().bold())
    }

    pub(super) fn cause(&self, text: &str, cause: Cause) -> String {
        self.paint(text, style(cause))
    }

    pub(super) fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    pub(super) fn title(&mut self, text: &str) {
        self.out.push('\n');
        for line in wrap(&text.to_uppercase(), self.width) {
            let line = self.strong(&line);
            self.line(&line);
        }
    }

    /// A paragraph, indented.
    pub(super) fn text(&mut self, text: &str, indent: usize, style: Style) {
        let lines = wrap(&visible(text), self.width.min(TEXT).saturating_sub(indent));
        for line in lines {
            let line = format!("{}{}", " ".repeat(indent), self.paint(&line, style));
            self.line(&line);
        }
    }

    /// `  label     text`, with the text hanging beside the label.
    pub(super) fn entry(&mut self, label: &str, text: &str) {
        const LABEL: usize = 11;
        let lines = wrap(&visible(text), self.width.min(TEXT + LABEL).saturating_sub(LABEL + 2));
        for (at, line) in lines.iter().enumerate() {
            let label = self.dim(&left(if at == 0 { label } else { "" }, LABEL));
            let line = format!("  {label}{line}");
            self.line(&line);
        }
    }

    /// `    → server  text`.
    pub(super) fn hanging(&mut self, who: &str, text: &str) {
        let lines = wrap(&visible(text), self.width.min(TEXT).saturating_sub(INDENT + 8));
        for (at, line) in lines.iter().enumerate() {
            let who = if at == 0 { self.dim(&left(who, 8)) } else { left("", 8) };
            let line = format!("{}{who}{line}", " ".repeat(INDENT));
            self.line(&line);
        }
    }
}

fn style(cause: Cause) -> Style {
    match words::tone(cause) {
        Tone::Broken => AnsiColor::Red.on_default(),
        Tone::Refused => AnsiColor::Yellow.on_default(),
        Tone::Wire => AnsiColor::Magenta.on_default(),
        Tone::Edge => AnsiColor::Blue.on_default(),
        Tone::Unknown => Style::new().dimmed(),
    }
}
