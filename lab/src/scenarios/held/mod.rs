//! Scenarios that are kept unseen: recorded and scored once, after the rules are frozen. Debian 13's
//! versions, other servers in front, IPv6 edges, other orders of the log fields.

mod fronts;
mod trixie;
mod zones;

use super::Scenario;

pub fn table() -> Vec<Scenario> {
    let mut all = trixie::table();
    all.extend(fronts::table());
    all.extend(zones::table());
    all
}
