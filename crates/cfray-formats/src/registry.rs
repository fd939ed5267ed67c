//! Every format of an origin log that cfray reads.

use crate::spec::FormatSpec;

/// Sorted by name. Adding a format: one file, one line here.
pub static FORMATS: &[&FormatSpec] = &[
    &crate::apache_access::FORMAT,
    &crate::apache_error::FORMAT,
    &crate::app::FORMAT,
    &crate::fail2ban::FORMAT,
    &crate::haproxy::FORMAT,
    &crate::journal_json::FORMAT,
    &crate::kernel::FORMAT,
    &crate::litespeed::FORMAT,
    &crate::modsec_audit::FORMAT,
    &crate::json_access::FORMAT,
    &crate::nginx_access::FORMAT,
    &crate::nginx_error::FORMAT,
    &crate::php_error::FORMAT,
    &crate::php_fpm::FORMAT,
    &crate::php_slow::FORMAT,
    &crate::syslog::FORMAT,
];

/// Looks a format up by its fixed name.
pub fn by_name(name: &str) -> Option<&'static FormatSpec> {
    FORMATS.iter().copied().find(|f| f.name == name)
}
