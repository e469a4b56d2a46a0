//! TLS below a connection: who is trusted, and the handshake. The provider of the cryptography is chosen
//! here and nowhere else.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::endpoint::Trust;

/// A connection over TLS.
pub(super) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Where systems keep the authorities that they trust, the usual ones first.
const PLACES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Makes a connection one over TLS. The handshake is over when this returns.
///
/// # Errors
/// Why not, in words.
pub(super) fn secure(mut stream: TcpStream, host: &str, trust: &Trust) -> Result<Secured, String> {
    let config = config(trust)?;
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| format!("{host:?} is no name that a certificate could have"))?;
    let client = ClientConnection::new(Arc::new(config), name);
    let mut client = client.map_err(|error| error.to_string())?;
    while client.is_handshaking() {
        client.complete_io(&mut stream).map_err(|error| told(&error))?;
    }
    Ok(StreamOwned::new(client, stream))
}

fn config(trust: &Trust) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(authorities(trust)?);
    let Some((certificate, key)) = &trust.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.map_err(|error| format!("{}: {error}", key.display()))?;
    builder
        .with_client_auth_cert(chain, private)
        .map_err(|error| format!("{}: {error}", certificate.display()))
}

fn authorities(trust: &Trust) -> Result<RootCertStore, String> {
    let file = match &trust.authorities {
        Some(file) => file.clone(),
        None => of_system().ok_or_else(|| {
            format!(
                "this system has no authorities in {}; name some with cacert",
                PLACES.join(", ")
            )
        })?,
    };
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(&file)?);
    if added == 0 {
        return Err(format!("{}: there is no certificate of an authority in it", file.display()));
    }
    Ok(roots)
}

fn of_system() -> Option<PathBuf> {
    let said = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty());
    let usual = || PLACES.iter().map(PathBuf::from).find(|file| file.exists());
    said.map(PathBuf::from).or_else(usual)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error| format!("{}: {error}", file.display());
    CertificateDer::pem_file_iter(file)
        .map_err(fault)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(fault)
}

/// What went wrong in a handshake, with what to do about it.
fn told(error: &std::io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            "nobody who is trusted vouches for its certificate; name its authority with cacert"
                .into()
        }
        Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS; try http://".into(),
        _ => error.to_string(),
    }
}
