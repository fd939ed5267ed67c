//! Which file is at fault in a fatal error of PHP?

use super::php;
use regex::bytes::{Regex, RegexBuilder};
use std::borrow::Cow;
use std::sync::LazyLock;

/// `in FILE:12` at the end of an exception's first part.
static THROWN_AT: LazyLock<Option<Regex>> = LazyLock::new(|| build(r"(?s-u)^.*\bin ((?:/|[A-Za-z]:[\\/]|phar:).*?):(\d+)\s*$"));
/// `in FILE on line 12`, the last one.
static ON_LINE: LazyLock<Option<Regex>> = LazyLock::new(|| build(r"(?s-u)^.*?\bin ((?:/|[A-Za-z]:[\\/]|phar:)[^\n]*?) on line (\d+)"));
/// `#3 FILE(12): call`.
static FRAME: LazyLock<Option<Regex>> = LazyLock::new(|| build(r"(?-u)^#\d+ ((?:/|[A-Za-z]:[\\/]|phar:).*?)\((\d+)\)"));

fn build(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).unicode(false).build().ok()
}

/// Directories of frameworks' own code: a frame there only passes on what others called.
const CORE: &[&str] = &[
    "/wp-includes/",
    "/wp-admin/",
    "/vendor/laravel/framework/",
    "/vendor/illuminate/",
    "/vendor/symfony/",
    "/vendor/composer/",
    "/vendor/drupal/core/",
    "/core/lib/",
    "/core/includes/",
    "/core/modules/",
    "/core/themes/",
];

/// Directories whose code an owner adds and can take out again.
const ADDED: &[&str] =
    &["/wp-content/plugins/", "/mu-plugins/", "/wp-content/themes/", "/plugins/", "/themes/", "/modules/", "/middleware/"];

/// The file to blame for a fatal error of PHP, from any carrier of the message (nginx's FastCGI
/// stderr, AH01071, mod_php, FPM child output, PHP's error log). `None` when it is no fatal error
/// or names no file.
///
/// For an uncaught exception that is the deepest file outside the framework's core, if it lies in
/// a plugin, theme, module or middleware; else the file that threw. For other fatal errors
/// (memory, time, parse) it is the file that PHP names.
pub fn php_fault_file(message: &[u8]) -> Option<String> {
    if let Some((thrown, trace)) = super::app::monolog_file(message) {
        return Some(blamed(String::from_utf8_lossy(thrown).into_owned(), trace));
    }
    let text = unfold(carried(message));
    let (piece, _) = php::pieces(&text).into_iter().find(|(piece, _)| php::opens_fatal(piece.trim_ascii_start()))?;
    let piece = piece.trim_ascii_start();
    let (head, trace) = match memchr::memmem::find(piece, b"Stack trace:") {
        Some(at) => (piece.get(..at).unwrap_or_default(), piece.get(at..).unwrap_or_default()),
        None => (piece, &b""[..]),
    };
    let thrown = file(&THROWN_AT, head.trim_ascii_end()).or_else(|| file(&ON_LINE, piece))?;
    if memchr::memmem::find(head, b"Uncaught ").is_none() {
        return Some(thrown);
    }
    // Only the first exception's frames: what is printed as `Next ...` wrapped it later.
    let trace = memchr::memmem::find(trace, b"\nNext ").map_or(trace, |at| trace.get(..at).unwrap_or_default());
    Some(blamed(thrown, trace))
}

/// The deepest file of a trace outside the framework's core, if it lies in added code; else the one that threw.
fn blamed(thrown: String, trace: &[u8]) -> String {
    let frames = trace.split(|&b| b == b'\n').filter_map(|line| file(&FRAME, line.trim_ascii_start()));
    let deepest = std::iter::once(thrown.clone()).chain(frames).find(|path| !is_core(path));
    deepest.filter(|path| is_added(path)).unwrap_or(thrown)
}

