//! Origin logs: bytes in, [`cfray_model::Line`] out. Pure: no I/O, no clocks, no state.
//!
//! One file a format and one line in [`registry::FORMATS`]; [`detect()`] chooses by content,
//! [`from_template()`] compiles a `log_format`, `LogFormat`, `ErrorLogFormat` or FPM
//! `access.format` string that the user gives, and [`signature()`] names messages with a known
//! meaning on the wire.
#![forbid(unsafe_code)]

pub mod access;
mod block;
pub mod clf;
pub mod cloudflare;
pub mod detect;
pub mod fields;
mod inner;
pub mod json;
pub mod registry;
pub mod serverconf;
pub mod signatures;
pub mod spec;
mod stamps;
mod support;
pub mod template;

pub mod apache_access;
pub mod apache_error;
pub mod app;
pub mod container;
pub mod custom_access;
pub mod fail2ban;
pub mod firewall;
pub mod haproxy;
pub mod har;
pub mod journal_export;
pub mod journal_json;
pub mod json_access;
pub mod kernel;
pub mod lighttpd;
pub mod litespeed;
pub mod modsec_audit;
pub mod nginx_access;
pub mod nginx_error;
pub mod own;
pub mod php_error;
pub mod php_fpm;
pub mod php_fpm_access;
pub mod php_slow;
pub mod syslog;
pub mod systemd;
pub mod uvicorn;
pub mod uwsgi;

pub use cloudflare::{cloudflare_ranges, is_cloudflare, reads_cloudflare};
pub use detect::detect;
pub use fields::time::ClfMemo;
pub use registry::FORMATS;
pub use signatures::{php_fault_file, signature};
pub use spec::{Detection, FormatSpec, Glance, LineError, RecordParser, Sample};
pub use template::{TemplateError, from_format, from_template};
