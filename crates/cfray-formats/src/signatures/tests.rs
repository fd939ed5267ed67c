//! Every signature: at least one message that has it, and one that is near and has it not.

#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A message of a stack, as its parser leaves it. `*` before an nginx message: with a connection id.
fn line(stack: Stack, text: &str) -> Line<'_> {
    let kind = match stack {
        Stack::Fpm => LineKind::Fpm,
        Stack::Php => LineKind::Php,
        Stack::Kernel | Stack::Systemd | Stack::Fail2ban | Stack::Firewall => LineKind::System,
        Stack::ModSecurity => LineKind::Audit,
        Stack::App => LineKind::Other,
        _ => LineKind::Error,
    };
    let mut line = Line::new(kind, stack);
    let text = match text.strip_prefix('*') {
        Some(rest) => {
            line.cid = Some(46);
            line.client = Some(Cow::Borrowed(b"192.0.2.1"));
            rest
        }
        None => text,
    };
    line.raw_text = stack == Stack::Php;
    line.message = Cow::Borrowed(text.as_bytes());
    line
}

fn found(stack: Stack, text: &str) -> Option<SigHit> {
    signature(&line(stack, text))
}

fn hit(sig: Sig, num: Option<i64>, pid: Option<u64>, name: Option<&str>) -> SigHit {
    SigHit { sig, num, pid, name: name.map(Into::into) }
}

