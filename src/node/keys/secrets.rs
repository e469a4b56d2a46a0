//! What nobody can guess: new keys, and salts. It is the hash of a seed of the kernel's and a counter, so
//! that the machine needs no descriptor for it, and a test gets the same each time.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// A source of secrets.
pub struct Secrets {
    seed: [u8; 32],
    count: u64,
}

impl Secrets {
    /// One from this seed, which is as secret as all that comes from it.
    pub fn seeded(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// Another source, from which nobody learns anything of this one, nor the other way round.
    pub fn apart(&self, what: &str) -> Self {
        let seed = Sha256::new().chain_update(self.seed).chain_update(what.as_bytes()).finalize();
        Self::seeded(seed.into())
    }

    /// Something of 32 bytes.
    pub fn fresh(&mut self) -> [u8; 32] {
        self.count += 1;
        Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.count.to_le_bytes())
            .finalize()
            .into()
    }

    fn half(&mut self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.fresh()[..16]);
        half
    }

    /// A new key: 32 hexadecimal digits, as the original's are.
    pub fn key(&mut self) -> String {
        HEXLOWER.encode(&self.half())
    }

    /// A salt for a password.
    pub fn salt(&mut self) -> [u8; 16] {
        self.half()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_one_and_all_depend_on_the_seed() {
        let mut secrets = Secrets::seeded([1; 32]);
        let (first, second) = (secrets.key(), secrets.key());
        assert_eq!(first.len(), 32);
        assert_ne!(first, second);
        assert_ne!(Secrets::seeded([2; 32]).key(), first);
        assert_eq!(Secrets::seeded([1; 32]).key(), first);
        let apart = |what| Secrets::seeded([1; 32]).apart(what).key();
        assert_ne!(apart("a"), first);
        assert_ne!(apart("a"), apart("b"));
        assert_eq!(apart("a"), apart("a"));
    }
}
