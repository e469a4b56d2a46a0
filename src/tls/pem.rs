//! What is in files of PEM: certificates, private keys, authorities. What is wrong with one is told with
//! its path and what to do.

use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::RootCertStore;

use super::Pem;

/// The certificates of a file, in its order; at least one.
///
/// # Errors
/// There is none, or one cannot be read.
pub(super) fn certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = all_certificates(pem)?;
    match all.is_empty() {
        false => Ok(all),
        true => Err(format!(
            "{}: there is no certificate in it; it has to be in PEM, from -----BEGIN CERTIFICATE----- on",
            pem.path.display()
        )),
    }
}

fn all_certificates(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.bytes).collect();
    all.map_err(|error| format!("{}: {error}", pem.path.display()))
}

/// The first private key of a file.
///
/// # Errors
/// There is none, or it is not one that can be used.
pub(super) fn key(pem: &Pem) -> Result<PrivateKeyDer<'static>, String> {
    let shown = pem.path.display();
    let encrypted = pem.bytes.windows(9).any(|nine| nine == b"ENCRYPTED");
    let fault = |error: Error| {
        match (matches!(error, Error::NoItemsFound), encrypted) {
        (true, true) => format!(
            "{shown}: its private key needs a password, and nobody is there to give it; take that away \
             with openssl pkey -in {shown}"
        ),
        (true, false) => format!("{shown}: there is no private key in it"),
        (false, _) => format!("{shown}: {error}"),
    }
    };
    PrivateKeyDer::from_pem_slice(&pem.bytes).map_err(fault)
}

/// The authorities of a file.
///
/// # Errors
/// There is none.
pub(super) fn authorities(pem: &Pem) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(all_certificates(pem)?);
    if added == 0 {
        let shown = pem.path.display();
        return Err(format!("{shown}: there is no certificate of an authority in it"));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn pem(text: &str) -> Pem {
        Pem { path: Path::new("f.pem").into(), bytes: text.as_bytes().to_vec() }
    }

    const CERTIFICATE: &str = include_str!("../../tests/tls/node.pem");
    const KEY: &str = include_str!("../../tests/tls/node.key");

    #[test]
    fn files_hold_what_they_hold_and_faults_have_a_cure() {
        let both = pem(&format!("{CERTIFICATE}{KEY}"));
        assert_eq!(certificates(&both).map(|all| all.len()), Ok(1));
        assert!(key(&both).is_ok());
        let error = certificates(&pem(KEY)).expect_err("no certificate");
        assert!(error.starts_with("f.pem: there is no certificate in it; it has to be"), "{error}");
        let error = key(&pem(CERTIFICATE)).expect_err("no key");
        assert_eq!(error, "f.pem: there is no private key in it");
        let error = authorities(&pem(KEY)).expect_err("no authority");
        assert_eq!(error, "f.pem: there is no certificate of an authority in it");
        let locked = KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let error = key(&pem(&locked)).expect_err("locked");
        assert!(error.contains("needs a password"), "{error}");
        let cut = CERTIFICATE.replace("-----END CERTIFICATE-----", "");
        assert!(certificates(&pem(&cut)).is_err_and(|error| error.starts_with("f.pem: missing")));
    }
}
