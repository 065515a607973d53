//! API keys as they are shown once: `bk_PREFIX_SECRET`. What is kept is the prefix, to find them by, and the digest.

use rules::Timestamp;
use sha2::{Digest as _, Sha256};
use store::{ApiKey, hex};
use subtle::ConstantTimeEq as _;

const MARK: &str = "bk_";
const PREFIX_LETTERS: usize = 12;
const SECRET_BYTES: usize = 32;

/// A key at the moment it is made.
pub struct Secret {
    pub prefix: String,
    pub digest: String,
    /// To be shown, once.
    pub text: String,
}

impl Secret {
    pub fn fresh() -> anyhow::Result<Self> {
        let (prefix, secret) = (random_hex(PREFIX_LETTERS / 2)?, random_hex(SECRET_BYTES)?);
        let text = format!("{MARK}{prefix}_{secret}");
        Ok(Self { digest: digest(&text), prefix, text })
    }
}

/// So many random bytes as sixteen digits write them.
pub fn random_hex(bytes: usize) -> anyhow::Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(hex(&random))
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// By what a key is found; none if it is not written like one.
pub fn prefix_of(text: &str) -> Option<&str> {
    let (prefix, secret) = text.strip_prefix(MARK)?.split_once('_')?;
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let fits = prefix.len() == PREFIX_LETTERS && secret.len() == 2 * SECRET_BYTES && is_hex(prefix) && is_hex(secret);
    fits.then_some(prefix)
}

/// Whether it is this key, and good at this second.
pub fn is_key(key: &ApiKey, text: &str, now: Timestamp) -> bool {
    let is_it: bool = digest(text).as_bytes().ct_eq(key.digest.as_bytes()).into();
    is_it && key.is_good(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_prefix_alone() {
        let secret = Secret::fresh().expect("random bytes");
        assert_eq!(prefix_of(&secret.text), Some(secret.prefix.as_str()));
        assert!(!secret.text.contains(&secret.digest) && secret.digest.len() == 64);
        for bad in ["", "bk_", "bk_0123456789ab_", "bk_0123456789ab", &secret.text[1..], &format!("{}0", secret.text)] {
            assert_eq!(prefix_of(bad), None, "{bad}");
        }
    }
}
