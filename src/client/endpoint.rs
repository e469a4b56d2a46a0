//! A node with what a client needs to talk to it: where it is, the key to say, and whom to trust.

use std::fmt;
use std::path::PathBuf;

use super::address::Address;

/// A node as a client comes to it.
#[derive(Clone)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// What is said with every request to be let in.
    pub(super) key: Option<String>,
    /// A user's name and password, in the form of basic authentication (RFC 7617), for the one request that
    /// asks for a key.
    pub(super) basic: Option<String>,
    /// Whom to trust over TLS.
    pub trust: Trust,
}

/// Whom a client trusts over TLS, and as whom it comes. Files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The authorities that may vouch for the node. Without it, those of this system: what
    /// `$SSL_CERT_FILE` names, else the usual places.
    pub authorities: Option<PathBuf>,
    /// The client's own certificate and its private key, for a node that asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl fmt::Debug for Endpoint {
    /// Without the secrets: it may get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_key = self.key.is_some();
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("has_key", &has_key)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Self {
        Self { address, key: None, basic: None, trust: Trust::default() }
    }
}

impl Endpoint {
    /// Whether a key is said with every request.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Says this key with every request.
    ///
    /// # Errors
    /// It cannot be sent: it has something else than visible ASCII in it.
    pub fn use_key(&mut self, key: &str) -> Result<(), String> {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a key consists of visible ASCII".into());
        }
        self.key = Some(key.to_owned());
        Ok(())
    }
}
