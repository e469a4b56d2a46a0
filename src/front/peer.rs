//! Who is at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;

use crate::tls::Digest;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Tcp {
        /// The client's address.
        remote: SocketAddr,
        /// What is known by TLS, if it is spoken.
        tls: Option<Tls>,
    },
    /// Over the unix socket, which no browser page can reach.
    Unix {
        /// The user of the client's process, if the kernel told.
        uid: Option<u32>,
    },
}

/// What is known of a client over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificate that it has shown, once the handshake is over and if it has shown one: an
    /// authority that is named in the configuration vouches for it.
    pub certificate: Option<Fingerprint>,
}

/// The SHA-256 of a certificate, by which it is named elsewhere, too (`openssl x509 -fingerprint
/// -sha256`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint(pub Digest);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Peer {
    /// Whether it speaks TLS with us.
    pub fn is_over_tls(self) -> bool {
        matches!(self, Self::Tcp { tls: Some(_), .. })
    }

    /// The certificate that it has shown.
    pub fn certificate(self) -> Option<Fingerprint> {
        match self {
            Self::Tcp { tls, .. } => tls.and_then(|tls| tls.certificate),
            Self::Unix { .. } => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { remote, tls: None } => remote.fmt(f),
            Self::Tcp { remote, tls: Some(Tls { certificate: None }) } => write!(f, "{remote}/tls"),
            Self::Tcp { remote, tls: Some(Tls { certificate: Some(certificate) }) } => {
                write!(f, "{remote}/tls={certificate}")
            }
            Self::Unix { uid: Some(uid) } => write!(f, "unix:uid={uid}"),
            Self::Unix { uid: None } => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_told_with_all_that_is_known_of_it() {
        let remote = SocketAddr::from(([127, 0, 0, 1], 7));
        let tcp = |tls| Peer::Tcp { remote, tls }.to_string();
        assert_eq!(tcp(None), "127.0.0.1:7");
        assert_eq!(tcp(Some(Tls::default())), "127.0.0.1:7/tls");
        let certificate = Some(Fingerprint([0x0a; 32]));
        assert_eq!(tcp(Some(Tls { certificate })), format!("127.0.0.1:7/tls={}", "0a".repeat(32)));
        assert_eq!(Peer::Unix { uid: Some(3) }.to_string(), "unix:uid=3");
    }
}
