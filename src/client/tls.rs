//! TLS below a connection that waits: the files that say whom to trust, and the handshake.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use rustls::{ClientConnection, StreamOwned};

use super::endpoint::Trust;
use crate::tls::{authorities_of_system, told, Connector, Pem, Trusted};

/// A connection over TLS.
pub(super) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Makes a connection one over TLS. The handshake is over when this returns.
///
/// # Errors
/// Why not, in words.
pub(super) fn secure(mut stream: TcpStream, host: &str, trust: &Trust) -> Result<Secured, String> {
    let mut client = Connector::new(&trusted(trust)?)?.client(host)?;
    while client.is_handshaking() {
        client.complete_io(&mut stream).map_err(|error| in_words(&error))?;
    }
    Ok(StreamOwned::new(client, stream))
}

fn trusted(trust: &Trust) -> Result<Trusted, String> {
    let authorities = match &trust.authorities {
        Some(file) => file.clone(),
        None => {
            let said = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
            authorities_of_system(said, Path::exists)?
        }
    };
    let identity = trust.identity.as_ref();
    let identity =
        identity.map(|(certificate, key)| Ok::<_, String>((read(certificate)?, read(key)?)));
    Ok(Trusted { authorities: read(&authorities)?, identity: identity.transpose()? })
}

fn read(path: &Path) -> Result<Pem, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Pem { path: path.to_owned(), bytes })
}

fn in_words(error: &std::io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    cause.map_or_else(|| error.to_string(), told)
}
