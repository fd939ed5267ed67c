//! Diagnostics: standard error only. Standard output is for reports.

use crate::exit::{Failure, Status};
use cfray_report::escape::visible;
use std::io::{self, Write};

/// Names may hold anything; a terminal must not act on them. Line ends are ours.
pub fn safe(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// One line on standard error; if even that fails, there is nobody left to tell.
fn line(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "cfray: {}", safe(text));
}

/// Why the command ends.
pub fn error(failure: &Failure) -> Status {
    line(&format!("error: {failure}"));
    Status::Failed
}

/// Something was left out, and the run goes on.
pub fn warning(text: &str) {
    line(&format!("warning: {text}"));
}

/// Writes a text for people or programs. A reader that has gone away is no error.
pub fn write_all(out: &mut dyn Write, text: &[u8]) -> Result<(), Failure> {
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new("cannot write to standard output", error)),
        _ => Ok(()),
    }
}

/// To standard output.
pub fn stdout(text: &str) -> Result<(), Failure> {
    write_all(&mut io::stdout().lock(), text.as_bytes())
}

/// A text for people to standard error. Losing it is no failure of the run.
pub fn stderr(text: &str) {
    let _ = write_all(&mut io::stderr().lock(), text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_act_on() {
        assert_eq!(safe("a\u{1b}[2Jb\rc\u{202e}d\u{9b}"), "a\\x1B[2Jb\\x0Dc\\u{202e}d\\x9B");
        assert_eq!(safe("Müller/日本.log\nnext"), "Müller/日本.log\nnext");
    }
}
