//! For clients who come to us: what we show them, and whom we let in.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig, ServerConnection};

use super::session::Session;
use super::{pem, provider, validity, Demand, Pem, Served};

/// Takes clients over TLS. A copy is the same one.
#[derive(Clone)]
pub struct Acceptor(Arc<ServerConfig>);

/// What is spoken above: whoever can choose is told.
const SPOKEN_ABOVE: &[u8] = b"http/1.1";

impl Acceptor {
    /// One with these files. What is odd about them but no error is added to the warnings.
    ///
    /// # Errors
    /// What is wrong, with the file and what to do.
    pub fn new(
        served: &Served,
        now: SystemTime,
        warnings: &mut Vec<String>,
    ) -> Result<Self, String> {
        let identity = identity(&served.certificate, &served.key)?;
        let odd = identity.cert.first().and_then(|own| validity::odd(own, now));
        warnings.extend(odd.map(|odd| format!("{}: {odd}", served.certificate.path.display())));
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &served.clients {
            None => builder.with_no_client_auth(),
            Some((authorities, demand)) => {
                let roots = Arc::new(pem::authorities(authorities)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = match demand {
                    Demand::Required => verifier,
                    Demand::Optional => verifier.allow_unauthenticated(),
                };
                let shown = authorities.path.display();
                let verifier = verifier.build().map_err(|error| format!("{shown}: {error}"))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(Always(Arc::new(identity))));
        config.alpn_protocols = vec![SPOKEN_ABOVE.to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// A session for a client that has just come.
    ///
    /// # Errors
    /// There cannot be one, in words.
    pub fn session(&self) -> Result<Session, String> {
        let server = ServerConnection::new(Arc::clone(&self.0));
        server.map(|server| Session::new(server.into())).map_err(|error| error.to_string())
    }
}

/// A certificate and the key that belongs to it.
///
/// # Errors
/// One of them cannot be used, or they do not belong together.
pub(super) fn identity(certificate: &Pem, key: &Pem) -> Result<CertifiedKey, String> {
    let chain = pem::certificates(certificate)?;
    let private = pem::key(key)?;
    let (shown, of) = (key.path.display(), certificate.path.display());
    let fault = |error: Error| {
        if matches!(error, Error::InconsistentKeys(_)) {
            return format!("{shown}: this is not the private key of the certificate in {of}");
        }
        format!("{shown} with {of}: {error}")
    };
    CertifiedKey::from_der(chain, private, &provider()).map_err(fault)
}

/// Shows the one certificate that there is, under whatever name a client comes.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