/// The text that the carrier wraps.
fn carried(message: &[u8]) -> &[u8] {
    if let Some(stderr) = message.strip_prefix(b"FastCGI sent in stderr: \"") {
        let end = memchr::memmem::rfind(stderr, b"\" while reading ").unwrap_or(stderr.len());
        return stderr.get(..end).unwrap_or(stderr);
    }
    match memchr::memmem::find(message, b"Got error '") {
        Some(at) => {
            let inner = message.get(at + 11..).unwrap_or_default();
            let inner = match memchr::memmem::rfind(inner, b"', referer: ") {
                Some(end) => inner.get(..end).unwrap_or(inner),
                None => inner,
            };
            inner.strip_suffix(b"'").unwrap_or(inner)
        }
        None => {
            let mut text = message;
            for mark in [&b"AH01215: "[..], b"[LSAPI:STDERR]: ", b"[LSAPI:STDERR] ", b"[STDERR] "] {
                if let Some(at) = memchr::memmem::find(text, mark).filter(|&at| at < 96) {
                    text = text.get(at + mark.len()..).unwrap_or_default();
                }
            }
            text
        }
    }
}

/// Line breaks as the carriers spell them (Apache `\n`, rsyslog `#012`) become line breaks.
fn unfold(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        // In a path of Windows `\n` is the start of a name; such paths open with a drive.
        let skip = if rest.starts_with(b"#012") {
            4
        } else if rest.starts_with(b"\\n")
            && (rest.starts_with(b"\\n#")
                || rest.starts_with(b"\\nStack")
                || rest.starts_with(b"\\n  thrown")
                || rest.starts_with(b"\\nNext")
                || rest.starts_with(b"\\nPHP message: "))
        {
            2
        } else {
            0
        };
        if skip > 0 {
            out.get_or_insert_with(|| text.get(..at).unwrap_or_default().to_vec()).push(b'\n');
            at += skip;
        } else {
            if let Some(out) = &mut out {
                out.push(byte);
            }
            at += 1;
        }
    }
    out.map_or(Cow::Borrowed(text), Cow::Owned)
}

fn file(regex: &LazyLock<Option<Regex>>, text: &[u8]) -> Option<String> {
    let found = regex.as_ref()?.captures(text)?;
    let path = found.get(1)?.as_bytes();
    // `FILE(12) : eval()'d code` names the file that called eval.
    let path = memchr::memmem::find(path, b") : eval()").map_or(path, |at| {
        let whole = path.get(..at).unwrap_or(path);
        memchr::memrchr(b'(', whole).and_then(|open| whole.get(..open)).unwrap_or(whole)
    });
    Some(String::from_utf8_lossy(path).into_owned())
}

fn is_added(path: &str) -> bool {
    let path = path.replace('\\', "/").to_ascii_lowercase();
    ADDED.iter().any(|dir| path.contains(dir))
}

