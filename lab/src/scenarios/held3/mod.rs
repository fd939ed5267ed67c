//! The third unseen set: what sites behind Cloudflare usually run (nginx with PHP-FPM, Apache with mod_php or a
//! backend, nginx before Apache), of Debian 11, 12, 13 and testing, configured otherwise than in the other sets.

mod apache;
mod doubt;
mod fpm;
mod fronts;
mod others;
mod rules;

use super::Scenario;

pub fn table() -> Vec<Scenario> {
    [apache::table, fpm::table, fronts::table, others::table, rules::table, doubt::table].iter().flat_map(|t| t()).collect()
}
