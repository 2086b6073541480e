//! `[trace]`: where traces of calls go, and of which calls.

use toolgate_protocol::trace::Share;

use super::super::environment::Reader;
use super::super::secret::Secret;
use super::super::section::Section;
use super::super::settings::{Endpoint, Trace, UpstreamTls};
use super::super::tree::Table;
use super::super::url;
use super::secrets::{self, certificate_path};
use super::{Context, listener, observe};

/// Where collectors take traces over HTTP, as OTLP has it.
const PATH: &str = "/v1/traces";

pub(super) fn trace(table: Option<&Table>, context: &mut Context<'_>) -> Option<Trace> {
    let section = Section::new(table, "trace");
    let (headers, lacks) = headers(section, context);
    let Some(node) = section.written("endpoint") else {
        if let Some(entry) = table.and_then(|table| table.entries.first()) {
            let message = "nothing of [trace] has an effect: there is no collector";
            let help = "add endpoint = \"http://HOST:4318\", or remove the section";
            context.warning("no-effect", entry.key_place, message, help);
        }
        return None;
    };
    let endpoint = of_traces(url::endpoint(node.text()?).ok()?);
    if !endpoint.tls && !observe::is_loopback(&endpoint.host) {
        let message = "traces go to this collector without TLS, for everybody on the way to read";
        context.warning("plain-http", node.place, message, "write https://, or put a collector on this machine");
    }
    Some(Trace {
        endpoint,
        headers,
        tls: UpstreamTls {
            ca: section.valid("ca").and_then(|node| certificate_path(node, context)),
            ..UpstreamTls::default()
        },
        lacks,
        sample: Share(section.maybe_share("sample").unwrap_or_default()),
        trust_parent: section.bool("trust_parent"),
        service: section.text("service").unwrap_or_default(),
        timeout: section.duration("timeout"),
        interval: section.duration("interval"),
        batch: section.count("batch"),
        queue: section.count("queue"),
    })
}

/// The headers of every request, and why there can be none where one of their secrets is missing.
fn headers(section: Section<'_>, context: &mut Context<'_>) -> (Vec<(String, Secret)>, Option<String>) {
    let (mut headers, mut lacks) = (Vec::new(), None);
    for entry in section.entries("headers") {
        let found = (listener::header_name(entry, context), secrets::secret(entry, Reader::Front, context));
        match found {
            (Some(name), Some(Ok(value))) => headers.push((name, value)),
            (Some(_), Some(Err(fault))) => lacks = Some(fault.sentence()),
            _ => {}
        }
    }
    (headers, lacks)
}

/// A URL without a path is that of a collector as a whole.
fn of_traces(endpoint: Endpoint) -> Endpoint {
    if endpoint.path != "/" {
        return endpoint;
    }
    Endpoint { url: format!("{}{PATH}", endpoint.url.trim_end_matches('/')), path: PATH.to_owned(), ..endpoint }
}

#[cfg(test)]
mod tests {
    use crate::config::from_text;

    fn trace(text: &str) -> crate::config::settings::Trace {
        let settings = from_text(&format!("version = 1\n[trace]\n{text}")).expect("a configuration");
        (**settings.trace.as_ref().expect("traces")).clone()
    }

    #[test]
    fn a_collector_is_a_url_with_or_without_a_path() {
        for (url, path) in [
            ("http://localhost:4318", "/v1/traces"),
            ("http://localhost:4318/", "/v1/traces"),
            ("https://o.example/api/v1/traces", "/api/v1/traces"),
        ] {
            let trace = trace(&format!("endpoint = {url:?}"));
            assert_eq!(trace.endpoint.path, path, "{url}");
            assert_eq!((trace.sample.0, trace.trust_parent, trace.batch, trace.queue), (100_000, true, 512, 4096));
        }
    }

    #[test]
    fn headers_are_secrets_and_traces_without_a_collector_are_said_to_do_nothing() {
        let trace = trace("endpoint = \"http://localhost:4318\"\nsample = \"0.5%\"\nheaders.x-token = \"canary\"\n");
        assert_eq!((trace.sample.0, trace.headers.len()), (5_000, 1));
        assert!(!format!("{trace:?}").contains("canary"));
        let settings = from_text("version = 1\n[trace]\nsample = \"1%\"\n").expect("a configuration");
        assert!(settings.trace.is_none());
        assert!(settings.warnings.iter().any(|said| said.contains("no collector")), "{:?}", settings.warnings);
    }
}