fn is_core(path: &str) -> bool {
    let path = path.replace('\\', "/").to_ascii_lowercase();
    // A plugin may bring its own copy of a framework.
    let within_plugin = ADDED.iter().take(3).any(|dir| path.contains(dir));
    !within_plugin && CORE.iter().any(|dir| path.contains(dir))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FROM_NGINX: &str = "FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught TypeError: count(): Argument #1 must be of type Countable in /srv/www/wp-includes/plugin.php:205\nStack trace:\n#0 /srv/www/wp-includes/class-wp-hook.php(324): count(NULL)\n#1 /srv/www/wp-content/plugins/slow-seo/inc/meta.php(88): do_action('x')\n#2 /srv/www/wp-content/themes/shop/functions.php(3): seo()\n#3 {main}\n  thrown in /srv/www/wp-includes/plugin.php on line 205\" while reading response header from upstream, client: 192.0.2.1, server: x, request: \"GET / HTTP/1.1\"";

    #[test]
    fn every_pattern_compiles() {
        assert!(THROWN_AT.is_some() && ON_LINE.is_some() && FRAME.is_some());
    }

    #[test]
    fn the_deepest_plugin_frame_under_core_frames() {
        assert_eq!(php_fault_file(FROM_NGINX.as_bytes()).unwrap(), "/srv/www/wp-content/plugins/slow-seo/inc/meta.php");
    }

    #[test]
    fn the_same_as_apache_and_rsyslog_write_it() {
        let body = FROM_NGINX.strip_prefix("FastCGI sent in stderr: \"").unwrap().split("\" while").next().unwrap();
        let apache = format!("AH01071: Got error '{}'", body.replace('\n', "\\n"));
        let syslog = format!("FastCGI sent in stderr: \"{}\" while reading upstream", body.replace('\n', "#012"));
        for text in [apache, syslog] {
            assert_eq!(php_fault_file(text.as_bytes()).unwrap(), "/srv/www/wp-content/plugins/slow-seo/inc/meta.php", "{text}");
        }
    }

    #[test]
    fn own_code_that_threw_is_blamed_although_a_plugin_called_it() {
        let text = "PHP Fatal error:  Uncaught Error: boom in /srv/www/app/Services/Cart.php:12\nStack trace:\n#0 /srv/www/app/Http/Middleware/Trace.php(17): x()\n#1 {main}\n  thrown in /srv/www/app/Services/Cart.php on line 12";
        assert_eq!(php_fault_file(text.as_bytes()).unwrap(), "/srv/www/app/Services/Cart.php");
    }

    #[test]
    fn laravel_and_drupal_core_frames_are_passed_over() {
        let text = "PHP Fatal error:  Uncaught Error: boom in /a/vendor/laravel/framework/src/Illuminate/Log/LogManager.php:181\nStack trace:\n#0 [internal function]: x()\n#1 /a/vendor/laravel/framework/src/x.php(140): y()\n#2 /a/app/Http/Middleware/TraceId.php(17): z()\n#3 {main}";
        assert_eq!(php_fault_file(text.as_bytes()).unwrap(), "/a/app/Http/Middleware/TraceId.php");
        let text = "PHP Fatal error:  Uncaught Error: boom in /d/core/lib/Drupal.php:1\nStack trace:\n#0 /d/core/modules/node/node.module(9): y()\n#1 /d/modules/contrib/pathauto/p.module(17): z()\n#2 {main}";
        assert_eq!(php_fault_file(text.as_bytes()).unwrap(), "/d/modules/contrib/pathauto/p.module");
    }

    #[test]
    fn without_a_plugin_the_throwing_file_even_in_core() {
        let text = "PHP Fatal error:  Uncaught Error: boom in /w/wp-includes/plugin.php:9\nStack trace:\n#0 /w/wp-settings.php(526): y()\n#1 {main}";
        assert_eq!(php_fault_file(text.as_bytes()).unwrap(), "/w/wp-includes/plugin.php");
    }

    #[test]
    fn memory_limit_names_its_line() {
        let text = "NOTICE: PHP message: PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /w/wp-content/plugins/shop/big.php on line 44";
        assert_eq!(php_fault_file(text.as_bytes()).unwrap(), "/w/wp-content/plugins/shop/big.php");
    }

    #[test]
    fn evaluated_code_and_wrapped_exceptions() {
        let text = "PHP Fatal error:  Uncaught Error: boom in /w/x.php(12) : eval()'d code:3\nStack trace:\n#0 {main}\n\nNext Exception: outer in /w/modules/y.php:9\nStack trace:\n#0 /w/modules/y.php(9): q()\n#1 {main}";
        assert_eq!(php_fault_file(text.as_bytes()).unwrap(), "/w/x.php");
    }

    #[test]
    fn a_warning_blames_nobody() {
        assert_eq!(php_fault_file(b"PHP Warning:  Undefined variable $x in /w/modules/y.php on line 3"), None);
        assert_eq!(php_fault_file(b"PHP message: PHP Warning:  PHP Fatal error:  Uncaught x in /w/modules/y.php:3"), None);
        assert_eq!(php_fault_file(b""), None);
    }
}
