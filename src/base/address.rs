//! Where somebody is to whom a machine connects: over TCP, or on a unix socket of this host.

use std::fmt;
use std::path::PathBuf;

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// Over TCP.
    Tcp {
        /// A name or an address; one of IPv6 without its brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// Over TCP and TLS.
    Tls {
        /// A name or an address; one of IPv6 without its brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl Address {
    /// What stands in the `Host` field of a request there.
    pub fn host(&self) -> String {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port } => match host.contains(':') {
                true => format!("[{host}]:{port}"),
                false => format!("{host}:{port}"),
            },
            Self::Unix(_) => "localhost".into(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { .. } => write!(f, "http://{}", self.host()),
            Self::Tls { .. } => write!(f, "https://{}", self.host()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
