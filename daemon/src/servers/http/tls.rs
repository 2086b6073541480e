//! TLS towards servers: the client configuration, made once per server and reload.
//!
//! Called when a server is built. Sessions are resumed because all connections share the value.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::config::settings;

/// What the endpoints of a server with `https://` need.
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    /// The same that leaves the choice between HTTP/2 and HTTP/1.1 to the server.
    pub(super) choosing: Arc<ClientConfig>,
    /// Instead of the URL's host.
    pub(super) server_name: Option<ServerName<'static>>,
}

/// Reads the files that `tls` names. The error is a sentence that says what to do.
pub(super) fn client(tls: &settings::UpstreamTls) -> Result<Tls, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots(tls.ca.as_deref())?);
    let mut config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let key = PrivateKeyDer::from_pem_file(&files.key)
                .map_err(|error| format!("no private key can be read from {}: {error}", files.key.display()))?;
            builder
                .with_client_auth_cert(certificates(&files.chain)?, key)
                .map_err(|error| format!("the client certificate {} cannot be used: {error}", files.chain.display()))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut choosing = config.clone();
    choosing.alpn_protocols.insert(0, b"h2".to_vec());
    let server_name = tls.server_name.as_deref().map(name).transpose()?;
    Ok(Tls { config: Arc::new(config), choosing: Arc::new(choosing), server_name })
}

/// A host as TLS names it.
pub(super) fn name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is neither a DNS name nor an address"))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(
                "this machine has no trusted authorities: install `ca-certificates`, or set `tls.ca`".to_owned()
            );
        }
        return Ok(roots);
    };
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| format!("a certificate in {} is unusable: {error}", file.display()))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = |error| format!("no certificates can be read from {}: {error}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(read)?.collect::<Result<Vec<_>, _>>().map_err(read)?;
    if found.is_empty() {
        return Err(format!("{} contains no PEM certificate", file.display()));
    }
    Ok(found)
}
