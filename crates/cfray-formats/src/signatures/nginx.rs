//! nginx error log: `src/core`, `src/http` and `src/os/unix` of nginx 0.7 to 1.31.

use super::php;
use super::table::{Pattern, Table, any, nothing, process, process_num};
use cfray_model::{Level, Line, Sig, SigHit};
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(PATTERNS));

/// The signature of an nginx error line.
pub(super) fn signature(line: &Line<'_>) -> Option<SigHit> {
    let text: &[u8] = &line.message;
    if let Some(stderr) = text.strip_prefix(b"FastCGI sent in stderr: \"") {
        return php::signature(stderr);
    }
    let hit = TABLE.find(line, text)?;
    // Since 1.23.0 a second header of the same name is usually only dropped, and warned about.
    if hit.sig == Sig::UpstreamBadHeader && line.level == Some(Level::Warn) {
        return None;
    }
    Some(hit)
}

// Order matters: the first pattern that fits wins. `[^)]*` is the text of an errno, which depends
// on the locale; only its number is read. After ` while ` stands one of nginx's own action words.
#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    // Processes.
    process(Sig::NginxWorkerSignal, r"^worker process (?P<pid>\d+) exited on signal (?P<num>\d+)(?: \(core dumped\))?$"),
    process(Sig::NginxWorkerFatal, r"^worker process (?P<pid>\d+) exited with fatal code (?P<num>\d+) and cannot be respawned$"),
    process(Sig::NginxStop, r"^signal (?P<num>2|15) \(SIG[A-Z0-9]+\) received(?: from \d+)?, exiting$"),
    process(Sig::NginxReload, r"^signal (?P<num>3) \(SIG[A-Z0-9]+\) received(?: from \d+)?, (?:shutting down|exiting)$"),
    process(Sig::NginxReload, r"^signal (?P<num>1) \(SIG[A-Z0-9]+\) received(?: from \d+)?, reconfiguring$"),
    process_num(Sig::NginxReload, 1, r"^reconfiguring$"),
    process_num(Sig::NginxReload, 3, r"^gracefully shutting down$"),
    process(Sig::NginxStart, r#"^(?:start worker processes|using the "[a-z0-9_/]+" event method|built by .*|nginx/\d[0-9.]*(?: \([^()]*\))?)$"#),
    // Limits of the process.
    process(Sig::WorkerConnections, r"^(?P<num>\d+) worker_connections are not enough(?: while accepting new connection on [^,]+)?$"),
    process(Sig::ReusingConnections, r"^(?P<num>\d+) worker_connections are not enough, reusing connections$"),
    any(Sig::WorkerConnectionsUpstream, r"^(?P<num>\d+) worker_connections are not enough(?: while [a-z ]+upstream|, client: )"),
    process(Sig::AcceptFailed, r"^accept4?\(\) failed \((?P<num>23|24): [^)]*\)(?: while accepting new connection on [^,]+)?$"),
    // Towards the backend.
    any(Sig::ConnectQueueFull, r"^connect\(\) (?:to (?:unix:)?(?P<name>\S+) )?failed \((?P<num>11): [^)]*\) while connecting to upstream"),
    any(Sig::UpstreamTimedOut, r"^connect\(\) (?:to \S+ )?failed \(110: [^)]*\) while connecting to upstream"),
    any(Sig::ConnectFailed, r"^connect\(\) (?:to (?:unix:)?(?P<name>\S+) )?failed \((?P<num>\d+): [^)]*\) while connecting to upstream"),
    any(Sig::UpstreamBodyCut, r"^upstream timed out \(110: [^)]*\) while (?:reading upstream|proxying upgraded connection)"),
    any(Sig::UpstreamTimedOut, r"^upstream timed out \(110: [^)]*\) while (?:connecting to|reading response header from|sending request to|SSL handshaking to) ?upstream"),
    any(Sig::UpstreamBodyCut, r"^upstream prematurely closed (?:connection|FastCGI stdout|FastCGI request) while (?:reading upstream|proxying upgraded connection)"),
    any(Sig::UpstreamClosed, r"^upstream prematurely closed (?:connection|FastCGI stdout|FastCGI request) while (?:reading response header from|sending request to) upstream"),
    any(Sig::UpstreamBodyCut, r"^(?:recv|readv|SSL_read)\(\) failed \((?:SSL: [^()]*\) \()?104: [^)]*\) while (?:reading upstream|proxying upgraded connection)"),
    any(Sig::UpstreamReset, r"^(?:recv|readv|send|writev|sendfile|sendfilev|SSL_read|SSL_write)\(\) failed \((?:SSL: [^()]*\) \()?(?:104|32): [^)]*\) while (?:reading response header from|sending request to) upstream"),
    any(Sig::UpstreamNotHttp, r"^upstream sent no valid HTTP/1\.0 header(?: while |$)"),
    any(Sig::UpstreamBigHeader, r"^upstream sent too big header(?: while |$)"),
    any(Sig::UpstreamBodyCut, r"^upstream sent invalid (?:chunked response|trailer)"),
    nothing(r#"^upstream sent duplicate header line: .*, ignored while "#),
    any(Sig::UpstreamBadHeader, r#"^upstream sent (?:invalid (?:header|status)|duplicate header line|unexpected FastCGI record|unsupported FastCGI protocol version|invalid FastCGI record type|unexpected FastCGI request id|"Content-Length" and "Transfer-Encoding" headers|unknown "Transfer-Encoding"|invalid "Content-Length" header)"#),
    any(Sig::UpstreamNone, r"^no live upstreams while connecting to upstream"),
    any(Sig::UpstreamNone, r"^(?:no resolver defined to resolve (?P<name>[^ ,]+)|[^ ,]+ could not be resolved \(\d+: )"),
    // Refused by the configuration.
    any(Sig::LimitRequests, r#"^limiting requests, excess: [0-9.]+ by zone "(?P<name>[^"]*)""#),
    // The stream module has no status to send: it closes (src/stream, "initializing connection" before 1.11.4).
    any(Sig::LiteSpeedThrottle, r#"^limiting connections by zone "[^"]*" while initializing (?:connection|session)(?:,|$)"#),
    any(Sig::StreamForbidden, r"^access forbidden by rule while initializing (?:connection|session)(?:,|$)"),
    any(Sig::LimitConnections, r#"^limiting connections by zone "(?P<name>[^"]*)""#),
    any(Sig::AccessForbidden, r"^access forbidden by rule(?:,|$)"),
    any(Sig::ModsecDrop, r"^(?:\[client [^\]]*\] )?ModSecurity: Access denied with connection close"),
    any(Sig::ModsecDeny, r"^(?:\[client [^\]]*\] )?ModSecurity: Access denied with code (?P<num>\d+)"),
    any(Sig::ClientCert, r"^client (?:SSL certificate verify error: |sent no required SSL certificate)"),
    any(Sig::ProxyProtocol, r#"^broken header: ""#),
    // HTTP/2. "too large header" is HTTP/2, "too long header line" and "too large request" are HTTP/1. Until 1.19.6 HTTP/2 had
    // limits of its own (http2_max_field_size, http2_max_header_size). These and the next end the connection with GOAWAY.
    any(Sig::Http2TooLarge, r"^(?:client sent too large header(?: field)?(?: while |, client: |$)|client exceeded http2_max_(?:field|header)_size limit|http2 flood detected|client sent too many PRIORITY frames|client sent header (?:block|field) with too long )"),
    any(Sig::Http2Error, r"^client sent (?:header (?:block|field) with incorrect length|invalid encoded header field|zero header name length)(?: while |, client: |$)"),
    any(Sig::Http2Error, r"^(?:invalid connection preface|client violated (?:connection )?flow control|client sent too many refused streams|client sent [A-Z_]+ frame |client sent (?:inappropriate frame|unexpected [A-Z_]+ frame|padded [A-Z_]+ frame)|client sent (?:invalid|out of bound) hpack table index|client sent out of bound hpack|state buffer overflow|http2 preread buffer overflow|concurrent streams exceeded |client sent too many streams at once|client sent stream with |too long response (?:header|trailer) (?:name|value))"),
    // The client.
    any(Sig::ClientTimedOut, r"^client timed out \(110: "),
    any(Sig::ClientBadRequest, r#"^client sent (?:too long (?:header line|URI)|too large request|too many header lines|(?:invalid|duplicate) |"Content-Length" and "Transfer-Encoding"|HTTP/1\.1 request without "Host"|"Proxy-Connection" header|plain HTTP request to HTTPS port|neither ":authority" nor "Host")"#),
    any(Sig::ClientBadRequest, r"^client (?:intended to send too large (?:chunked )?body: |attempted to request the server name different)"),
    any(Sig::ClientClosed, r"^client (?:(?:unix:|[0-9a-fA-F.:]+) closed keepalive connection|prematurely closed |closed connection while |canceled stream |terminated stream )"),
    any(Sig::ClientClosed, r"^epoll_wait\(\) reported that client prematurely closed connection"),
    any(Sig::ClientClosed, r"^(?:recv|SSL_read)\(\) failed \((?:SSL: [^()]*\) \()?104: [^)]*\) while (?:waiting for request|reading client |keepalive|processing HTTP/2 connection|SSL handshaking)"),
    any(Sig::SendToClientFailed, r"^(?:send|writev|sendfile|sendfilev|SSL_write|SSL_sendfile)\(\) failed \((?:SSL: [^()]*\) \()?(?P<num>104|32): [^)]*\)(?: while (?:sending (?:response )?to client|processing HTTP/2 connection)|$)"),
    // Disk and memory. A static file that cannot be opened is a valid 403 or 404, so open() counts
    // only while the answer is being moved, or on the names that nginx gives its own files.
    any(Sig::FileIo, r#"^(?:pwrite|pwritev|write|writev|mkdir|rename|chmod|ftruncate)\(\) "[^"]*"(?: to "[^"]*")? failed \((?P<num>2|5|13|28|30|122): "#),
    any(Sig::FileIo, r#"^pwritev?\(\) "[^"]*" has written only \d+ of \d+"#),
    any(Sig::FileIo, r#"^open\(\) "[^"]*" failed \((?P<num>2|5|13|28|30|122): [^)]*\) while (?:reading upstream|reading response header from upstream|sending request to upstream|sending to client|reading client request body)"#),
    any(Sig::FileIo, r#"^open\(\) "[^"]*(?:temp|tmp|cache|body|fastcgi|proxy|scgi|uwsgi)[^"]*/(?:\d{10}|[0-9a-f]{32}(?:\.\d{10})?)" failed \((?P<num>5|13|28|30|122): "#),
    nothing(r"^could not allocate new session in SSL session shared cache"),
    any(Sig::AllocFailed, r"^(?:malloc|calloc|realloc|posix_memalign|memalign|mmap|ngx_slab_alloc|fork)\([^)]*\) failed(?: \(12: |: no memory)"),
    any(Sig::AllocFailed, r"^could not allocate "),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(TABLE.compiled(), (PATTERNS.len(), PATTERNS.len()));
    }
}