#[rustfmt::skip]
fn positives() -> Vec<(Stack, &'static str, SigHit)> {
    use Sig::*;
    use Stack::*;
    vec![
        (Nginx, "worker process 18376 exited on signal 11 (core dumped)", hit(NginxWorkerSignal, Some(11), Some(18376), None)),
        (Nginx, "worker process 18376 exited on signal 9", hit(NginxWorkerSignal, Some(9), Some(18376), None)),
        (Nginx, "worker process 7 exited with fatal code 2 and cannot be respawned", hit(NginxWorkerFatal, Some(2), Some(7), None)),
        (Nginx, "signal 15 (SIGTERM) received from 1, exiting", hit(NginxStop, Some(15), None, None)),
        (Nginx, "signal 3 (SIGQUIT) received, shutting down", hit(NginxReload, Some(3), None, None)),
        (Nginx, "signal 1 (SIGHUP) received from 4711, reconfiguring", hit(NginxReload, Some(1), None, None)),
        (Nginx, "gracefully shutting down", hit(NginxReload, Some(3), None, None)),
        (Nginx, "start worker processes", hit(NginxStart, None, None, None)),
        (Nginx, "using the \"epoll\" event method", hit(NginxStart, None, None, None)),
        (Nginx, "built by gcc 12.2.0 (Debian 12.2.0-14)", hit(NginxStart, None, None, None)),
        (Nginx, "768 worker_connections are not enough", hit(WorkerConnections, Some(768), None, None)),
        (Nginx, "*768 worker_connections are not enough while connecting to upstream", hit(WorkerConnectionsUpstream, Some(768), None, None)),
        (Nginx, "768 worker_connections are not enough, reusing connections", hit(ReusingConnections, Some(768), None, None)),
        (Nginx, "accept4() failed (24: Too many open files)", hit(AcceptFailed, Some(24), None, None)),
        (Nginx, "*connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream", hit(ConnectQueueFull, Some(11), None, Some("/run/php/www.sock"))),
        (Nginx, "*connect() failed (111: Connection refused) while connecting to upstream", hit(ConnectFailed, Some(111), None, None)),
        (Nginx, "*connect() to unix:/run/php/www.sock failed (2: No such file or directory) while connecting to upstream", hit(ConnectFailed, Some(2), None, Some("/run/php/www.sock"))),
        (Nginx, "*upstream timed out (110: Connection timed out) while reading response header from upstream", hit(UpstreamTimedOut, None, None, None)),
        (Nginx, "*upstream timed out (110: Verbindungsaufbau abgelaufen) while connecting to upstream", hit(UpstreamTimedOut, None, None, None)),
        (Nginx, "*upstream prematurely closed connection while reading response header from upstream", hit(UpstreamClosed, None, None, None)),
        (Nginx, "*upstream prematurely closed FastCGI stdout while reading response header from upstream", hit(UpstreamClosed, None, None, None)),
        (Nginx, "*recv() failed (104: Connection reset by peer) while reading response header from upstream", hit(UpstreamReset, None, None, None)),
        (Nginx, "*upstream prematurely closed connection while reading upstream", hit(UpstreamBodyCut, None, None, None)),
        (Nginx, "*readv() failed (104: Connection reset by peer) while reading upstream", hit(UpstreamBodyCut, None, None, None)),
        (Nginx, "*upstream timed out (110: Connection timed out) while reading upstream", hit(UpstreamBodyCut, None, None, None)),
        (Nginx, "*upstream sent no valid HTTP/1.0 header while reading response header from upstream", hit(UpstreamNotHttp, None, None, None)),
        (Nginx, "*upstream sent too big header while reading response header from upstream", hit(UpstreamBigHeader, None, None, None)),
        (Nginx, "*upstream sent invalid header: \"x\\x20y...\" while reading response header from upstream", hit(UpstreamBadHeader, None, None, None)),
        (Nginx, "*upstream sent invalid status \"abc\" while reading response header from upstream", hit(UpstreamBadHeader, None, None, None)),
        (Nginx, "*no live upstreams while connecting to upstream", hit(UpstreamNone, None, None, None)),
        (Nginx, "*backend.example could not be resolved (3: Host not found)", hit(UpstreamNone, None, None, None)),
        (Nginx, "*FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught Error: boom in /srv/x.php:3\nStack trace:\n#0 {main}\n  thrown in /srv/x.php on line 3\" while reading response header from upstream", hit(PhpFatal, None, None, None)),
        (Nginx, "*FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Maximum execution time of 30 seconds exceeded in /srv/x.php on line 3\" while reading response header from upstream", hit(PhpTime, Some(30), None, None)),
        (Nginx, "*FastCGI sent in stderr: \"PHP message: PHP Warning:  Undefined variable $x in /srv/x.php on line 3\" while reading response header from upstream", hit(PhpOther, None, None, None)),
        (Nginx, "*FastCGI sent in stderr: \"#3 /srv/x.php(9): f()\n#4 {main}\" while reading upstream", hit(PhpTrace, None, None, None)),
        (Nginx, "*limiting requests, excess: 20.990 by zone \"perip\"", hit(LimitRequests, None, None, Some("perip"))),
        (Nginx, "*limiting connections by zone \"addr\"", hit(LimitConnections, None, None, Some("addr"))),
        (Nginx, "*access forbidden by rule", hit(AccessForbidden, None, None, None)),
        (Nginx, "*client SSL certificate verify error: (10:certificate has expired) while reading client request headers", hit(ClientCert, None, None, None)),
        (Nginx, "*client sent no required SSL certificate while reading client request headers", hit(ClientCert, None, None, None)),
        (Nginx, "*broken header: \"GET / HTTP/1.1\nHost: x\n\n\" while reading PROXY protocol", hit(ProxyProtocol, None, None, None)),
        (Nginx, "*client sent too large header field while processing HTTP/2 connection", hit(Http2TooLarge, None, None, None)),
        (Nginx, "*http2 flood detected while processing HTTP/2 connection", hit(Http2TooLarge, None, None, None)),
        (Nginx, "*invalid connection preface while processing HTTP/2 connection", hit(Http2Error, None, None, None)),
        (Nginx, "*concurrent streams exceeded 128 while processing HTTP/2 connection", hit(Http2Error, None, None, None)),
        (Nginx, "*client sent SETTINGS frame with incorrect length 7 while processing HTTP/2 connection", hit(Http2Error, None, None, None)),
        (Nginx, "*client timed out (110: Connection timed out) while reading client request headers", hit(ClientTimedOut, None, None, None)),
        (Nginx, "*client sent too long header line: \"x\" while reading client request headers", hit(ClientBadRequest, None, None, None)),
        (Nginx, "*client sent invalid host header while reading client request headers", hit(ClientBadRequest, None, None, None)),
        (Nginx, "*client 172.17.0.27 closed keepalive connection", hit(ClientClosed, None, None, None)),
        (Nginx, "*epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too while sending request to upstream", hit(ClientClosed, None, None, None)),
        (Nginx, "*writev() failed (104: Connection reset by peer) while sending to client", hit(SendToClientFailed, Some(104), None, None)),
        (Nginx, "*writev() failed (32: Broken pipe)", hit(SendToClientFailed, Some(32), None, None)),
        (Nginx, "*SSL_write() failed (SSL: error:80000020:system library::Broken pipe) (32: Broken pipe) while sending response to client", hit(SendToClientFailed, Some(32), None, None)),
        (Nginx, "*pwrite() \"/var/cache/nginx/fcgi/0000000012\" failed (28: No space left on device) while reading upstream", hit(FileIo, Some(28), None, None)),
        (Nginx, "*open() \"/var/lib/nginx/fastcgi/5/00/0000000005\" failed (13: Permission denied) while reading upstream", hit(FileIo, Some(13), None, None)),
        (Nginx, "*open() \"/var/lib/nginx/body/0000000001\" failed (13: Permission denied)", hit(FileIo, Some(13), None, None)),
        (Nginx, "*mkdir() \"/var/cache/nginx/9\" failed (30: Read-only file system) while reading upstream", hit(FileIo, Some(30), None, None)),
        (Nginx, "*posix_memalign(16, 4096) failed (12: Cannot allocate memory) while reading upstream", hit(AllocFailed, None, None, None)),
        (Nginx, "*[client 172.70.240.21] ModSecurity: Access denied with code 403 (phase 2). Matched \"Operator `Rx'\"", hit(ModsecDeny, Some(403), None, None)),

        (Apache, "AH00052: child pid 13901 exit signal Segmentation fault (11)", hit(ApacheChildSignal, Some(11), Some(13901), None)),
        (Apache, "child pid 372 exit signal Bus error (7), possible coredump in /etc/httpd", hit(ApacheChildSignal, Some(7), Some(372), None)),
        (Apache, "AH00050: Child 372 returned a Fatal error... Apache is exiting!", hit(ApacheFatal, None, Some(372), None)),
        (Apache, "AH00484: server reached MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting", hit(ApacheMaxWorkers, None, None, None)),
        (Apache, "server reached MaxClients setting, consider raising the MaxClients setting", hit(ApacheMaxWorkers, None, None, None)),
        (Apache, "AH03490: scoreboard is full, not at MaxRequestWorkers.Increase ServerLimit.", hit(ApacheScoreboard, None, None, None)),
        (Apache, "scoreboard is full, not at MaxRequestWorkers", hit(ApacheScoreboard, None, None, None)),
        (Apache, "AH00491: caught SIGTERM, shutting down", hit(ApacheStop, Some(15), None, None)),
        (Apache, "AH00173: SIGHUP received.  Attempting to restart", hit(ApacheStop, Some(1), None, None)),
        (Apache, "AH00046: child process 210843 still did not exit, sending a SIGKILL", hit(ApacheStop, Some(9), Some(210843), None)),
        (Apache, "AH00493: SIGUSR1 received.  Doing graceful restart", hit(ApacheReload, None, None, None)),
        (Apache, "AH03492: RemoteIPProxyProtocol: enabled on 192.0.2.179:80", hit(ProxyProtocolOn, None, None, Some("192.0.2.179:80"))),
        (Apache, "AH03492: RemoteIPProxyProtocol: enabled on :::443", hit(ProxyProtocolOn, None, None, Some(":::443"))),
        (HaProxy, "*https_in/1: SSL client certificate not trusted", hit(PeerClientCert, None, None, None)),
        (HaProxy, "*https_in/https: SSL client CA chain cannot be verified", hit(PeerClientCert, None, None, None)),
        (HaProxy, "*https_in/1: SSL handshake failure (error:0A0000C7:SSL routines::peer did not return a certificate)", hit(PeerClientCert, None, None, None)),
        (HaProxy, "*web-in/2: Received something which does not look like a PROXY protocol header", hit(ProxyProtocol, None, None, None)),
        (HaProxy, "[ALERT]    (16080) : Current worker (16082) exited with code 139 (Segmentation fault)", hit(HaProxyWorkerSignal, Some(11), Some(16082), None)),
        (HaProxy, "[ALERT] 326/051134 (16080) : Current worker #1 (16082) exited with code 134 (Aborted)", hit(HaProxyWorkerSignal, Some(6), Some(16082), None)),
        (Lighttpd, "server started (lighttpd/1.4.69)", hit(LighttpdStart, None, None, None)),
        (Lighttpd, "[note] graceful shutdown started", hit(LighttpdGraceful, None, None, None)),
        (Lighttpd, "server stopped by UID = 0 PID = 5249", hit(LighttpdStop, None, None, None)),
        (Lighttpd, "server stopped", hit(LighttpdStop, None, None, None)),
        (Apache, "AH00489: Apache/2.4.62 (Rocky Linux) configured -- resuming normal operations", hit(ApacheStart, None, None, None)),
        (Apache, "AH00094: Command line: '/usr/sbin/httpd -D FOREGROUND'", hit(ApacheStart, None, None, None)),
        (Apache, "*AH01102: error reading status line from remote server 127.0.0.1:8080", hit(ProxyStatusLine, None, None, None)),
        (Apache, "*(20014)Internal error: proxy: error reading status line from remote server 127.0.0.1:8080", hit(ProxyStatusLine, None, None, None)),
        (Apache, "*AH00898: Error reading from remote server returned by /cart", hit(ProxyErrorSent, None, None, None)),
        (Apache, "*(104)Connection reset by peer: [client 198.51.100.8:0] AH01075: Error dispatching request to : ", hit(ProxyDispatch, None, None, None)),
        (Apache, "(111)Connection refused: AH00957: http: attempt to connect to 127.0.0.1:9999 (127.0.0.1:9999) failed", hit(ProxyDispatch, None, None, None)),
        (Apache, "*AH01071: Got error 'Primary script unknown'", hit(ProxyStderr, None, None, None)),
        (Apache, "*AH01071: Got error 'PHP message: PHP Warning:  x in /srv/x.php on line 12'", hit(PhpOther, None, None, None)),
        (Apache, "*AH01071: Got error 'PHP message: PHP Fatal error:  Uncaught Error: boom in /srv/x.php:3\\nStack trace:\\n#0 {main}\\n  thrown in /srv/x.php on line 3'", hit(PhpFatal, None, None, None)),
        (Apache, "*PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /srv/x.php on line 3", hit(PhpMemory, Some(134_217_728), None, None)),
        (Apache, "*AH01215: perl: warning: Setting locale failed.: /usr/lib/cgi-bin/a.cgi", hit(CgiStderr, None, None, None)),
        (Apache, "*malformed header from script 'a.cgi': Bad header: hello", hit(CgiMalformed, None, None, None)),
        (Apache, "*End of script output before headers: a.cgi", hit(CgiMalformed, None, None, None)),
        (Apache, "*[client 172.70.240.21] ModSecurity: Access denied with connection close (phase 1). Operator GT matched 9", hit(ModsecDrop, None, None, None)),
        (Apache, "*[client 172.70.240.21] ModSecurity: Access denied with code 403 (phase 2).", hit(ModsecDeny, Some(403), None, None)),
        (Apache, "*AH01630: client denied by server configuration: /var/www/html/private/index.html", hit(AccessForbidden, None, None, None)),
        (Apache, "*AH02039: Certificate Verification: Error (10): certificate has expired", hit(ApacheClientCert, Some(10), None, None)),
        (Apache, "*AH02008: SSL library error 1 in handshake (server www.example.com:443)", hit(ApacheClientCert, None, None, None)),
        (Apache, "SSL Library Error: error:0A0000C7:SSL routines::peer did not return a certificate -- No CAs known to server for verification?", hit(ApacheClientCert, None, None, None)),
        (Apache, "*AH01382: Request header read timeout", hit(ClientTimedOut, None, None, None)),
        (Apache, "*AH10180: h2_stream(5-1-3,IDLE): Request header exceeds LimitRequestFieldSize", hit(Http2TooLarge, None, None, None)),
        (Apache, "*AH10257: h2_c2(5-1-3): read response, line too long", hit(Http2Error, None, None, None)),
        (Apache, "(28)No space left on device: AH00646: Error writing to /var/log/apache2/access.log", hit(FileIo, Some(28), None, None)),
        (Apache, "(12)Cannot allocate memory: AH00159: fork: Unable to fork new process", hit(AllocFailed, Some(12), None, None)),

        (LiteSpeed, "[172.70.240.21] Reached per client hard connection limit: 100, current: 101, close connection!", hit(LiteSpeedThrottle, Some(100), None, Some("172.70.240.21"))),
        (LiteSpeed, "[172.70.240.21:4012-0#shop] [STDERR] PHP Fatal error:  Maximum execution time of 30 seconds exceeded in /srv/x.php on line 3", hit(PhpTime, Some(30), None, None)),

        (Fpm, "[pool rank.example.de] child 22612 exited on signal 11 (SIGSEGV) after 7.109208 seconds from start", hit(FpmChildSignal, Some(11), Some(22612), Some("rank.example.de"))),
        (Fpm, "[pool www] child 9 exited on signal 15 (SIGTERM) after 7.335094 seconds from start", hit(FpmChildSignal, Some(15), Some(9), Some("www"))),
        (Fpm, "[pool www] child 4105 exited on signal 11 SIGSEGV after 61.874353 seconds from start", hit(FpmChildSignal, Some(11), Some(4105), Some("www"))),
        (Fpm, "[pool www] child 9 exited with code 124 after 7.335094 seconds from start", hit(FpmChildCode, Some(124), Some(9), Some("www"))),
        (Fpm, "[pool www] child 9, script '/srv/slow.php' (request: \"GET /srv/slow.php\") execution timed out (5.305142 sec), terminating", hit(FpmTimeout, Some(5305), Some(9), Some("www"))),
        (Fpm, "[pool www] child 9, script '/srv/slow.php' (request: \"GET /srv/slow.php\") executing too slow (2.638338 sec), logging", hit(FpmSlow, None, Some(9), Some("www"))),
        (Fpm, "[pool www] server reached pm.max_children setting (50), consider raising it", hit(FpmMaxChildren, Some(50), None, Some("www"))),
        (Fpm, "[pool www] server reached max_children setting (2), consider raising it", hit(FpmMaxChildren, Some(2), None, Some("www"))),
        (Fpm, "[pool www] seems busy (you may need to increase pm.start_servers, or pm.min/max_spare_servers), spawning 8 children, there are 0 idle, and 4 total children", hit(FpmBusy, None, None, Some("www"))),
        (Fpm, "Terminating ...", hit(FpmStop, None, None, None)),
        (Fpm, "exiting, bye-bye!", hit(FpmStop, None, None, None)),
        (Fpm, "Reloading in progress ...", hit(FpmReload, None, None, None)),
        (Fpm, "failed processes threshold (2 in 60 sec) is reached, initiating reload", hit(FpmReload, None, None, None)),
        (Fpm, "fpm is running, pid 318", hit(FpmStart, None, Some(318), None)),
        (Fpm, "ready to handle connections", hit(FpmStart, None, None, None)),
        (Php, "PHP Fatal error:  Uncaught Error: boom in /srv/x.php:3", hit(PhpFatal, None, None, None)),
        (Php, "PHP Parse error:  syntax error, unexpected end of file in /srv/x.php on line 3", hit(PhpFatal, None, None, None)),
        (Php, "PHP Stack trace:", hit(PhpTrace, None, None, None)),

        (Kernel, "Out of memory: Killed process 2213 (php-fpm8.2) total-vm:812345kB, anon-rss:654321kB, file-rss:0kB, shmem-rss:1024kB, UID:33 pgtables:1500kB oom_score_adj:0", hit(OomKill, None, Some(2213), Some("php-fpm8.2"))),
        (Kernel, "Memory cgroup out of memory: Kill process 13536 (memorymonster) score 996 or sacrifice child", hit(OomKill, None, Some(13536), Some("memorymonster"))),
        (Kernel, "Killed process 19667 (evil-program2) total-vm:1460016kB, anon-rss:1414008kB, file-rss:4kB", hit(OomKill, None, Some(19667), Some("evil-program2"))),
        (Kernel, "Killed process 1234, UID 48, (httpd) total-vm:1460016kB, anon-rss:1414008kB, file-rss:4kB", hit(OomKill, None, Some(1234), Some("httpd"))),
        (Kernel, "Out of memory: Killed process 99 ((sd-pam)) total-vm:100kB, anon-rss:1kB", hit(OomKill, None, Some(99), Some("(sd-pam)"))),
        (Kernel, "php-fpm invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=934", hit(OomContext, None, None, Some("php-fpm"))),
        (Kernel, "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=php-fpm,pid=29454,uid=1000", hit(OomContext, None, Some(29454), Some("php-fpm"))),
        (Kernel, "oom_reaper: reaped process 32055 (php-fpm), now anon-rss:0kB, file-rss:0kB, shmem-rss:19292kB", hit(OomContext, None, Some(32055), Some("php-fpm"))),
        (Kernel, "php5-fpm[7578]: segfault at 21 ip 00007f3897bbd094 sp 00007fff8ed6fb08 error 6 in libc-2.19.so[7f3897b30000+1bb000]", hit(KernelFault, Some(11), Some(7578), Some("php5-fpm"))),
        (Kernel, "php-fpm[917]: unhandled level 2 translation fault (11) at 0x00000008, esr 0x92000006, in php-fpm[400000+7a3000]", hit(KernelFault, Some(11), Some(917), Some("php-fpm"))),
        (Kernel, "Killed process 12345 (mysqld), UID 27, total-vm:1kB, anon-rss:1kB", hit(OomKill, None, Some(12345), Some("mysqld"))),
        (Kernel, "traps: php5-fpm[7954] general protection ip:6df1d9 sp:7fff8ed6fb10 error:0 in php5-fpm[400000+7a3000]", hit(KernelFault, Some(11), Some(7954), Some("php5-fpm"))),
        (Kernel, "traps: nginx[12] general protection fault ip:6df1d9 sp:7fff8ed6fb10 error:0 in nginx[400000+7a3000]", hit(KernelFault, Some(11), Some(12), Some("nginx"))),
        (Kernel, "traps: apache2[12] trap invalid opcode ip:6df1d9 sp:7fff8ed6fb10 error:0 in apache2[400000+7a3000]", hit(KernelFault, Some(4), Some(12), Some("apache2"))),
        (Kernel, "traps: lsphp[12] trap divide error ip:6df1d9 sp:7fff8ed6fb10 error:0 in lsphp[400000+7a3000]", hit(KernelFault, Some(8), Some(12), Some("lsphp"))),
        (Kernel, "traps: x[12] trap int3 ip:6df1d9 sp:7fff8ed6fb10 error:0 in x[400000+7a3000]", hit(KernelFault, Some(5), Some(12), Some("x"))),
        (Systemd, "nginx.service: Main process exited, code=killed, status=9/KILL", hit(UnitKilled, Some(9), None, Some("nginx.service"))),
        (Systemd, "apache2.service: main process exited, code=dumped, status=11/SEGV", hit(UnitKilled, Some(11), None, Some("apache2.service"))),
        (Systemd, "php8.2-fpm.service: A process of this unit has been killed by the OOM killer.", hit(UnitOom, None, None, Some("php8.2-fpm.service"))),
        (Systemd, "php8.2-fpm.service: Failed with result 'oom-kill'.", hit(UnitOom, None, None, Some("php8.2-fpm.service"))),
        (Systemd, "Stopping nginx.service - A high performance web server and a reverse proxy server...", hit(UnitStop, None, None, Some("nginx.service"))),
        (Systemd, "Stopped The Apache HTTP Server.", hit(UnitStop, None, None, Some("The Apache HTTP Server"))),
        (Systemd, "httpd.service: Deactivated successfully.", hit(UnitStop, None, None, Some("httpd.service"))),
        (Systemd, "Started The Apache HTTP Server.", hit(UnitStart, None, None, Some("The Apache HTTP Server"))),
        (Systemd, "Killed /system.slice/php8.2-fpm.service due to memory used (1) / total (2) and swap used (3) / total (4) being more than 90.00%", hit(UnitOom, None, None, Some("php8.2-fpm.service"))),
        (Systemd, "Process 812 (php-fpm8.2) of user 33 dumped core.", hit(KernelFault, None, Some(812), Some("php-fpm8.2"))),
        (Fail2ban, "[nginx-limit-req] Ban 172.70.240.21", hit(Ban, None, None, Some("nginx-limit-req"))),
        (Fail2ban, "[nginx-limit-req] Restore Ban 2400:cb00::1", hit(Ban, None, None, Some("nginx-limit-req"))),
        (Fail2ban, "[nginx-limit-req] Unban 172.70.240.21", hit(Unban, None, None, Some("nginx-limit-req"))),
        (Firewall, "[UFW BLOCK] IN=eth0 OUT= SRC=172.70.240.21 DST=192.0.2.7 PROTO=TCP SPT=1 DPT=443", hit(FirewallBlock, Some(443), None, None)),
        (App, "[11531] [CRITICAL] WORKER TIMEOUT (pid:12009)", hit(AppWorkerTimeout, None, Some(12009), None)),
        (App, "[11531] [ERROR] Worker (pid:12009) was sent SIGKILL! Perhaps out of memory?", hit(AppWorkerSignal, Some(9), Some(12009), None)),
        (App, "- *** uWSGI listen queue of socket \"127.0.0.1:9441\" (fd: 3) full !!! (11/10) ***", hit(AppQueueFull, None, None, Some("127.0.0.1:9441"))),
        (Systemd, "api.service: Main process exited, code=exited, status=1/FAILURE", hit(UnitExited, Some(1), None, Some("api.service"))),
        (App, "WARN exited: api (exit status 1; not expected)", hit(AppExit, Some(1), None, None)),
        (App, "TypeError: Cannot read properties of undefined (reading 'net')", hit(AppError, None, None, None)),
        (App, "[24274] [ERROR] Exception on /invoice/325 [GET]", hit(AppException, None, None, None)),
        (App, "[9890] [INFO] Listening at: http://192.0.2.33:80 (9890)", hit(AppListening, None, None, Some("192.0.2.33:80"))),
        (Firewall, "iptables-dropped: IN=eth0 OUT= SRC=172.70.240.21 DST=192.0.2.7 PROTO=ICMP", hit(FirewallBlock, None, None, None)),
    ]
}

