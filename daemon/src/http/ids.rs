//! Public ids: `acc_`, `svc_`, `inv_` and what an account's number and a number within it come to under a secret of
//! these books. They tell nobody how many there are, and need no row of their own.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use rules::AccountId;
use sha2::{Digest as _, Sha256};

/// What an id is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Account,
    Service,
    Invoice,
}

impl Kind {
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Account => "acc_",
            Self::Service => "svc_",
            Self::Invoice => "inv_",
        }
    }
}

/// Letters that nobody mistakes for one another: Crockford's.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

#[derive(Clone)]
pub struct Ids {
    account: Aes128,
    service: Aes128,
    invoice: Aes128,
}

impl Ids {
    /// Under this secret; a key of its own for each kind, so that no id is read as another kind's.
    pub fn of(secret: &str) -> Self {
        let cipher = |kind: Kind| {
            let digest = Sha256::new().chain_update(kind.prefix()).chain_update(secret).finalize();
            let mut key = [0; 16];
            key.copy_from_slice(&digest[..16]);
            Aes128::new(&Array::from(key))
        };
        Self { account: cipher(Kind::Account), service: cipher(Kind::Service), invoice: cipher(Kind::Invoice) }
    }

    fn cipher(&self, kind: Kind) -> &Aes128 {
        match kind {
            Kind::Account => &self.account,
            Kind::Service => &self.service,
            Kind::Invoice => &self.invoice,
        }
    }

    /// Of an account, with the number 0, or of what has that number within it.
    pub fn write(&self, kind: Kind, account: AccountId, number: i64) -> String {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&account.0.to_be_bytes());
        block[8..].copy_from_slice(&number.to_be_bytes());
        let mut block = Array::from(block);
        self.cipher(kind).encrypt_block(&mut block);
        let mut value = u128::from_be_bytes(block.into());
        let mut letters = [0; LENGTH];
        for letter in letters.iter_mut().rev() {
            *letter = LETTERS[usize::try_from(value & 31).unwrap_or_default()];
            value >>= 5;
        }
        format!("{}{}", kind.prefix(), letters.map(char::from).iter().collect::<String>())
    }

    /// None if it is no id of this kind; whether there is such a one only the books know.
    pub fn read(&self, kind: Kind, text: &str) -> Option<(AccountId, i64)> {
        let letters = text.strip_prefix(kind.prefix()).filter(|letters| letters.len() == LENGTH)?;
        let mut value: u128 = 0;
        for letter in letters.bytes() {
            let digit = LETTERS.iter().position(|known| *known == letter)?;
            value = value.checked_mul(32)?.checked_add(u128::try_from(digit).ok()?)?;
        }
        let mut block = Array::from(value.to_be_bytes());
        self.cipher(kind).decrypt_block(&mut block);
        let bytes: [u8; 16] = block.into();
        let half = |range: std::ops::Range<usize>| Some(i64::from_be_bytes(bytes.get(range)?.try_into().ok()?));
        Some((AccountId(half(0..8)?), half(8..16)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_by_nobody_else() {
        let (ids, others) = (Ids::of("secret"), Ids::of("another"));
        for (account, number) in [(1, 0), (i64::MAX, i64::MAX), (7, 3), (0, 0)] {
            let account = AccountId(account);
            for kind in [Kind::Account, Kind::Service, Kind::Invoice] {
                let id = ids.write(kind, account, number);
                assert_eq!(ids.read(kind, &id), Some((account, number)), "{id}");
                assert_ne!(others.read(kind, &id), Some((account, number)), "{id}");
                let other = id.replace(kind.prefix(), "svc_");
                assert!(kind == Kind::Service || ids.read(Kind::Service, &other) != Some((account, number)), "{id}");
            }
        }
        for bad in ["", "acc_", "acc_short", "acc_zzzzzzzzzzzzzzzzzzzzzzzzzz", "acc_UUUUUUUUUUUUUUUUUUUUUUUUUU", "ann"]
        {
            assert_eq!(ids.read(Kind::Account, bad), None, "{bad}");
        }
    }
}
