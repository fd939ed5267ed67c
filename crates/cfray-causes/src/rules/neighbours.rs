//! The neighbours of 520: statuses 521 to 527 and 530, whose cause the status itself names. No 520 rule runs for them.

use crate::doc::{CauseDoc, Fix};
use cfray_model::Cause;

/// What a person may read about each neighbouring status, in the order of the statuses.
pub static DOCS: &[CauseDoc] = &[
    CauseDoc {
        cause: Cause::OriginRefused,
        says: "521: the origin refused the connection.",
        why: "Nothing listens on the port, or a firewall answers with a reset or a reject. Cloudflare never gets to send the request, \
            which is the difference to a 520: there the connection stood and the answer failed.",
        evidence: "EdgeResponseStatus 521. No 520 rule runs.",
        not_when: "A connection that was accepted and then closed without an answer: that is a 520. A firewall that swallows packets \
            gives 522.",
        fix: Fix {
            owner: "Ask your host whether the web server runs and listens on 443 (on 80 for SSL mode Flexible), and to allow \
                Cloudflare's 22 ranges.",
            admin: "`systemctl status nginx apache2` and `ss -ltn '( sport = :80 or sport = :443 )'`; then look for rejects of \
                Cloudflare's addresses: `fail2ban-client banned`. Allow all 22 ranges at https://www.cloudflare.com/ips and keep the \
                firewall on.",
            developer: "If it comes with each deployment, start the new process before the old one stops listening.",
            client: "Retrying helps when the server is just restarting: 1, 2, 4, 8, 16 s.",
        },
        check: "`curl -sS -o /dev/null --resolve HOST:443:ORIGIN_IP https://HOST/` from elsewhere: `Connection refused` means that \
            nothing listens; an answer means that Cloudflare's addresses are refused.",
        often_blamed: "A crash under load: a process that dies with requests in it gives 520s; the 521s are those that come while it \
            is down.",
        sources: &[
            "cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)",
            "https://www.cloudflare.com/ips-v4 and /ips-v6 (15 and 7 ranges in October 2026)",
        ],
    },
    CauseDoc {
        cause: Cause::ConnectTimeout,
        says: "522: the origin did not take the connection, or the request on it, in time.",
        why: "Cloudflare got no answer to its connection attempt within 19 s, or the origin did not acknowledge the request within 90 \
            s (Connection limits page, 2026-07-23).",
        evidence: "EdgeResponseStatus 522. No 520 rule runs.",
        not_when: "The connection stood and was closed without an answer: 520. It stood and nothing came: 524.",
        fix: Fix {
            owner: "Ask your host about overload in that minute, and whether the firewall silently drops Cloudflare's addresses. \
                Check that the DNS record's address is right.",
            admin: "Look for dropped packets of Cloudflare's ranges (`journalctl -k | grep -E 'UFW BLOCK|nf_conntrack: table full'`), \
                a full accept queue (`nstat -az TcpExtListenOverflows`), and rate limits on SYN. Allow all 22 ranges, and leave HTTP \
                keep-alive on.",
            developer: "Slow requests fill the queue: see pool-exhausted. A Worker must not fetch its own custom domain.",
            client: "Retry after 4, 8, 16 s; each try may itself take 19 s.",
        },
        check: "`curl -sS -o /dev/null --connect-timeout 20 -w '%{time_connect}\\n' --resolve HOST:443:ORIGIN_IP https://HOST/` from \
            elsewhere: a quick connection means that only Cloudflare's addresses are dropped, a slow one that the server is \
            overloaded.",
        often_blamed: "A connection time limit of 15 s: the page now says 19 s.",
        sources: &[
            "developers.cloudflare.com, page \"Connection limits\", updated 2026-07-23",
            "cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)",
            "cloudflare/cloudflare-docs connection-limits @a7f17ac and @0010e3d",
            "cloudflare/cloudflare-docs PR#32462 (2026-07-31)",
        ],
    },
    CauseDoc {
        cause: Cause::OriginUnreachable,
        says: "523: there is no route to the origin.",
        why: "The network between Cloudflare and the origin's address gives no way there, or none back: a wrong address, a provider's \
            outage, or a private route that swallows Cloudflare's ranges.",
        evidence: "EdgeResponseStatus 523. No 520 rule runs.",
        not_when: "The address is reached but refuses (521) or stays silent (522).",
        fix: Fix {
            owner: "Compare the DNS record with the address your host gave you, and ask the host about network trouble at that minute.",
            admin: "See that answers to Cloudflare find the way back: `ip route get 172.64.0.1`. A private route for 172.0.0.0/8 in a \
                cloud network swallows 172.64.0.0/13; private addresses end at 172.31.255.255, so use 172.16.0.0/12.",
            developer: "Nothing in the application.",
            client: "Retrying within seconds seldom helps; try again after some minutes.",
        },
        check: "`traceroute -T -p 443 ORIGIN_IP` from another network. If it stops before the provider, routing or the address is \
            wrong; if it arrives, the way back to Cloudflare is broken.",
        often_blamed: "",
        sources: &["cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)"],
    },
    CauseDoc {
        cause: Cause::ResponseTimeout,
        says: "524: the origin took the request and did not answer in time.",
        why: "The connection stood, the request was sent, and no answer came within Cloudflare's read limit, 125 s by default since \
            2026-07-22. A 520 is the contrary: the origin did end it, but without a valid answer.",
        evidence: "EdgeResponseStatus 524, usually with OriginResponseStatus 0. No 520 rule runs. The duration may differ from the \
            limit by 1 s.",
        not_when: "The origin closed before the limit: 520. Its own proxy gave up first: 504.",
        fix: Fix {
            owner: "Find the slow pages in the report. On Enterprise the limit can be raised, up to 6000 s; on other plans the page \
                must get faster or work in the background.",
            admin: "See what is slow: `request_slowlog_timeout = 10s` and `slowlog = /var/log/php-fpm.slow.log`, `$request_time` in \
                `log_format`. Let the origin give up first and say so: `fastcgi_read_timeout 100s;`. AH00161 (MaxRequestWorkers) at \
                that time means that requests waited in the queue.",
            developer: "Answer at once with 202 and a place to ask for the result, and do the work in a queue.",
            client: "Do not retry in a loop: the work may still be running. Ask later for the result, or for less.",
        },
        check: "`curl -sS -o /dev/null -w '%{time_starttransfer}\\n' --resolve HOST:443:ORIGIN_IP https://HOST/PATH`: more than 125 s \
            is a slow page; a quick answer means that the server was overloaded at that time.",
        often_blamed: "A limit of 100 s: it was 100 s until 2025-10-03, 120 s until 2026-07-22, and is 125 s since.",
        sources: &[
            "developers.cloudflare.com, page \"Connection limits\", updated 2026-07-23",
            "cloudflare/cloudflare-docs PR#25614 (120 s, 2025-10-03) and PR#32243 (125 s, 2026-07-22)",
            "cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)",
            "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
        ],
    },
    CauseDoc {
        cause: Cause::TlsHandshake,
        says: "525: the encrypted connection to the origin could not be set up.",
        why: "TCP stood, the TLS handshake failed: no certificate for the name, no common cipher or version, a listener that is not \
            TLS, or the connection closed during the handshake.",
        evidence: "EdgeResponseStatus 525 (SSL mode Full or Full strict). No 520 rule runs.",
        not_when: "The certificate was shown but is not valid for the name or expired: 526. The handshake was done and the answer \
            failed: 520, also a client certificate refused in TLS 1.3.",
        fix: Fix {
            owner: "Ask your host to install a certificate for the host name (a Cloudflare origin certificate will do), and do not \
                lower the SSL mode to Flexible for it.",
            admin: "`openssl s_client -connect ORIGIN_IP:443 -servername HOST </dev/null | head -20` shows what fails. Typical: no \
                `listen 443 ssl;` for the name, `proxy_protocol` on the port, `worker_connections are not enough`, or Apache's \
                SSLVerifyClient with TLS 1.2.",
            developer: "Nothing in the application.",
            client: "Retrying helps only if it is rare (1, 2, 4, 8, 16 s): then the server was overloaded. If each try fails, report \
                it.",
        },
        check: "`curl -sv -o /dev/null --resolve HOST:443:ORIGIN_IP https://HOST/`: a TLS error here too is the server's \
            configuration; a good handshake means load or a client certificate demand.",
        often_blamed: "The visitor's browser or its TLS version: this is the connection between Cloudflare and the origin.",
        sources: &[
            "cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)",
            "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
        ],
    },
    CauseDoc {
        cause: Cause::TlsCertificate,
        says: "526: the origin's certificate is not valid.",
        why: "In SSL mode Full (strict) Cloudflare checks the origin's certificate: date, name, and an authority it trusts. The check \
            failed, so no request was sent.",
        evidence: "EdgeResponseStatus 526. No 520 rule runs.",
        not_when: "The handshake itself broke off: 525.",
        fix: Fix {
            owner: "Ask your host to renew the certificate, or install a Cloudflare origin certificate. Going back to Full hides it \
                and gives up the check.",
            admin: "`openssl s_client -connect ORIGIN_IP:443 -servername HOST </dev/null 2>/dev/null | openssl x509 -noout -dates \
                -subject -issuer`. Renew it, send the whole chain (`ssl_certificate /etc/letsencrypt/live/HOST/fullchain.pem;`), and \
                reload after each renewal: `certbot renew --deploy-hook 'systemctl reload nginx'`.",
            developer: "A Worker that fetches a host outside Cloudflare always checks strictly: that host's certificate must be valid.",
            client: "Retrying does not help. Report it.",
        },
        check: "`openssl s_client -connect ORIGIN_IP:443 -servername HOST </dev/null 2>/dev/null | openssl x509 -noout -dates \
            -subject`: notAfter in the past is an expired certificate; another name in the subject means that the server has none for \
            this host.",
        often_blamed: "The visitor-side certificate, which Cloudflare itself renews.",
        sources: &["cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)"],
    },
    CauseDoc {
        cause: Cause::Railgun,
        says: "527: an error of Railgun, a Cloudflare product that no longer exists.",
        why: "Railgun sat between Cloudflare and the origin. It has been retired and its page is gone from the documentation; the \
            status is met in old archives.",
        evidence: "EdgeResponseStatus 527. No 520 rule runs.",
        not_when: "A fresh log shows it: Cloudflare no longer makes it, so software at the origin sends the number itself.",
        fix: Fix {
            owner: "In an old archive: nothing to do. In fresh logs ask who sends it.",
            admin: "Remove a Railgun listener that is still installed, and see whether the origin itself logs 527: `grep ' 527 ' \
                /var/log/nginx/access.log | tail`.",
            developer: "Do not send 527 from code.",
            client: "Retry as for other errors of a server: 1, 2, 4, 8, 16 s, then report it.",
        },
        check: "An access line with 527 at the origin: the application sends it. None: look at the date of the archive.",
        often_blamed: "",
        sources: &["cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)"],
    },
    CauseDoc {
        cause: Cause::OriginDns,
        says: "530: Cloudflare could not find the origin by name; the page carries a 1xxx code.",
        why: "The origin is given by a name (CNAME, load balancer, tunnel) that does not resolve or whose tunnel is not connected, so \
            no origin was contacted. The body says which: 1016 for the name, 1033 for a tunnel.",
        evidence: "EdgeResponseStatus 530. No 520 rule runs.",
        not_when: "The name resolves to a wrong address: then it is 521, 522, 523, or wrong-origin.",
        fix: Fix {
            owner: "Look at the DNS record's target in the dashboard: is it spelled right, and does it still exist? For a tunnel, see \
                that it is shown as connected.",
            admin: "`dig +short TARGET A TARGET AAAA` must give an address. Tunnel: `systemctl status cloudflared` and `journalctl -u \
                cloudflared --since '-1h'`.",
            developer: "Worker or API code that builds host names: check the name it asks for.",
            client: "Retrying helps only after a while; try in minutes. Report the 1xxx code of the page.",
        },
        check: "`dig +short TARGET` for the record's target: nothing is the name, an address is the tunnel or an expired DNS answer.",
        often_blamed: "The web server: it was never asked.",
        sources: &["cloudflare-docs support/troubleshooting/http-status-codes/cloudflare-5xx-errors/ (read October 2026)"],
    },
];
