//! `toolgate certs`: certificates with their names, how long they hold, and why newer files are not served.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use toolgate_admin_api::{Certificate, Certificates, Exit, Shown};

use super::{Context, status};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Lists them; 3 where a newer one was refused, or one has ended.
pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/certs").await?;
    let Certificates { certificates } = answer.read()?;
    let now = now_ms();
    if context.json {
        output::raw(answer.json());
        output::raw(b"\n");
    } else {
        output::raw(text(&certificates, now).as_bytes());
    }
    let bad = |certificate: &Certificate| certificate.refused.is_some() || certificate.not_after_ms <= now;
    Ok(if certificates.iter().any(bad) { Exit::Degraded } else { Exit::Done })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn text(certificates: &[Certificate], now: u64) -> String {
    if certificates.is_empty() {
        return "No listener has a certificate.\n".to_owned();
    }
    let head = ["LISTENER", "NAMES", "ENDS", "LOADED", "ISSUER", "FINGERPRINT", "FILE"].map(String::from).to_vec();
    let rows = certificates.iter().map(|certificate| row(certificate, now));
    let mut text = output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    for certificate in certificates {
        if let Some(why) = &certificate.refused {
            let (listener, why) = (Shown(&certificate.listener), Shown(why));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n{listener}: a newer certificate is not served: {why}");
        }
    }
    text
}

fn row(certificate: &Certificate, now: u64) -> Vec<String> {
    let ends = match certificate.not_after_ms.checked_sub(now) {
        None | Some(0) => "has ended".to_owned(),
        Some(left) => format!("in {}", status::duration(left / 1000)),
    };
    let loaded = format!("{} ago", status::duration(now.saturating_sub(certificate.loaded_ms) / 1000));
    let fingerprint = certificate.fingerprint.get(..16).unwrap_or(&certificate.fingerprint);
    [
        certificate.listener.clone(),
        certificate.names.join(" "),
        ends,
        loaded,
        certificate.issuer.clone(),
        fingerprint.to_owned(),
        certificate.file.clone(),
    ]
    .iter()
    .map(|text| Shown(text).to_string())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_one_says_why() {
        let certificate = Certificate {
            listener: "public".into(),
            file: "/etc/a.pem".into(),
            names: vec!["a.example".into(), "b.example".into()],
            issuer: "CN=Test".into(),
            fingerprint: "ab".repeat(32),
            not_after_ms: 90_000_000,
            refused: Some("/etc/a.pem: does not go with the key".into()),
            ..Certificate::default()
        };
        let text = text(&[certificate], 3_600_000);
        assert!(text.contains("public    a.example b.example  in 1d 0h"), "{text}");
        assert!(text.contains("abababababababab  /etc/a.pem"), "{text}");
        assert!(
            text.ends_with("public: a newer certificate is not served: /etc/a.pem: does not go with the key\n"),
            "{text}"
        );
    }
}
