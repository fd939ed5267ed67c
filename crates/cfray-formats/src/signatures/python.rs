//! Tracebacks of Python: which file is at fault, and which lines belong together.
//!
//! The interpreter prints the outermost call first (Lib/traceback.py): the deepest frame is the last one.

use super::app::{asgi_exception, request_of_exception};
use regex::bytes::{Regex, RegexBuilder};
use std::sync::LazyLock;

/// `  File "/srv/app/shop/views.py", line 12, in cart`.
static FRAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| build(r#"^(?:.{0,120}?: )?  File "((?:/|[A-Za-z]:[\\/])[^"\n]*)", line \d+, in [!-~]"#));
/// `KeyError: 'IN'`, `shop.errors.NoPrice`.
static RAISED: LazyLock<Option<Regex>> = LazyLock::new(|| build(r"^[A-Za-z_][A-Za-z0-9_.]*(?::(?: .*)?)?$"));

fn build(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).unicode(false).build().ok()
}

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
/// A group of exceptions (Python 3.11, and the exceptiongroup package) has a margin before its traceback.
const GROUP: &[u8] = b"  + Exception Group Traceback (most recent call last):";
/// The exception before was raised again as another: it is the one at fault.
const CAUSE: &[u8] = b"The above exception was the direct cause of the following exception:";
/// The exception before was being handled already.
const CONTEXT: &[u8] = b"During handling of the above exception, another exception occurred:";

/// Packages of frameworks and servers: a frame there only passes on what others called.
const CORE: &[&str] = &[
    "aiohttp",
    "anyio",
    "asgiref",
    "bottle.py",
    "django",
    "falcon",
    "fastapi",
    "flask",
    "gevent",
    "gunicorn",
    "hypercorn",
    "pyramid",
    "quart",
    "rest_framework",
    "sanic",
    "starlette",
    "tornado",
    "uvicorn",
    "waitress",
    "webob",
    "werkzeug",
];

/// The file to blame for an exception that an application server or framework logs with its traceback: the
/// deepest one outside the interpreter's library and the framework's packages. `None` when the message names no
/// request and is not uvicorn's, has no traceback, or its frames are all the framework's own.
pub fn python_fault_file(message: &[u8]) -> Option<String> {
    if !opens(message) {
        return None;
    }
    let mut frames: Vec<String> = Vec::new();
    let mut open = false;
    for line in message.split(|&b| b == b'\n').skip(1) {
        let line = line.trim_ascii_end();
        if line.ends_with(CAUSE) {
            break;
        }
        if line.ends_with(TRACEBACK) {
            frames.clear();
            open = true;
        } else if let Some(found) = FRAME.as_ref().and_then(|r| r.captures(line)).filter(|_| open) {
            frames.extend(found.get(1).map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned()));
        }
    }
    frames.into_iter().rev().find(|path| !is_core(path))
}

fn is_core(path: &str) -> bool {
    let path = path.replace('\\', "/");
    let package = ["/site-packages/", "/dist-packages/"].iter().filter_map(|dir| path.rsplit_once(dir)).map(|(_, rest)| rest).next();
    match package {
        Some(rest) => rest.split('/').next().is_some_and(|name| CORE.contains(&name)),
        // `/usr/lib/python3.11/threading.py`.
        None => path.contains("/lib/python"),
    }
}

/// Does a message report an exception, so that a traceback may follow under it?
pub(crate) fn opens(message: &[u8]) -> bool {
    request_of_exception(message).is_some() || asgi_exception(message)
}

/// May a line be a traceback's, by its looks? `continues` is asked only then.
pub(crate) fn may_belong(line: &[u8], follows_one: bool) -> bool {
    follows_one || line == TRACEBACK || line.starts_with(GROUP)
}