#[test]
fn what_a_message_means() {
    for (stack, text, expect) in positives() {
        assert_eq!(found(stack, text), Some(expect), "{text}");
    }
}

#[test]
fn no_signature_is_without_a_message() {
    let mut seen: BTreeSet<Sig> = positives().into_iter().map(|(_, _, hit)| hit.sig).collect();
    seen.extend([Sig::H2Preface, Sig::ClosedByRule, Sig::AppUnanswered]); // from access lines, below; from fields of a logger, in app.rs
    for sig in Sig::ALL {
        assert!(seen.contains(sig), "{}", sig.name());
    }
}

/// What resembles a signature, and what it is instead (`None`: nothing).
#[rustfmt::skip]
const NEAR: &[(Stack, &str, Option<Sig>)] = &[
    // A process-level text in the line of a connection, with a tail, or in the wrong place.
    (Stack::Nginx, "*worker process 18376 exited on signal 11", None),
    (Stack::Nginx, "worker process 18376 exited on signal 11, client: 192.0.2.1", None),
    (Stack::Nginx, "*open() \"/var/www/worker process 1 exited on signal 11\" failed (2: No such file or directory)", None),
    (Stack::Nginx, "worker process 18376 exited with code 0", None),
    (Stack::Nginx, "cache manager process 18376 exited on signal 11", None),
    (Stack::Nginx, "exiting", None),
    (Stack::Nginx, "signal 10 (SIGUSR1) received, reopening logs", None),
    (Stack::Nginx, "signal 17 (SIGCHLD) received from 18376", None),
    (Stack::Nginx, "start worker process 18376", None),
    (Stack::Nginx, "*768 worker_connections are not enough", None),
    (Stack::Nginx, "accept4() failed (103: Software caused connection abort)", None),
    (Stack::Nginx, "*socket() failed (24: Too many open files) while connecting to upstream", None),
    (Stack::Nginx, "*connect() failed (101: Network is unreachable) while resolving", None),
    (Stack::Nginx, "*peer closed connection in SSL handshake while SSL handshaking", None),
    (Stack::Nginx, "*upstream prematurely closed connection while reading upstream", Some(Sig::UpstreamBodyCut)),
    (Stack::Nginx, "*upstream sent invalid chunked response while reading upstream", Some(Sig::UpstreamBodyCut)),
    (Stack::Nginx, "*upstream sent more data than specified in \"Content-Length\" header while reading upstream", None),
    (Stack::Nginx, "*upstream server temporarily disabled while connecting to upstream", None),
    (Stack::Nginx, "*FastCGI sent in stderr: \"Primary script unknown\" while reading response header from upstream", None),
    (Stack::Nginx, "*FastCGI sent in stderr: \"PHP message: PHP Warning:  PHP Fatal error:  Allowed memory size of 1 bytes exhausted in /x.php on line 1\" while reading upstream", Some(Sig::PhpOther)),
    (Stack::Nginx, "*delaying request, excess: 0.990, by zone \"perip\"", None),
    (Stack::Nginx, "*limiting requests, dry run, excess: 20.990 by zone \"perip\"", None),
    (Stack::Nginx, "*limiting connections, dry run, by zone \"addr\"", None),
    (Stack::Nginx, "*client sent too large request while reading client request headers", Some(Sig::ClientBadRequest)),
    (Stack::Nginx, "*client sent too long header line: \"x\" while reading client request headers", Some(Sig::ClientBadRequest)),
    (Stack::Nginx, "*open() \"/usr/share/nginx/html/favicon.ico\" failed (2: No such file or directory)", None),
    (Stack::Nginx, "*open() \"/var/www/cache/page.html\" failed (13: Permission denied)", None),
    (Stack::Nginx, "*open() \"/var/www/tmp/0000000001\" failed (2: No such file or directory)", None),
    (Stack::Nginx, "*an upstream response is buffered to a temporary file /var/lib/nginx/fastcgi/1/00/0000000001 while reading upstream", None),
    (Stack::Nginx, "could not allocate new session in SSL session shared cache \"SSL\"", None),
    (Stack::Nginx, "*broken pipe: \"x\"", None),
    (Stack::Nginx, "*ModSecurity: Warning. Matched \"Access denied with connection close\"", None),

    (Stack::Apache, "*child pid 13901 exit signal Segmentation fault (11)", None),
    (Stack::Apache, "AH00052: child pid 13901 exit signal Segmentation fault (11) said a script", None),
    (Stack::Apache, "*AH01215: child pid 1 exit signal Segmentation fault (11): /usr/lib/cgi-bin/x", Some(Sig::CgiStderr)),
    (Stack::Apache, "*AH01071: Got error 'child pid 1 exit signal Segmentation fault (11)'", Some(Sig::ProxyStderr)),
    (Stack::Apache, "*caught SIGTERM, shutting down", None),
    (Stack::Apache, "AH10159: server is within MinSpareThreads of MaxRequestWorkers, consider raising the MaxRequestWorkers setting", None),
    (Stack::Apache, "AH00098: pid file /run/apache2/apache2.pid overwritten -- Unclean shutdown of previous Apache run?", None),
    (Stack::Apache, "*ModSecurity: Warning. Pattern match \"x\" at ARGS:a. [data \"Access denied with connection close\"]", None),
    (Stack::Apache, "*AH01618: user nosuchuser not found: /admin/", None),
    (Stack::Apache, "*AH03069: h2_session(5-1,DONE,0): sent GOAWAY, err=0, msg=", None),
    (Stack::Apache, "*h2_stream(751869-141-1,CLEANUP): started=1, scheduled=1, ready=0, out_buffer=0", None),
    (Stack::Apache, "ipa: INFO: [jsonserver_session] fred@example.local: idview_show(None)", None),
    (Stack::Apache, "*(13)Permission denied: AH00035: access to / denied (filesystem path '/root') because search permissions are missing", None),

    (Stack::Apache, "AH03494: RemoteIPProxyProtocol: disabled on 192.0.2.179:80", None),
    (Stack::Apache, "*RemoteIPProxyProtocol: enabled on 192.0.2.179:80", None),
    (Stack::HaProxy, "*https_in/1: SSL handshake failure", None),
    (Stack::HaProxy, "*https_in/1: Connection closed during SSL handshake", None),
    (Stack::HaProxy, "*https_in/1: SSL handshake failure (error:0A000076:SSL routines::no suitable signature algorithm)", None),
    (Stack::HaProxy, "https_in/1: SSL client certificate not trusted", None),
    (Stack::HaProxy, "web-in/2: Received something which does not look like a PROXY protocol header", None),
    (Stack::HaProxy, "*web-in/2: Received something which does not look like a NetScaler Client IP header", None),
    (Stack::HaProxy, "*web-in/2: Connection closed while waiting for PROXY protocol header", None),
    (Stack::HaProxy, "[ALERT]    (16080) : Current worker (16082) exited with code 1 (Exit)", None),
    (Stack::HaProxy, "[WARNING]  (16080) : Former worker (16082) exited with code 139 (Segmentation fault)", None),
    (Stack::HaProxy, "*[ALERT]    (16080) : Current worker (16082) exited with code 139 (Segmentation fault)", None),
    (Stack::HaProxy, "web/<NOSRV> GET /[ALERT]    (1) : Current worker (2) exited with code 139 (Segmentation fault)", None),
    (Stack::Lighttpd, "*server stopped by UID = 0 PID = 5249", None),
    (Stack::Lighttpd, "unexpected request for /server stopped", None),
    (Stack::LiteSpeed, "[172.70.240.21:1-0#x] GET /Reached per client hard connection limit: 1", None),
    (Stack::LiteSpeed, "[AutoRestarter] child process with pid=1240 exited with status=11!", None),

    (Stack::Fpm, "[pool www] child 271 started", None),
    (Stack::Fpm, "[pool www] child 9 exited on signal 11 (SIGSEGV) after 1.0 seconds from start, says a script", None),
    (Stack::Fpm, "[pool www] child 9, script '/x.php' (request: \"GET /execution timed out (1.0 sec), terminating\") executing too slow (2.6 sec), logging", Some(Sig::FpmSlow)),
    (Stack::Fpm, "failed to ptrace(ATTACH) child 9: Operation not permitted (1)", None),
    (Stack::Fpm, "error log file re-opened", None),
    (Stack::Php, "plain application message: PHP Fatal error:  Uncaught x", None),
    (Stack::Php, "worker process 1 exited on signal 11", None),

    (Stack::Kernel, "TCP: request_sock_TCP: Possible SYN flooding on port 443. Sending cookies.  Check SNMP counters.", None),
    (Stack::Kernel, "nf_conntrack: nf_conntrack: table full, dropping packet", None),
    (Stack::Kernel, "Memory cgroup stats for /mem2: cache:0KB rss:980KB", None),
    (Stack::Kernel, "audit: type=1701 comm=\"nginx\" sig=11 segfault at", None),
    (Stack::Systemd, "nginx.service: Main process exited, code=exited, status=0/SUCCESS", None),
    (Stack::Systemd, "nginx.service: Failed with result 'exit-code'.", None),
    (Stack::Systemd, "Starting nginx.service - A high performance web server...", None),
    (Stack::Systemd, "Started Session 12 of user root.", None),
    (Stack::Systemd, "Reloaded nginx.service - A high performance web server.", None),
    (Stack::Fail2ban, "[sshd] Found 198.51.100.9 - 2026-11-22 12:24:06", None),
    (Stack::Fail2ban, "[sshd] 198.51.100.9 already banned", None),
    (Stack::Firewall, "[UFW AUDIT] IN=eth0 OUT= SRC=172.70.240.21 DST=192.0.2.7 PROTO=TCP SPT=1 DPT=443", None),
    (Stack::Firewall, "IN=eth0 OUT= SRC=172.70.240.21 DST=192.0.2.7 PROTO=TCP SPT=1 DPT=443", None),
    (Stack::App, "worker process 1 exited on signal 11", None),
];

