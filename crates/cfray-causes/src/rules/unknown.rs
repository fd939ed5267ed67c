//! The logs cannot tell.

use crate::doc::{CauseDoc, Fix};
use cfray_model::Cause;

/// What a person may read about `unknown`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::Unknown,
    says: "The logs at hand do not show why this request failed.",
    why: "Cloudflare's log says only that no valid answer came; it never says why. The reason stands in the origin's logs, or \
        nowhere, and in the given files no line belongs to this request, and no absence could be proved.",
    evidence: "Given when no cause reaches confidence 0.5. The best guess is then in runner_up, and the column `missing` names the \
        log, field or level that would have decided.",
    not_when: "A cause has evidence of its own, even weak evidence at 0.5 or more.",
    fix: Fix {
        owner: "Ask your host for the origin's access and error logs of that minute, in the server's time zone, and run cfray again \
            with both. Give them the ray IDs.",
        admin: "Log what decides, nginx: `log_format cfray '$remote_addr - $remote_user [$time_local] \"$request\" $status \
            $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $bytes_sent $request_time $connection $http_cf_ray'; access_log \
            /var/log/nginx/cfray.log cfray;` and `error_log /var/log/nginx/error.log notice;`. Apache: `LogFormat \"%a %l %u %t \
            \\\"%r\\\" %>s %B \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\" %O %D %{CF-RAY}i\" cfray` and `CustomLog \
            ${APACHE_LOG_DIR}/cfray.log cfray`. Keep the kernel log too: `journalctl -k -o short-iso > kernel.log`.",
        developer: "Log the CF-Ray header with each request and each error in the application, so that the next 520 finds its line.",
        client: "Try after 1, 2, 4, 8, 16 s, then stop. If only you are hit, on every try and from every network of yours, it may be \
            a block in disguise: ask the site with the ray ID.",
    },
    check: "One request past Cloudflare: `curl -sS -o /dev/null -w '%{http_code} %{size_header} %{time_starttransfer}\\n' --http1.1 \
        --resolve HOST:443:ORIGIN_IP https://HOST/PATH` (`-k` with a Cloudflare origin certificate). `(52) Empty reply from server`: \
        the origin closes, look for rules and crashes. A valid answer: the keep-alive race, HTTP/2 to Origin or a block of edge \
        addresses remain; turn HTTP/2 to Origin off for ten minutes next.",
    often_blamed: "Limits in circulation that no longer hold: headers 8, 16 or 32 KB (128 KB since 2025-10-16), idle connections 300 \
        s (official page: 900 s, last 2026-07-23), reading 100 s (120 s from 2025-10-03, 125 s since 2026-07-22, and its status is \
        524). `upstream prematurely closed connection` in nginx's log: a valid 502.",
    sources: &[
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "developers.cloudflare.com, page \"Connection limits\", updated 2026-07-23",
        "cloudflare/cloudflare-docs PR#25872 and PR#25873 (128 KB since 2025-10-16)",
        "cloudflare/cloudflare-docs PR#25614 (120 s, 2025-10-03) and PR#32243 (125 s, 2026-07-22)",
        "cloudflare-docs logs/logpush/logpush-job/datasets/zone/http_requests.md @3eaa479",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};