/// Does `line` go on with the traceback under a message that reports an exception? For carriers that give every line a
/// frame of its own.
pub(crate) fn continues(so_far: &[u8], line: &[u8]) -> bool {
    if !opens(so_far) {
        return false;
    }
    let mut lines = so_far.rsplit(|&b| b == b'\n');
    let last = lines.next().unwrap_or_default();
    let before = lines.next();
    let raised = |line: &[u8]| RAISED.as_ref().is_some_and(|r| r.is_match(line));
    let between = last == CAUSE || last == CONTEXT;
    match line {
        b"" => before.is_some() && (between || raised(last) || last.starts_with(b"  +-")),
        [b' ', b' ', ..] => last == TRACEBACK || last.starts_with(b"  ") || (before.is_none() && line.starts_with(GROUP)),
        _ if line == TRACEBACK => before.is_none() || (last.is_empty() && before.is_some_and(|b| b == CAUSE || b == CONTEXT)),
        _ if line == CAUSE || line == CONTEXT => last.is_empty(),
        _ => last.starts_with(b"  ") && raised(line),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LINES: &[&str] = &[
        "[2026-11-22 12:24:07 +0000] [811] [ERROR] Internal Server Error: /cart/7",
        "Traceback (most recent call last):",
        r#"  File "/srv/shop/venv/lib/python3.11/site-packages/django/core/handlers/exception.py", line 55, in inner"#,
        "    response = get_response(request)",
        "               ^^^^^^^^^^^^^^^^^^^^^",
        r#"  File "/srv/shop/venv/lib/python3.11/site-packages/tax_rates/middleware.py", line 9, in __call__"#,
        "    rate = self.rate(request)",
        r#"  File "/usr/lib/python3.11/decimal.py", line 14, in create"#,
        "    raise InvalidOperation",
        "decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>]",
    ];

    #[test]
    fn every_pattern_compiles() {
        assert!(FRAME.is_some() && RAISED.is_some());
    }

    #[test]
    fn the_deepest_frame_outside_the_core() {
        let file = python_fault_file(LINES.join("\n").as_bytes());
        assert_eq!(file.unwrap(), "/srv/shop/venv/lib/python3.11/site-packages/tax_rates/middleware.py");
        // A syslog daemon repeats its header before each line.
        let headed = LINES.join("\n2026-11-22T12:24:07+00:00 web1 gunicorn[811]: ");
        assert_eq!(python_fault_file(headed.as_bytes()).unwrap(), "/srv/shop/venv/lib/python3.11/site-packages/tax_rates/middleware.py");
    }

    #[test]
    fn own_code_under_a_middleware_is_blamed() {
        let mut lines = LINES.to_vec();
        lines.insert(7, r#"  File "/srv/shop/cart/views.py", line 31, in show"#);
        assert_eq!(python_fault_file(lines.join("\n").as_bytes()).unwrap(), "/srv/shop/cart/views.py");
    }

    #[test]
    fn a_framework_alone_is_not_blamed_nor_text_without_a_request() {
        let alone: Vec<&str> = LINES.iter().filter(|l| !l.contains("tax_rates")).copied().collect();
        assert_eq!(python_fault_file(alone.join("\n").as_bytes()), None);
        let nobody = LINES.join("\n").replacen("Internal Server Error: /cart/7", "reload failed", 1);
        assert_eq!(python_fault_file(nobody.as_bytes()), None);
    }

    #[test]
    fn uvicorn_names_no_request() {
        let mut lines = LINES.to_vec();
        lines[0] = "ERROR:    Exception in ASGI application";
        let file = "/srv/shop/venv/lib/python3.11/site-packages/tax_rates/middleware.py";
        assert_eq!(python_fault_file(lines.join("\n").as_bytes()).as_deref(), Some(file));
        for at in 1..lines.len() {
            assert!(continues(lines[..at].join("\n").as_bytes(), lines[at].as_bytes()), "{}", lines[at]);
            assert!(at == 1 || may_belong(lines[at].as_bytes(), true));
        }
        assert!(may_belong(TRACEBACK, false) && !may_belong(b"KeyError: 'x'", false));
        // Starlette under anyio: a group first, what it holds after it.
        let group = [
            lines[0],
            "  + Exception Group Traceback (most recent call last):",
            "  |   File \"/x.py\", line 1, in x",
            "  +------------------------------------",
            "",
        ];
        for at in 1..group.len() {
            assert!(continues(group[..at].join("\n").as_bytes(), group[at].as_bytes()), "{}", group[at]);
        }
        lines[0] = "ERROR:    Exception in ASGI application of somebody";
        assert_eq!(python_fault_file(lines.join("\n").as_bytes()), None);
    }

    #[test]
    fn of_two_exceptions_the_cause_or_the_last() {
        let second = "Traceback (most recent call last):\n  File \"/srv/shop/pay.py\", line 3, in pay\n    raise Broken\nBroken".to_owned();
        let text = |between: &[u8]| format!("{}\n\n{}\n\n{second}", LINES.join("\n"), String::from_utf8_lossy(between));
        assert!(python_fault_file(text(CAUSE).as_bytes()).unwrap().ends_with("tax_rates/middleware.py"));
        assert_eq!(python_fault_file(text(CONTEXT).as_bytes()).unwrap(), "/srv/shop/pay.py");
        // Line by line, all of it is one record, and what follows is not.
        let whole = text(CONTEXT);
        let mut so_far = String::new();
        for line in whole.lines() {
            assert!(so_far.is_empty() || continues(so_far.as_bytes(), line.as_bytes()), "{line}");
            so_far = if so_far.is_empty() { line.into() } else { format!("{so_far}\n{line}") };
        }
        for other in ["[2026-11-22 12:24:07 +0000] [811] [INFO] Worker exiting (pid: 811)", "ready", "  indented", TRACEBACK_TEXT] {
            assert!(!continues(so_far.as_bytes(), other.as_bytes()), "{other}");
        }
        assert!(!continues(b"ready", TRACEBACK));
    }

    const TRACEBACK_TEXT: &str = "Traceback (most recent call last):";
}