#[test]
fn what_only_resembles_it() {
    for (stack, text, expect) in NEAR {
        assert_eq!(found(*stack, text).map(|h| h.sig), *expect, "{text}");
    }
}

#[test]
fn what_children_say_is_never_about_a_process() {
    let mut said = line(Stack::Fpm, "[pool www] child 9 exited on signal 11 (SIGSEGV) after 1.0 seconds from start");
    assert!(signature(&said).is_some());
    said.raw_text = true;
    assert_eq!(signature(&said), None);
    said.message = Cow::Borrowed(b"NOTICE: PHP message: PHP Fatal error:  Uncaught Error: boom in /srv/x.php:3");
    assert_eq!(signature(&said).unwrap().sig, Sig::PhpFatal);
}

#[test]
fn a_dropped_second_header_is_only_a_warning() {
    let text =
        "*upstream sent duplicate header line: \"Expires: 0\", previous value: \"Expires: 1\" while reading response header from upstream";
    let mut line = line(Stack::Nginx, text);
    line.level = Some(cfray_model::Level::Error);
    assert_eq!(signature(&line).unwrap().sig, Sig::UpstreamBadHeader);
    line.level = Some(cfray_model::Level::Warn);
    assert_eq!(signature(&line), None);
}

#[test]
fn preface_in_an_access_line() {
    let mut line = Line::new(LineKind::Access, Stack::Apache);
    line.method = Some(Cow::Borrowed(b"PRI"));
    line.uri = Some(Cow::Borrowed(b"*"));
    assert_eq!(signature(&line).unwrap().sig, Sig::H2Preface);
    line.uri = Some(Cow::Borrowed(b"/PRI * HTTP/2.0"));
    assert_eq!(signature(&line), None);
}

