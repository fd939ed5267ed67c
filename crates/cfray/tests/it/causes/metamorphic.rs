//! What may be done to the logs without changing a verdict, and what may not.
