//! The values that options and `cfray.toml` take: one reader for both, so that they cannot drift apart.

pub mod fail_on;
pub mod glob;
pub mod moment;
pub mod size;
pub mod status;
pub mod zone;

pub use fail_on::FailOn;
pub use glob::GlobPair;
pub use moment::Moment;
pub use size::Size;
pub use status::Statuses;
pub use zone::Zone;

/// Lets serde read a value by its `FromStr`.
macro_rules! deserialize_from_str {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use deserialize_from_str;
