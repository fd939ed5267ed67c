//! Hashes: pseudonyms, and the page's Content-Security-Policy.

use base64::Engine;
use sha2::{Digest, Sha256};

/// Eight hex digits that stand for `value` in this run. SHA-256 over the key and a value that comes
/// after it; of the 256 bits 32 are shown, so the sum cannot be continued or turned back.
pub fn pseudonym(key: &[u8; 32], kind: &str, value: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update(value);
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// `sha256-…` as a Content-Security-Policy names an inline script or style.
pub fn csp_hash(content: &str) -> String {
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(content.as_bytes())))
}
