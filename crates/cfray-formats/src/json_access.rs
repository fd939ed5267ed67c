//! json_access
