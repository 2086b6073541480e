//! Which certificates are believed.
//!
//! The machine's authorities, or those of a file instead. A name mismatch or an unknown authority is
//! never overlooked; there is no switch for that.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use toolgate_admin_api::Exit;

use crate::failure::Failure;

/// The client side of TLS, for HTTP/1.1.
pub(crate) fn config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Failure> {
    let roots = match ca {
        Some(file) => from_file(file)?,
        None => from_machine()?,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::local("TLS cannot be set up", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn from_file(file: &Path) -> Result<RootCertStore, Failure> {
    let refuse = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format!("{} cannot be used: {error}.", file.display()))
            .remedy("--ca takes a PEM file with certificates of authorities.")
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| refuse(&error))? {
        let certificate = certificate.map_err(|error| refuse(&error))?;
        roots.add(certificate).map_err(|error| refuse(&error))?;
    }
    if roots.is_empty() {
        return Err(refuse(&"it has no certificate"));
    }
    Ok(roots)
}

fn from_machine() -> Result<RootCertStore, Failure> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(Failure::new(Exit::Failed, "This machine trusts no certificate authority.")
            .remedy("Install the package ca-certificates, or name a PEM file with --ca."));
    }
    Ok(roots)
}
