//! Where somebody is to whom a machine connects: over TCP, or on a unix socket of this host; and what is
//! kept there of which node runs what.

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

/// An etcd, and where in it something of ours stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cluster {
    /// Its members. Any of them will do.
    pub members: Vec<Address>,
    /// What all our keys begin with.
    pub prefix: String,
}

impl Cluster {
    /// One of its members, another one with each number.
    pub fn member(&self, number: usize) -> Option<&Address> {
        self.members.get(number.checked_rem(self.members.len())?)
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.members.iter().map(Address::host).collect();
        write!(f, "etcd://{}/{}", hosts.join(","), self.prefix)
    }
}

/// Where it is known which node runs what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Directory {
    /// At a lookupd.
    Lookupd(Address),
    /// In an etcd.
    Etcd(Cluster),
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookupd(address) => address.fmt(f),
            Self::Etcd(cluster) => cluster.fmt(f),
        }
    }
}
