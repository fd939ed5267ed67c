//! Cloudflare's side: the origin was not contacted, or it was plainly healthy.

use crate::doc::{CauseDoc, Fix};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind, Tie};

/// What a person may read about `edge-incident`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::EdgeIncident,
    says: "The fault was on Cloudflare's side: the origin was not asked, or it was plainly healthy at that moment.",
    why: "The 520 was made without a failure of the origin: no connection to it was made at all, or one of Cloudflare's data centres \
        had trouble of its own or on the way, while others reached the same servers without any.",
    evidence: "EdgeServerIP and OriginIP are in the export and empty, and no Worker parent or cache hit explains that; or several of \
        your servers fail through one colo in the same minutes while they answer other colos.",
    not_when: "The job does not deliver those fields. The row is a Worker's parent: the contact is in the subrequest's row. One colo \
        fails against one origin: a block there looks exactly like that, see edge-ip-blocked.",
    fix: Fix {
        owner: "Look at https://www.cloudflarestatus.com/history for that minute and colo. If nothing is listed, open a ticket with \
            ray IDs, times in UTC, the colo and the output of https://HOST/cdn-cgi/trace. Nothing on the server needs changing.",
        admin: "Leave the configuration alone. Keep the report and the access log of those minutes as proof that the origin was \
            healthy. If it happens again with the same colo, check first that all 22 ranges are allowed.",
        developer: "Nothing to repair. Let clients retry what is safe to repeat.",
        client: "Retrying helps, often within seconds: 1, 2, 4, 8, 16 s. Another network may lead to another data centre.",
    },
    check: "The status page at that minute, https://www.cloudflarestatus.com/history, against your own `curl -sS -o /dev/null -w \
        '%{http_code}\\n' --resolve HOST:443:ORIGIN_IP https://HOST/PATH` while it lasts: listed and the origin answers is this \
        cause; not listed and one colo only is edge-ip-blocked.",
    often_blamed: "OriginResponseStatus 0: it stands for no contact and for failed contact alike, so it proves nothing alone. Rows of \
        internal sources (early hints, cache API of Workers) raise the counts in Logpush but not in the dashboard. Dashboard figures \
        rest on a 1 % sample.",
    sources: &[
        "cloudflare-docs logs/logpush/logpush-job/datasets/zone/http_requests.md @3eaa479",
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "cloudflare-docs logs/reference/pathing-status.mdx @12de122",
        "cloudflare-docs logs/faq/504-origin-status-0.mdx @581f57a",
        "cloudflare-docs logs/faq/worker-subrequests.mdx @1cfe76b",
        "cloudflare-docs cloudflare-5xx-errors/index.mdx @0c50ffa",
    ],
};

/// The origin was not asked, or several origins fail through one data centre only.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    if c.row.contacted() == Some(false) {
        let cached = c.row.cache.as_deref().is_some_and(|s| matches!(s, "hit" | "stale" | "revalidated" | "updating"));
        let parent = c.row.parent_ray.is_none() && c.p.is_worker_parent(c.row);
        let lines = c.access.is_some() || !c.lines.is_empty();
        if cached || parent || lines {
            return None;
        }
        let f = Finding::new(DOC.cause, 0.9, Tie::None);
        let text = format!(
            "EdgeServerIP and OriginIP are empty: no request went to the origin (CacheCacheStatus {})",
            c.row.cache.as_deref().unwrap_or("not logged")
        );
        return Some(f.with(sentence(EvidenceKind::Field, text)));
    }
    if !c.no_line() {
        return None;
    }
    let colo = c.row.colo.as_deref()?;
    let trouble = c.p.colos.trouble(colo, c.row.start?.millis())?;
    let text = format!(
        "{} origin addresses fail through {colo} ({} times) and answer other data centres ({} times)",
        trouble.origins, trouble.failures, trouble.others
    );
    Some(
        Finding::new(DOC.cause, 0.88 * if c.silent() { 1.0 } else { 0.93 }, Tie::None)
            .with(sentence(EvidenceKind::Contrast, text))
            .with(c.timing()),
    )
}
