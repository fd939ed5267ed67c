//! The other Logpush datasets, so that they can be named instead of misread: some share half of their
//! names with `http_requests`.

use super::csv::cell;
use super::full::members;
use super::lex::blanks;
use std::collections::BTreeSet;

/// Dataset, and keys (lower case) that together only it has.
const DATASETS: &[(&str, &[&str])] = &[
    ("access_requests", &["appdomain", "appuuid"]),
    ("audit_logs", &["actortype", "actiontype"]),
    ("audit_logs_v2", &["auditlogid", "actorid"]),
    ("casb_findings", &["findingtypedisplayname"]),
    ("device_posture_results", &["posturecheckname"]),
    ("dlp_forensic_copies", &["forensiccopyid"]),
    ("dns_firewall_logs", &["clusterid", "queryname"]),
    ("dns_logs", &["queryname", "querytype", "responsecode"]),
    ("email_security_alerts", &["finaldisposition"]),
    ("firewall_events", &["action", "matchindex"]),
    ("firewall_events", &["action", "kind", "rayid"]),
    ("firewall_events", &["action", "ruleid", "rayid"]),
    ("firewall_events", &["action", "source", "rayid"]),
    ("gateway_dns", &["resolverdecision"]),
    ("gateway_http", &["httphost", "httpstatuscode"]),
    ("gateway_network", &["overrideip", "overrideport"]),
    ("magic_ids_detections", &["signatureid", "signaturerevision"]),
    ("nel_reports", &["lastknowngoodcolocode"]),
    ("network_analytics_logs", &["ipdestinationaddress", "outcome"]),
    ("page_shield_events", &["urlhost", "pageurl"]),
    ("sinkhole_http_logs", &["sinkholeid"]),
    ("spectrum_events", &["application", "clientbytes", "originbytes"]),
    ("spectrum_events", &["connecttimestamp", "disconnecttimestamp"]),
    ("websocket_analytics", &["connectionclosereason", "connectionclosesource"]),
    ("workers_trace_events", &["scriptname", "eventtimestampms"]),
    ("zaraz_events", &["eventtype", "eventdetails"]),
    ("zero_trust_network_sessions", &["sessionstarttime", "sessionendtime"]),
];

/// Names the Logpush dataset of a sample of JSON rows or of CSV with a header, unless it is `http_requests` or none.
pub fn other_dataset(sample: &[u8]) -> Option<&'static str> {
    let names = first_names(sample)?;
    DATASETS.iter().find(|(_, keys)| keys.iter().all(|k| names.contains(k.as_bytes()))).map(|(name, _)| *name)
}

/// The names of the first record, lower case.
fn first_names(sample: &[u8]) -> Option<BTreeSet<Vec<u8>>> {
    let sample = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
    let mut at = blanks(sample, 0);
    if sample.get(at) == Some(&b'[') {
        at = blanks(sample, at + 1);
    }
    let mut names = BTreeSet::new();
    if sample.get(at) == Some(&b'{') {
        // A row that the sample cuts off still has its first keys; a wrapper has those of its first row.
        let mut inner = None;
        let _ = members(sample, at, |key, slot, _| {
            if names.is_empty() && sample.get(slot.start as usize) == Some(&b'[') {
                inner = Some(slot.start as usize);
            }
            names.insert(key.to_ascii_lowercase());
            Ok(())
        });
        if let Some(inner) = inner {
            let first = blanks(sample, inner + 1);
            let _ = members(sample, first, |key, _, _| {
                names.insert(key.to_ascii_lowercase());
                Ok(())
            });
        }
    } else {
        let line = sample.split(|&b| b == b'\n').next()?;
        let delimiter = if line.contains(&b'\t') { b'\t' } else { b',' };
        for name in cells(line, delimiter) {
            names.insert(name.trim_ascii().to_ascii_lowercase());
        }
    }
    Some(names)
}

/// The cells of one line; what comes after a broken one is left out.
pub(crate) fn cells(line: &[u8], delimiter: u8) -> Vec<&[u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut out = Vec::new();
    let mut at = 0;
    while let Some((start, len, _, end)) = cell(line, at, delimiter) {
        out.push(line.get(start..start + len).unwrap_or_default());
        if line.get(end) != Some(&delimiter) {
            break;
        }
        at = end + 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_and_not_named() {
        let firewall = br#"{"Action":"block","ClientIP":"1.2.3.4","ClientRequestHost":"a","Datetime":"2026-11-22T12:00:00Z","EdgeResponseStatus":403,"Kind":"firewall","RayID":"9e0ad402c9afa70a"}"#;
        assert_eq!(other_dataset(firewall), Some("firewall_events"));
        assert_eq!(other_dataset(&firewall[..firewall.len() - 30]), None, "cut before the telling key");
        assert_eq!(other_dataset(br#"{"result":[{"QueryName":"a","QueryType":1,"ResponseCode":0}]}"#), Some("dns_logs"));
        assert_eq!(other_dataset(b"Outcome,IPDestinationAddress\n1,2\n"), Some("network_analytics_logs"));
        assert_eq!(other_dataset(br#"{"RayID":"9e0ad402c9afa70a","EdgeResponseStatus":520}"#), None);
        assert_eq!(other_dataset(b""), None);
    }
}
