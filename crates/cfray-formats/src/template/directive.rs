//! Takes a directive apart, if the user pasted one.

use super::TemplateError;

/// Whose format string it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `log_format`.
    Nginx,
    /// `LogFormat`, `CustomLog`.
    Apache,
    /// `ErrorLogFormat`.
    ApacheError,
    /// `access.format`.
    Fpm,
}

/// The format string inside, with the directive's quotes and backslashes undone, and whose it is
/// if the directive tells. A string that is no directive is given back as it stands, except that a
/// name that every server knows (`combined`) is replaced by what it stands for.
pub fn unwrap(template: &str) -> Result<(Option<Origin>, String), TemplateError> {
    let text = template.trim();
    let (word, rest) = text.split_once(|c: char| c.is_ascii_whitespace() || c == '=').unwrap_or((text, ""));
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '=');
    match word.to_ascii_lowercase().as_str() {
        "log_format" => Ok((Some(Origin::Nginx), nginx(rest)?)),
        "logformat" => Ok((Some(Origin::Apache), first_quoted(rest, false)?)),
        "customlog" | "transferlog" => Ok((Some(Origin::Apache), first_quoted(skip_word(rest), false)?)),
        "errorlogformat" => Ok((Some(Origin::ApacheError), first_quoted(rest, true)?)),
        "access.format" => {
            Ok((Some(Origin::Fpm), if rest.starts_with(['"', '\'']) { first_quoted(rest, false)? } else { rest.to_owned() }))
        }
        _ => Ok(known(text).unwrap_or_else(|| (None, plain(text)))),
    }
}

fn known(name: &str) -> Option<(Option<Origin>, String)> {
    let apache = |s: &str| Some((Some(Origin::Apache), s.to_owned()));
    match name {
        "common" => apache("%h %l %u %t \"%r\" %>s %b"),
        "combined" => Some((
            Some(Origin::Nginx),
            "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\""
                .to_owned(),
        )),
        "combinedio" => apache("%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %I %O"),
        "vhost_combined" => apache("%v:%p %h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""),
        _ => None,
    }
}

/// A format string that was pasted with its quotes, or with `\"` inside, loses both.
fn plain(text: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote))
            && !text.starts_with("\"%")
            && !text.starts_with("\"$")
        {
            return unescape(inner, quote, false);
        }
    }
    if text.contains("\\\"") { unescape(text, '"', false) } else { text.to_owned() }
}

/// `name [escape=x] 'part' "part" ... ;`: nginx joins the parts without anything between.
fn nginx(rest: &str) -> Result<String, TemplateError> {
    let mut rest = skip_word(rest);
    if rest.starts_with("escape=") {
        rest = skip_word(rest);
    }
    let mut out = String::new();
    loop {
        rest = rest.trim_start();
        match rest.chars().next() {
            None | Some(';') => return Ok(out),
            Some(quote @ ('"' | '\'')) => {
                let (inner, after) = quoted(rest, quote)?;
                out.push_str(&unescape(inner, quote, false));
                rest = after;
            }
            Some(_) => {
                let end = rest.find(|c: char| c.is_ascii_whitespace() || c == ';').unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                out.push_str(word);
                rest = after;
            }
        }
    }
}

fn skip_word(text: &str) -> &str {
    let text = text.trim_start();
    text.find(char::is_whitespace).and_then(|at| text.get(at..)).unwrap_or("").trim_start()
}

fn first_quoted(text: &str, keep_space_escape: bool) -> Result<String, TemplateError> {
    let at = text.find(['"', '\'']).ok_or_else(|| TemplateError::new("the directive holds no quoted format string"))?;
    let text = text.get(at..).unwrap_or("");
    let quote = text.chars().next().unwrap_or('"');
    let (inner, _) = quoted(text, quote)?;
    Ok(unescape(inner, quote, keep_space_escape))
}

/// The inside of the quotes that open the text, and what follows them.
fn quoted(text: &str, quote: char) -> Result<(&str, &str), TemplateError> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Ok((text.get(1..at).unwrap_or(""), text.get(at + 1..).unwrap_or(""))),
            _ => {}
        }
    }
    Err(TemplateError::new("a quote of the directive is not closed"))
}

/// Undoes the configuration file's backslashes: before the quote, a backslash, and `\t`, `\n`.
/// An `ErrorLogFormat` gives `\ ` a meaning of its own, so there it stays.
fn unescape(text: &str, quote: char, keep_space: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.peek().copied() {
            Some(n) if n == quote || n == '"' => out.push(n),
            Some('\\') if !keep_space => out.push('\\'),
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            _ => {
                out.push('\\');
                continue;
            }
        }
        chars.next();
    }
    out
}
