//! Which names speak of secrets.

use std::cell::RefCell;
use std::collections::HashMap;

/// Parts of a name that give a secret away wherever they stand.
const SPEAKING: &[&str] = &[
    "token",
    "secret",
    "pass",
    "auth",
    "session",
    "sess",
    "jwt",
    "key",
    "sid",
    "sig",
    "pwd",
    "credential",
    "csrf",
    "xsrf",
    "nonce",
    "cookie",
    "logged_in",
];

/// Words that hold one of the parts by accident.
const INNOCENT: &[&str] = &[
    "assign",
    "authenticated",
    "authstatus",
    "auth_status",
    "author",
    "boarding_pass",
    "bypass",
    "compass",
    "consider",
    "cookie_path",
    "design",
    "encompass",
    "hockey",
    "inside",
    "insight",
    "jockey",
    "keyboard",
    "keynote",
    "keyword",
    "monkey",
    "outside",
    "passage",
    "passed",
    "passenger",
    "passive",
    "possess",
    "president",
    "reside",
    "side",
    "signal",
    "signin",
    "signup",
    "sign-in",
    "sign-up",
    "sign_in",
    "sign_up",
    "turkey",
    "assess",
    "obsess",
    "upside",
];

/// How much of what follows a name is secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaks {
    /// Nothing.
    No,
    /// One value.
    Value,
    /// The rest of the header: it has blanks in it.
    Header,
}

/// Names that a thread remembers, and the longest of them in bytes: logs repeat a few hundred.
const REMEMBERED: (usize, usize) = (1024, 40);

thread_local! {
    static KNOWN: RefCell<HashMap<String, Speaks>> = RefCell::default();
}

/// What does the name say? It may be percent-encoded and have brackets: `user%5Bpassword%5D`.
pub fn speaks(name: &str) -> Speaks {
    let (most, longest) = REMEMBERED;
    if name.len() > longest {
        return work_out(name);
    }
    KNOWN.with_borrow_mut(|known| {
        if let Some(speaks) = known.get(name) {
            return *speaks;
        }
        let speaks = work_out(name);
        if known.len() < most {
            known.insert(name.to_owned(), speaks);
        }
        speaks
    })
}

fn work_out(name: &str) -> Speaks {
    if name == "PWD" {
        // The shell's working directory, as sudo logs it.
        return Speaks::No;
    }
    let name = decode(&decode(name)).to_ascii_lowercase();
    // In a nested URL the name follows the last delimiter.
    let name = name.rsplit(['?', '&', ';', '/', ' ', '"', ',']).next().unwrap_or_default();
    let plain = name.replace('-', "_");
    let last = plain.rsplit(['.', '$']).next().unwrap_or_default();
    if last.ends_with("cookie") || last.ends_with("cookies") || last.ends_with("cookie2") || last.ends_with("authorization") {
        return Speaks::Header;
    }
    if matches!(
        last,
        "request_body" | "req_body" | "requestbody" | "http_body" | "body" | "post_data" | "postdata" | "post_body" | "payload"
    ) {
        return Speaks::Value;
    }
    // OAuth's author-ization is no author.
    let mut rest = plain.replace("authorized", "_").replace("authoriz", "auth_");
    for word in INNOCENT {
        if rest.contains(word) {
            rest = rest.replace(word, "_");
        }
    }
    let otp = rest.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part.starts_with("otp") || part.ends_with("otp"));
    if otp || SPEAKING.iter().any(|word| rest.contains(word)) { Speaks::Value } else { Speaks::No }
}

/// Percent-decoding as far as ASCII goes; the rest stays.
fn decode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('%') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let code = tail.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii);
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = tail.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_speak() {
        for name in [
            "token",
            "access_token",
            "apiKey",
            "X-API-Key",
            "client_secret",
            "password",
            "PASSWD",
            "user[pass]",
            "user%5Bpassword%5D",
            "%74oken",
            "auth",
            "oauth_verifier",
            "PHPSESSID",
            "sid",
            "connect.sid",
            "JSESSIONID",
            "X-Amz-Signature",
            "sig",
            "id_jwt",
            "otp",
            "totp_code",
            "x-csrf-token",
            "next=/a?token",
        ] {
            assert_eq!(speaks(name), Speaks::Value, "{name}");
        }
        for name in ["Cookie", "Set-Cookie", "http_cookie", "Authorization", "Proxy-Authorization", "$http_authorization"] {
            assert_eq!(speaks(name), Speaks::Header, "{name}");
        }
        for name in [
            "id",
            "page",
            "keyword",
            "author",
            "side",
            "inside",
            "signal",
            "design",
            "bypass",
            "u",
            "footprint",
            "keepalive",
            "pid",
            "PWD",
            "authorized",
            "ClientMTLSAuthStatus",
            "upstream",
        ] {
            assert_eq!(speaks(name), Speaks::No, "{name}");
        }
    }
}
