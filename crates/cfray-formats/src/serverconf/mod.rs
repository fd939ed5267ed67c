//! Configuration files of nginx, Apache and PHP-FPM: bytes in, directives with their lines out.
//!
//! Pure, like the rest of the crate: includes stay directives here and are followed by the reader. What is
//! malformed is named with its line, and the rest is still read. Depth, directives and problems are capped, so
//! that no file can make the parser slow or large.

pub mod apache;
pub mod fpm;
pub mod logs;
pub mod nginx;
pub mod recognise;

use cfray_model::serverconf::{Directive, Software};

pub use logs::{LogSpec, log_specs};
pub use recognise::recognise;

/// Blocks inside blocks; nginx itself and every real configuration stay far below.
pub const DEPTH: usize = 32;
/// Directives of one file.
pub const DIRECTIVES: usize = 200_000;
/// Problems of one file that are named.
pub const PROBLEMS: usize = 50;
/// Arguments of one directive that are kept.
pub const ARGS: usize = 4_096;

/// What one file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Directives in order.
    pub directives: Vec<Directive>,
    /// Line and what is wrong there.
    pub problems: Vec<(u32, String)>,
    /// Directives so far, blocks included.
    count: usize,
}

impl Parsed {
    fn problem(&mut self, line: u32, what: impl Into<String>) {
        match self.problems.len() {
            n if n < PROBLEMS => self.problems.push((line, what.into())),
            PROBLEMS => self.problems.push((line, "more problems from here on are not named".to_owned())),
            _ => {}
        }
    }

    /// Counts a directive; false when there are too many.
    fn room(&mut self, line: u32) -> bool {
        self.count += 1;
        if self.count == DIRECTIVES + 1 {
            self.problem(line, format!("more than {DIRECTIVES} directives: the rest of the file is not read"));
        }
        self.count <= DIRECTIVES
    }
}

/// Parses one file. `file` becomes [`Directive::file`] and `line` is the number of its first line.
pub fn parse(software: Software, text: &[u8], file: u32, line: u32) -> Parsed {
    match software {
        Software::Nginx => nginx::parse(text, file, line),
        Software::Apache => apache::parse(text, file, line),
        Software::Fpm => fpm::parse(text, file, line),
    }
}

/// Blocks that are open while a file is read.
struct Blocks {
    /// Directives that opened them, outermost first.
    open: Vec<Directive>,
    out: Vec<Directive>,
}

impl Blocks {
    const fn new() -> Self {
        Self { open: Vec::new(), out: Vec::new() }
    }

    fn push(&mut self, d: Directive) {
        match self.open.last_mut().and_then(|o| o.block.as_mut()) {
            Some(block) => block.push(d),
            None => self.out.push(d),
        }
    }

    fn close(&mut self) -> bool {
        match self.open.pop() {
            Some(d) => {
                self.push(d);
                true
            }
            None => false,
        }
    }
}
