//! Text for people: width, wrapping, colour.

use crate::args::When;
use anstyle::{AnsiColor, Style};
use std::io::IsTerminal;

/// Width when there is no terminal to ask.
const DEFAULT_WIDTH: usize = 80;

/// Columns to fill on standard output: those of the terminal within reason, 80 without one.
pub fn width() -> usize {
    if !std::io::stdout().is_terminal() {
        return DEFAULT_WIDTH;
    }
    terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0)).clamp(40, 120)
}

/// Shall there be colour on a stream?
pub fn color(when: When, is_terminal: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            is_terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if self.0 { format!("{}{text}{}", style.render(), style.render_reset()) } else { text.to_owned() }
    }

    /// A heading.
    pub fn heading(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    /// A name that can be typed.
    pub fn name(self, text: &str) -> String {
        self.with(Style::new().fg_color(Some(AnsiColor::Cyan.into())), text)
    }

    /// Something bad.
    pub fn bad(self, text: &str) -> String {
        self.with(Style::new().fg_color(Some(AnsiColor::Red.into())), text)
    }

    /// Something secondary.
    pub fn faint(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }
}

/// Wraps a text at blanks. Every line begins with `indent`; paragraphs stay apart; a word that is
/// longer than the line (an address, a line to paste) stands alone and is never broken; what stands
/// between backticks on one line stays together if it fits.
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    let room = width.saturating_sub(indent.chars().count()).max(20);
    let mut out = String::new();
    for (number, paragraph) in text.split("\n\n").enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let mut line = String::new();
        let mut used = 0;
        for word in words(paragraph) {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > room {
                push_line(&mut out, indent, &line);
                line.clear();
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(&word);
            used += length;
        }
        push_line(&mut out, indent, &line);
    }
    out
}

/// As [`wrap`], the first line with another indent.
pub fn hang(text: &str, width: usize, first: &str, rest: &str) -> String {
    let wrapped = wrap(text, width, rest);
    format!("{first}{}", wrapped.strip_prefix(rest).unwrap_or(&wrapped))
}

fn push_line(out: &mut String, indent: &str, line: &str) {
    if !line.is_empty() {
        out.push_str(indent);
        out.push_str(line);
        out.push('\n');
    }
}

/// Words, with `code spans` of up to 60 characters as one word.
fn words(paragraph: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open: Option<String> = None;
    for word in paragraph.split_whitespace() {
        let ticks = word.matches('`').count();
        match open.take() {
            Some(mut span) => {
                span.push(' ');
                span.push_str(word);
                if ticks % 2 == 1 || span.chars().count() > 60 {
                    words.push(span);
                } else {
                    open = Some(span);
                }
            }
            None if ticks % 2 == 1 => open = Some(word.to_owned()),
            None => words.push(word.to_owned()),
        }
    }
    words.extend(open);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_nothing_is_lost() {
        let text = "The origin closed an idle connection that Cloudflare was about to reuse. Set `keepalive_timeout 905s;` on nginx.\n\nThe second paragraph.";
        let wrapped = wrap(text, 40, "    ");
        assert!(wrapped.lines().all(|line| line.chars().count() <= 40), "{wrapped}");
        assert!(wrapped.lines().all(|line| line.is_empty() || line.starts_with("    ")));
        assert!(wrapped.contains("\n\n    The second"));
        assert!(wrapped.contains("`keepalive_timeout 905s;`"), "{wrapped}");
        assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn long_words_are_not_broken() {
        let url = "https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/error-520/";
        assert_eq!(wrap(&format!("see {url} there"), 40, ""), format!("see\n{url}\nthere\n"));
    }

    #[test]
    fn colour_is_asked_for_or_left_out() {
        assert!(color(When::Always, false));
        assert!(!color(When::Never, true));
        assert!(!color(When::Auto, false));
        assert_eq!(Paint(false).heading("x"), "x");
        assert!(Paint(true).heading("x").contains("\u{1b}["));
    }
}
