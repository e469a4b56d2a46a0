//! Floor 1: TLS, of which nobody above knows more than that it is there: who is trusted and as whom we
//! come, and sessions that turn bytes of a socket into what was said, and back. No file is opened here
//! and no clock read: whoever has read a file hands it in with its path, for what is to be said of it.
//!
//! Read in this order: `pem` (certificates, keys and authorities of files), `validity` (from when until
//! when a certificate holds), `acceptor` (for clients who come to us), `connector` (for us who go to
//! others), `session` (one connection of either kind). The provider of the cryptography is chosen in
//! `provider` and nowhere else. A build without the feature `tls` has the same names in `absent`, and
//! nothing of these types can exist there.

use std::path::{Path, PathBuf};

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod acceptor;
#[cfg(feature = "tls")]
mod connector;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod session;
#[cfg(feature = "tls")]
mod validity;

#[cfg(not(feature = "tls"))]
pub use absent::{Acceptor, Connector, Session};
#[cfg(feature = "tls")]
pub use acceptor::Acceptor;
#[cfg(feature = "tls")]
pub use connector::{told, Connector};
#[cfg(feature = "tls")]
pub use session::Session;

/// Whether this build speaks TLS.
pub const SPOKEN: bool = cfg!(feature = "tls");
/// What is said where a build that does not is asked to.
pub const UNSPOKEN: &str = "this build speaks no TLS; build it with the feature `tls`";

/// A file in PEM that somebody has read.
#[derive(Clone, Debug)]
pub struct Pem {
    /// Where it lies, to be named when something is wrong with it.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// With what a server shows who it is, and whom it lets in.
#[derive(Clone, Debug)]
pub struct Served {
    /// Its certificate, and behind that those between it and an authority.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
    /// Who may vouch for clients, where those are asked for a certificate.
    pub clients: Option<(Pem, Demand)>,
}

/// Whether a client that is asked for a certificate has to show one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Without one it is not let in.
    Required,
    /// It may come without one, but not with a wrong one.
    Optional,
}

/// With what a client goes to others.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// Who may vouch for them.
    pub authorities: Pem,
    /// The certificate and the private key that are shown to who asks for one.
    pub identity: Option<(Pem, Pem)>,
}

/// What of TLS a shell has for its sockets. Whoever has a new one uses it for new connections, and those
/// that are there go on with what they began with.
#[derive(Clone, Default)]
pub struct Security {
    /// For clients.
    pub acceptor: Option<Acceptor>,
    /// For connections to others.
    pub connector: Option<Connector>,
}

/// The SHA-256 of a certificate.
pub type Digest = [u8; 32];

/// What became of bytes that came.
#[derive(Debug)]
pub enum Heard<'a> {
    /// The handshake is over. The other end has shown the certificate with this digest, if it has shown
    /// one at all, and somebody who is trusted has vouched for it.
    Open(Option<Digest>),
    /// This was said.
    Said(&'a [u8]),
}

/// Why a session cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It began with a request in clear text.
    ClearText,
    /// What came is no TLS, or not of a kind that is spoken or trusted here, in words.
    Broken(String),
}

/// Where systems keep the authorities that they trust, the usual ones first.
const PLACES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The file with the authorities of this system: what `$SSL_CERT_FILE` says, or the first of the usual
/// places that is there.
///
/// # Errors
/// There is none, with what to do.
pub fn authorities_of_system(
    said: Option<PathBuf>,
    is_there: impl Fn(&Path) -> bool,
) -> Result<PathBuf, String> {
    let said = said.filter(|file| !file.as_os_str().is_empty());
    let usual = || PLACES.iter().map(PathBuf::from).find(|file| is_there(file));
    said.or_else(usual).ok_or_else(|| {
        format!("this system has no authorities in {}; name some with cacert", PLACES.join(", "))
    })
}

/// The provider of the cryptography.
#[cfg(feature = "tls")]
fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_where_it_is_said_or_in_the_first_usual_place() {
        let found = |said: Option<&str>, there: &[&str]| {
            authorities_of_system(said.map(PathBuf::from), |path| {
                there.iter().any(|t| path == Path::new(t))
            })
        };
        assert_eq!(found(Some("/a"), &[PLACES[0]]), Ok("/a".into()));
        assert_eq!(found(Some(""), &[PLACES[3], PLACES[1]]), Ok(PLACES[1].into()));
        assert_eq!(found(None, &[PLACES[3]]), Ok(PLACES[3].into()));
        assert!(found(None, &[]).is_err_and(|error| error.contains("name some with cacert")));
    }
}
