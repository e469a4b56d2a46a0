//! For us who go to others: whom we trust, and as whom we come.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, SignatureScheme,
};

use super::acceptor::identity;
use super::session::Session;
use super::{pem, provider, Trusted};

/// Connects over TLS. A copy is the same one.
#[derive(Clone)]
pub struct Connector(Arc<ClientConfig>);

impl Connector {
    /// One with these files.
    ///
    /// # Errors
    /// What is wrong, with the file and what to do.
    pub fn new(trusted: &Trusted) -> Result<Self, String> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(pem::authorities(&trusted.authorities)?);
        let config = match &trusted.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let own = Arc::new(identity(certificate, key)?);
                builder.with_client_cert_resolver(Arc::new(Always(own)))
            }
        };
        Ok(Self(Arc::new(config)))
    }

    /// The client's half of a connection to this host, which has to prove that it is that.
    ///
    /// # Errors
    /// No certificate could have such a name.
    pub fn client(&self, host: &str) -> Result<ClientConnection, String> {
        let name = ServerName::try_from(host.to_owned());
        let name =
            name.map_err(|_| format!("{host:?} is no name that a certificate could have"))?;
        ClientConnection::new(Arc::clone(&self.0), name).map_err(|error| error.to_string())
    }

    /// The same as a session, for who does not wait.
    ///
    /// # Errors
    /// No certificate could have such a name.
    pub fn session(&self, host: &str) -> Result<Session, String> {
        Ok(Session::new(self.client(host)?.into()))
    }
}

/// Shows the one certificate that there is to whoever asks for one.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What went wrong, with what to do about it.
pub fn told(error: &Error) -> String {
    use {AlertDescription as Alert, CertificateError as Certificate};
    let known = [
        (
            Error::InvalidCertificate(Certificate::UnknownIssuer),
            "nobody who is trusted vouches for its certificate; name its authority with cacert",
        ),
        (
            Error::AlertReceived(Alert::CertificateRequired),
            "it lets in only who shows a certificate",
        ),
        (
            Error::AlertReceived(Alert::UnknownCA),
            "it does not trust the authority of our certificate",
        ),
    ];
    let said = known.into_iter().find_map(|(known, said)| (known == *error).then_some(said));
    match (said, matches!(error, Error::InvalidMessage(_))) {
        (Some(said), _) => said.into(),
        (None, true) => "it does not speak TLS; try http://".into(),
        (None, false) => error.to_string(),
    }
}
