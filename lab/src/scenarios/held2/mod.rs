//! The second unseen set: recorded and scored once, when rules are frozen again. No scenario shares its stack
//! with one of `dev2`.

mod apps;
mod doubt;
mod fronts;
mod limits;
mod node;

use super::Scenario;

pub fn table() -> Vec<Scenario> {
    [apps::table, node::table, fronts::table, limits::table, doubt::table].iter().flat_map(|t| t()).collect()
}
