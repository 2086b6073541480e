//! What TLS looks like towards clients: versions, suites, resumption, certificates by name.
//!
//! A listener makes one configuration per reload; certificates change under it without one.
//! Only suites with forward secrecy and authenticated encryption exist here.

pub mod authority;
pub mod certificates;
pub mod revoked;
pub(super) mod self_signed;
mod sessions;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};

use crate::config::settings::{Tls, TlsVersion};

pub use authority::Authority;
pub use certificates::Certificates;

/// In the order of preference: 128 bits are the cheaper ones, and enough.
static SUITES: &[SupportedCipherSuite] = &[
    suite::TLS13_AES_128_GCM_SHA256,
    suite::TLS13_AES_256_GCM_SHA384,
    suite::TLS13_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// The library's cryptography, narrowed to [`SUITES`].
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { cipher_suites: SUITES.to_vec(), ..aws_lc_rs::default_provider() })
}

/// Makes a listener's configuration, which takes its certificates from `certificates` at each handshake, and holds
/// those of clients against `clients`.
pub fn server_config(
    tls: &Tls,
    certificates: Arc<Certificates>,
    clients: Option<Arc<Authority>>,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[&SupportedProtocolVersion] = match tls.min_version {
        TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        TlsVersion::V1_3 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if tls.tickets {
        config.ticketer = sessions::tickets(tls.session_timeout)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Each client resumes one connection at a time; the default of two doubles the cost.
        config.send_tls13_tickets = 1;
    } else {
        config.session_storage = sessions::store(tls.session_timeout);
    }
    Ok(config)
}
