//! `tls.client_*` of a listener: whose certificates clients show, and which of them are revoked.

use super::super::section::Section;
use super::super::settings::ClientTls;
use super::super::tree::Node;
use super::secrets::certificate_path;
use super::{Context, tls as files};
use crate::listen::tls::revoked::Revoked;

/// Keys that mean nothing without `tls.client_ca`.
const BELOW: [&str; 2] = ["tls.client_crl", "tls.client_certificate"];

pub(super) fn clients(section: Section<'_>, context: &mut Context<'_>) -> Option<ClientTls> {
    let node = section.valid("tls.client_ca")?;
    let ca = certificate_path(node, context)?;
    files::check_authorities(node, &ca, context);
    let denies_expired_crl = section.text("tls.crl_expired").as_deref() != Some("warn");
    let crl = section.valid("tls.client_crl").and_then(|node| Some((node, certificate_path(node, context)?)));
    if let Some((node, path)) = &crl
        && context.environment.scrutiny.opens_certificates()
    {
        match Revoked::read(path) {
            Err(error) => {
                let message = format!("{} {}", error.file.display(), error.problem);
                context.error("unreadable-certificate", node.place, message, error.remedy);
            }
            Ok(revoked) if revoked.is_expired() => {
                let message = format!("the next update of {} is overdue", path.display());
                let help = if denies_expired_crl {
                    "fetch the new list: until then every certificate is refused, unless tls.crl_expired = \"warn\""
                } else {
                    "fetch the new list: what was revoked since is not known"
                };
                context.warning("expired-crl", node.place, message, help);
            }
            Ok(_) => {}
        }
    }
    let required = section.text("tls.client_certificate").map_or_else(|| is_alone(section), |word| word == "required");
    Some(ClientTls { ca, crl: crl.map(|(_, path)| path), denies_expired_crl, required })
}

/// Whether nothing but a certificate says who somebody is, or it is the listener's door for whoever says it otherwise.
fn is_alone(section: Section<'_>) -> bool {
    let auth = section.written("auth").map_or(&[][..], Node::elements);
    auth.len() < 2 || !auth.iter().any(|node| node.text() == Some("certificate"))
}

/// What stands there without the rest that it needs.
pub(super) fn check(section: Section<'_>, tls: bool, context: &mut Context<'_>) {
    let ca = section.written("tls.client_ca");
    for (key, node) in BELOW.iter().filter_map(|key| Some((key, section.written(key)?))).filter(|_| ca.is_none()) {
        let message = format!("`{key}` says nothing without the authorities that issue certificates");
        context.error("missing-key", node.place, message, "add tls.client_ca = \"file:PATH\", or remove it");
    }
    if let Some(node) = section.written("tls.crl_expired").filter(|_| section.written("tls.client_crl").is_none()) {
        let message = "`tls.crl_expired` says nothing without a list of revoked certificates";
        context.error("missing-key", node.place, message, "add tls.client_crl = \"file:PATH\", or remove it");
    }
    let auth = section.written("auth").map_or(&[][..], Node::elements);
    let certificate = auth.iter().find(|node| node.text() == Some("certificate"));
    if let Some(certificate) = certificate.filter(|_| ca.is_none() || !tls) {
        let message = "clients are asked for no certificate here";
        context.error(
            "missing-key",
            certificate.place,
            message,
            "add tls.client_ca = \"file:PATH\" of their authorities",
        );
    }
    let any = section.written("any_certificate").filter(|_| section.bool("any_certificate"));
    if let Some(any) = any.filter(|_| certificate.is_none()) {
        let message = "certificates say nothing of clients here";
        context.error("missing-key", any.place, message, "add \"certificate\" to `auth`, or remove it");
    }
}