#[test]
fn closes_in_access_lines() {
    let sig = |stack, status, state: &'static str, sent| {
        let mut line = Line::new(LineKind::Access, stack);
        (line.status, line.size, line.message) = (status, Some(sent), Cow::Borrowed(state.as_bytes()));
        signature(&line).map(|h| h.sig)
    };
    assert_eq!(sig(Stack::HaProxy, None, "PR--", 0), Some(Sig::ClosedByRule));
    assert_eq!(sig(Stack::HaProxy, Some(403), "PR--", 192), None, "a denial");
    assert_eq!(sig(Stack::HaProxy, Some(0), "PR--", 0), Some(Sig::Http2Error), "a session without a stream");
    assert_eq!(sig(Stack::HaProxy, Some(400), "PR--", 0), None, "HTTP/1 answers");
    assert_eq!(sig(Stack::HaProxy, Some(0), "CR--", 0), None);
    assert_eq!(sig(Stack::HaProxy, None, "CR--", 0), None, "the client left");
    assert_eq!(sig(Stack::App, Some(0), "", 0), Some(Sig::ClosedByRule));
    assert_eq!(sig(Stack::App, Some(0), "", 12), None);
    assert_eq!(sig(Stack::Nginx, Some(0), "", 0), None, "000 is an abort");
}

