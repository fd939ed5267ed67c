//! One file a cause. A new cause is a file here and a line in `registry.rs`.

pub mod app_fatal;
pub mod backend_closed;
pub mod client_blocked;
pub mod edge_incident;
pub mod edge_ip_blocked;
pub mod headers_too_large;
pub mod http2_fault;
pub mod keepalive_race;
pub mod malformed_response;
pub mod neighbours;
pub mod oom_kill;
pub mod origin_520;
pub mod origin_pull_rejected;
pub mod plugin_fault;
pub mod pool_exhausted;
pub mod proxy_protocol;
pub mod request_rejected;
pub mod rule_dropped;
pub mod server_io;
pub mod server_restart;
pub mod throttled;
pub mod timeout_kill;
pub mod unknown;
pub mod worker_crash;
pub mod wrong_origin;
