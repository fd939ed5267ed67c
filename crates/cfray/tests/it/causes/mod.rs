//! Each cause through the real binary: one site on which it happens, and one on which the same lines stand
//! in the logs but Cloudflare got a valid answer (or the lines are somebody else's), with other 520s about
//! that must not be blamed on it.

mod absent;
mod answers;
mod application;
mod backends;
mod blocked;
mod closes;
mod connections;
mod edge;
mod forged;
mod hidden;
mod limits;
mod limits_by_address;
mod metamorphic;
mod moments;
mod node;
mod processes;
mod report;
mod row;
mod serverconf;
mod short;
mod site;
mod tree;
mod unknown;
