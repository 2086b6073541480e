//! Certificate files, looked at: they exist, parse, and belong together.
//!
//! The listeners read the files themselves; this only tells an operator beforehand.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::super::tree::Node;
use super::Context;

/// Checks a chain and its key.
pub(super) fn check_pair(chain: (&Node, &Path), key: (&Node, &Path), context: &mut Context<'_>) {
    if !context.environment.scrutiny.opens_certificates() {
        return;
    }
    let certificates = certificates(chain.0, chain.1, context);
    let private = private_key(key.0, key.1, context);
    let (Some(certificates), Some(private)) = (certificates, private) else {
        return;
    };
    let signer = match any_supported_type(&private) {
        Ok(signer) => signer,
        Err(error) => {
            let message = format!("{} holds a key that cannot be used: {error}", key.1.display());
            return context.error(
                "invalid-certificate",
                key.0.place,
                message,
                "use an ECDSA key (P-256, P-384), an Ed25519 key, or RSA of 2048 to 8192 bits",
            );
        }
    };
    match CertifiedKey::new(certificates, signer).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => context.error(
            "certificate-mismatch",
            key.0.place,
            format!("{} is not the key of the first certificate in {}", key.1.display(), chain.1.display()),
            "name the key that the certificate was requested with; the leaf certificate comes first in its file",
        ),
        Err(error) => context.error(
            "invalid-certificate",
            chain.0.place,
            format!("the first certificate in {} cannot be used: {error}", chain.1.display()),
            "see what `openssl x509 -noout -text -in FILE` says about it",
        ),
    }
}

/// Checks a file of trusted authorities.
pub(super) fn check_authorities(node: &Node, path: &Path, context: &mut Context<'_>) {
    if context.environment.scrutiny.opens_certificates() {
        certificates(node, path, context);
    }
}

fn certificates(node: &Node, path: &Path, context: &mut Context<'_>) -> Option<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match read {
        Ok(list) if list.is_empty() => {
            let message = format!("{} holds no certificate", path.display());
            context.error(
                "invalid-certificate",
                node.place,
                message,
                "write the chain in PEM: -----BEGIN CERTIFICATE-----, the leaf first",
            );
            None
        }
        Ok(list) => Some(list),
        Err(error) => {
            unusable(node, path, &error, context);
            None
        }
    }
}

fn private_key(node: &Node, path: &Path, context: &mut Context<'_>) -> Option<PrivateKeyDer<'static>> {
    match PrivateKeyDer::from_pem_file(path) {
        Ok(key) => {
            if std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0) {
                let message = format!("every user of this machine can read {}", path.display());
                context.warning("readable-secret", node.place, message, format!("run: chmod o= {}", path.display()));
            }
            Some(key)
        }
        Err(PemError::NoItemsFound) => {
            let message = format!("{} holds no private key", path.display());
            context.error(
                "invalid-certificate",
                node.place,
                message,
                "write the key in PEM, without a passphrase: PKCS#8, PKCS#1 or SEC1",
            );
            None
        }
        Err(error) => {
            unusable(node, path, &error, context);
            None
        }
    }
}

fn unusable(node: &Node, path: &Path, error: &PemError, context: &mut Context<'_>) {
    use std::io::ErrorKind;
    let (message, help) = match error {
        PemError::Io(error) => (
            format!("{} cannot be read: {error}", path.display()),
            match error.kind() {
                ErrorKind::NotFound => "see that the path is right, and that the certificate was issued",
                ErrorKind::PermissionDenied => "let the user of the daemon read it, or run this as root",
                _ => "see that it is a readable file",
            },
        ),
        error => (
            format!("{} is not PEM: {error}", path.display()),
            "see what `openssl x509` or `openssl pkey` says about it",
        ),
    };
    context.error("unreadable-certificate", node.place, message, help);
}