proptest! {
    #[test]
    fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), stack in 0usize..13) {
        use Stack::*;
        let stack = [Nginx, Apache, LiteSpeed, Lighttpd, HaProxy, Fpm, Php, Kernel, Systemd, Fail2ban, Firewall, ModSecurity, App].get(stack).copied().unwrap();
        let mut l = line(stack, "");
        l.message = Cow::Borrowed(&bytes);
        let _ = signature(&l);
        let _ = php_fault_file(&bytes);
    }

    /// Whatever a client asks for, a line about its request never speaks of a process.
    #[test]
    fn requests_cannot_forge_a_process(uri in "[ -~]{0,60}") {
        let text = format!("*open() \"/var/www{uri}\" failed (2: No such file or directory)");
        let hit = found(Stack::Nginx, &text);
        prop_assert!(hit.is_none_or(|h| h.sig == Sig::FileIo), "{text}");
    }

    /// Any prefix of a genuine message may be cut off by a limit; the rest must not become a process line.
    #[test]
    fn tails_mean_nothing(pick in any::<proptest::sample::Index>(), cut in 1usize..400) {
        let all = positives();
        let (stack, text, _) = all.get(pick.index(all.len())).unwrap();
        let Some(tail) = text.get(cut.min(text.len())..) else { return Ok(()) };
        if let Some(hit) = found(*stack, tail) {
            let about_process = matches!(hit.sig, Sig::NginxWorkerSignal | Sig::NginxStop | Sig::FpmChildSignal | Sig::FpmStop | Sig::ApacheStop | Sig::LighttpdStop);
            prop_assert!(!about_process || tail.len() + 10 >= text.len(), "{tail}");
        }
    }
}
