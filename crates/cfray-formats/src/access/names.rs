//! Well-known names of access log fields: JSON keys, `key=value` pairs, nginx variables.

use super::Role;

/// Role of a name and its rank among names of that role (0 is best). Case, `_`, `-`, `.`, `@`
/// and `$` in the name do not matter.
pub fn role_of_name(name: &[u8]) -> Option<(Role, u8)> {
    let mut folded = [0u8; 40];
    let mut len = 0;
    for b in name.iter().filter(|b| b.is_ascii_alphanumeric()) {
        *folded.get_mut(len)? = b.to_ascii_lowercase();
        len += 1;
    }
    let folded = folded.get(..len)?;
    TABLE.iter().find_map(|(role, names)| {
        let rank = names.split(' ').position(|n| n.as_bytes() == folded)?;
        Some((*role, u8::try_from(rank).unwrap_or(u8::MAX)))
    })
}

/// Names by role, best first. A name that is in use with two meanings (`ua`, `t`, `time`) stands
/// where most use it; learning from the values may overrule it.
static TABLE: &[(Role, &str)] = &[
    (Role::Ray, "httpcfray cfray cfrayid rayid ray requestheaderscfray requestheaderscfrayid reqheaderscfray metareqheaderscfray"),
    (
        Role::Visitor,
        "httpcfconnectingip cfconnectingip cfconnectingipv6 trueclientip httptrueclientip httpxrealip xrealip realip httpxforwardedfor xforwardedfor \
         forwardedfor xff proxyaddxforwardedfor visitor visitorip requestclientip requestheadersxforwardedfor requestheaderscfconnectingip \
         reqheaderscfconnectingip reqheadersxforwardedfor reqheadersxrealip metareqheaderscfconnectingip metareqheadersxforwardedfor",
    ),
    (
        Role::Client,
        "remoteaddr remoteip remotehost clientip client clientaddr clientaddress remoteaddress remote cip ip addr address h requestremoteip \
         requestremoteaddr binaryremoteaddr realipremoteaddr reqremoteaddress reqremoteaddr reqip metareqip",
    ),
    (
        Role::Host,
        "httphost host requesthost vhost virtualhost domain servername site v canonicalservername fqdn reqheadershost reqhost reqhostname metareqheadershost",
    ),
    (Role::Request, "request requestline req r httprequest firstline"),
    (Role::Method, "requestmethod method requestmethodname httpmethod verb m reqmethod metareqmethod"),
    (
        Role::Uri,
        "requesturi requesturl originaluri url rawuri target requesttarget reqoriginalurl requrl requri metareqoriginalurl metarequrl",
    ),
    (Role::Path, "uri path documenturi requestpath u"),
    (Role::Query, "args querystring query q requestquery"),
    (
        Role::Protocol,
        "serverprotocol protocol requestprotocol requestproto httpversion proto requesthttpversion reqhttpversion metareqhttpversion",
    ),
    (
        Role::Status,
        "status statuscode httpstatus responsestatus responsecode responsestatuscode st code response s resstatuscode resstatus metaresstatuscode",
    ),
    (Role::BodyBytes, "bodybytessent bodybytes bbs bodysent bodysize responsebodysize body"),
    (Role::BytesSent, "bytessent bs bytesout totalbytessent"),
    (Role::Size, "size bytes responsesize responselength length responsebytes sentbytes b o"),
    (Role::Millis, "durationms requesttimems responsetimems elapsedms timetakenms requestdurationms latencyms ms metaresponsetime"),
    (
        Role::Micros,
        "durationus requesttimeus reqtimemicrosec responsetimeus elapsedus durationusec requesttimemicros microseconds timeus durationmicros latencyus d",
    ),
    (Role::Nanos, "durationns requesttimens elapsedns latencyns"),
    (
        Role::Duration,
        "requesttime reqtime rt duration requestduration responsetime elapsed elapsedtime latency timetaken took processingtime servetime",
    ),
    (Role::UpstreamStatus, "upstreamstatus ust us upstreamresponsestatus upstreamcode upstatus"),
    (Role::Verify, "sslclientverify clientverify certverify clientcertverify tlsclientverify sslverify"),
    (Role::Upstream, "upstreamaddr upstream upstreamaddress upstreamhost upaddr backend"),
    (
        Role::Agent,
        "httpuseragent useragent agent ua requestheadersuseragent httpagent reqheadersuseragent reqheaderuseragent metareqheadersuseragent",
    ),
    (
        Role::Referer,
        "httpreferer referer referrer httpreferrer ref requestheadersreferer reqheadersreferer reqheadersreferrer metareqheadersreferer",
    ),
    (Role::Cid, "connection connectionid conn connid cid connectionserial"),
    (Role::LogId, "uniqueid logid requestlogid errorlogid connlogid"),
    (Role::Pid, "pid processid workerpid"),
    (Role::Tid, "tid threadid"),
    (Role::TimeStart, "requeststart starttime start timestart begin requesttimestart startedat"),
    (
        Role::Time,
        "msec timemsec timeiso8601 timelocal timestamp time ts datetime timestampms date t epoch logtime localtime eventtime end endtime requestend logtimestamp",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_fold() {
        for name in ["cf_ray", "CF-RAY", "http_cf_ray", "$http_cf_ray", "cfRay", "rayId"] {
            assert_eq!(role_of_name(name.as_bytes()).map(|r| r.0), Some(Role::Ray), "{name}");
        }
        assert_eq!(role_of_name(b"@timestamp").map(|r| r.0), Some(Role::Time));
        assert_eq!(role_of_name(b"no such thing"), None);
        assert_eq!(role_of_name(b""), None);
    }

    #[test]
    fn no_name_has_two_roles() {
        let mut all: Vec<&str> = TABLE.iter().flat_map(|(_, names)| names.split(' ')).filter(|n| !n.is_empty()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
