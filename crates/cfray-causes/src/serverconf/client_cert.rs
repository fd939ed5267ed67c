//! Client certificates (Authenticated Origin Pulls).

use super::{Ctx, Fact, Found, Words};
use cfray_model::Cause;
use cfray_model::serverconf::Weight;

const CAUSES: &[Cause] = &[Cause::OriginPullRejected];

/// nginx: a refusal is a valid 400, unless 495 and 496 are mapped to 444 (told by `nginx-444`).
pub fn nginx(c: &Ctx<'_>) -> Vec<Found> {
    let mut out = Vec::new();
    let mut seen = Vec::new();
    for s in &c.nginx.servers {
        let Some(d) = s.last("ssl_verify_client").filter(|d| d.arg() == "on") else { continue };
        if seen.contains(&(d.file, d.line)) {
            continue;
        }
        seen.push((d.file, d.line));
        let authority = s.last("ssl_client_certificate").or_else(|| s.last("ssl_trusted_certificate"));
        let words = Words {
            what: match authority {
                Some(_) => "a client certificate is demanded".to_owned(),
                None => "a client certificate is demanded, and no authority is set to check it with".to_owned(),
            },
            value: if authority.is_some() { "on" } else { "on, ssl_client_certificate is not set" }.to_owned(),
            place: s.title(),
            why: "Without Authenticated Origin Pulls in the dashboard, or with another authority, every request is refused. nginx answers a \
                  valid 400; a 520 comes about only where 495 and 496 are mapped to 444.",
            fix: "ssl_client_certificate /etc/ssl/cloudflare-origin-pull-ca.pem; ssl_verify_client on; and no error_page for 495 and 496 that \
                  ends in 444. Turn the dashboard's switch on before the server's."
                .to_owned(),
        };
        let weight = if authority.is_some() { Weight::Note } else { Weight::Risk };
        out.push(c.found("nginx-client-cert", weight, Some(d), words, CAUSES).of_hosts(s.names.clone()));
    }
    out
}

/// Apache: with TLS 1.3 a refusal arrives where the answer should be.
pub fn apache(c: &Ctx<'_>) -> Vec<Found> {
    let v = &c.apache;
    v.each("SSLVerifyClient")
        .filter(|s| s.d.arg().eq_ignore_ascii_case("require"))
        .map(|s| {
            let nested = s.around.iter().any(|d| !d.is("VirtualHost"));
            let authority = v.all.iter().any(|s| s.d.is("SSLCACertificateFile") || s.d.is("SSLCACertificatePath"));
            let words = Words {
                what: match (nested, authority) {
                    (true, _) => "a client certificate is demanded for part of a site, after the request has been read".to_owned(),
                    (false, true) => "a client certificate is demanded".to_owned(),
                    (false, false) => "a client certificate is demanded, and no authority is set to check it with".to_owned(),
                },
                value: format!("require{}", s.condition()),
                place: s.place(),
                why: "With TLS 1.3 Apache refuses a missing or foreign certificate when Cloudflare already holds the handshake for done and has \
                      sent the request: the refusal arrives in place of an answer, a 520. For a directory it needs a second exchange that \
                      HTTP/2 forbids.",
                fix: "In the virtual host and not in a directory: SSLCACertificateFile /etc/ssl/cloudflare-origin-pull-ca.pem, SSLVerifyClient \
                      require, SSLVerifyDepth 1, after Authenticated Origin Pulls is on in the dashboard; until then SSLVerifyClient none"
                    .to_owned(),
            };
            let weight = if nested || !authority { Weight::Closes } else { Weight::Risk };
            let hosts = s.around.first().and_then(|host| v.hosts.iter().find(|h| std::ptr::eq(**h, *host))).map(|h| v.names(h));
            c.found("apache-client-cert", weight, Some(s.d), words, CAUSES).shows(Fact::ClientCert).of_hosts(hosts.unwrap_or_default())
        })
        .collect()
}
