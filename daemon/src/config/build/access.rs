//! What a server is shown: `bearer` and `headers` of files, `credentials` of clients, and `oauth`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::environment::Reader;
use super::super::section::Section;
use super::super::settings::access::{
    Access, AuthMethod, Credential, Header, Holder, Oauth, Registration, Source, UserAuthorization,
};
use super::super::settings::{Endpoint, Listener, Organisation, Tier, UpstreamTls};
use super::super::tree::{Entry, Node, Table};
use super::super::url;
use super::listener::header_name;
use super::secrets::{certificate_path, secret};
use super::{Context, named, references};

/// Whether a secret is read from a file.
pub(super) fn is_file(entry: &Entry) -> bool {
    entry.node.text().is_some_and(|text| text.starts_with("file:"))
}

pub(super) fn access(section: Section<'_>, endpoints: &[(Endpoint, u32)], context: &mut Context<'_>) -> Access {
    let resource = endpoints.first().map(|(endpoint, _)| canonical(&endpoint.url));
    let access = Access {
        files: headers(section, is_file, context),
        credentials: credentials(section, context),
        required: section.bool("credentials_required"),
        oauth: oauth(section, resource.clone(), context),
        user: user(section, resource, context),
    };
    if let Some(node) = section.written("credentials_required").filter(|_| access.credentials.is_empty()) {
        let message = "`credentials_required` has no effect: no client has a credential here";
        context.warning(
            "no-effect",
            node.place,
            message,
            "add credentials = [{ client = \"…\", bearer = \"file:…\" }]",
        );
    }
    access
}

/// A server's URL as what tokens are for: without a query (RFC 8707, section 2).
fn canonical(url: &str) -> String {
    url.split('?').next().unwrap_or(url).to_owned()
}

/// `bearer` and `headers` of a table, where `wanted` says so.
fn headers(section: Section<'_>, wanted: impl Fn(&Entry) -> bool, context: &mut Context<'_>) -> Vec<Header> {
    let mut headers = Vec::new();
    for entry in section.entries("headers").iter().filter(|entry| wanted(entry)) {
        if let (Some(name), Some(secret)) = (header_name(entry, context), source(entry, context)) {
            headers.push(Header { name, before: "", secret });
        }
    }
    if let Some(secret) = section.entry("bearer").filter(|entry| wanted(entry)).and_then(|entry| source(entry, context))
    {
        headers.retain(|header| header.name != "authorization");
        headers.push(Header { name: "authorization".into(), before: "Bearer ", secret });
    }
    headers
}

fn source(entry: &Entry, context: &mut Context<'_>) -> Option<Source> {
    let read = secret(entry, Reader::Front, context)?.map_err(|fault| fault.sentence());
    match entry.node.text().and_then(|text| text.strip_prefix("file:")) {
        Some(path) => Some(Source::File(context.path(path, entry.node.place), read)),
        None => Some(Source::Fixed(read)),
    }
}

fn credentials(section: Section<'_>, context: &mut Context<'_>) -> Vec<Credential> {
    let mut all: Vec<Credential> = Vec::new();
    for node in section.written("credentials").map_or(&[][..], Node::elements) {
        let Some(credential) = credential(node, context) else { continue };
        if all.iter().any(|other| other.holder == credential.holder) {
            context.error("conflict", node.place, "there is a credential for the same already", "keep one of the two");
        } else {
            all.push(credential);
        }
    }
    all
}

fn credential(node: &Node, context: &mut Context<'_>) -> Option<Credential> {
    let section = Section::new(Some(node.table()?), "server.*.credentials[]");
    let holders = [
        section.text("client").map(Holder::Client),
        section.text("organisation").map(Holder::Organisation),
        section.text("tier").map(Holder::Tier),
    ];
    let mut holders = holders.into_iter().flatten();
    let (Some(holder), None) = (holders.next(), holders.next()) else {
        let message = "this credential must say whom it is for, with one of `client`, `organisation` and `tier`";
        context.error("missing-key", node.place, message, "write a table for each");
        return None;
    };
    let headers = headers(section, |_| true, context);
    if headers.is_empty() && section.written("bearer").is_none() && section.written("headers").is_none() {
        let help = "add bearer = \"file:…\", or headers";
        context.error("missing-key", node.place, "this credential says nothing", help);
    }
    Some(Credential { holder, headers })
}

/// Names that credentials are for must exist.
pub(super) fn check_holders(
    tree: &Table,
    tiers: &BTreeMap<String, Arc<Tier>>,
    organisations: &BTreeMap<String, Arc<Organisation>>,
    context: &mut Context<'_>,
) {
    for (_, server) in named(tree, "server") {
        for table in server.get("credentials").map_or(&[][..], Node::elements).iter().filter_map(Node::table) {
            let mut check = |kind: &str, known: &mut dyn Iterator<Item = &str>| {
                let known: Vec<&str> = known.collect();
                if let Some((node, name)) = table.get(kind).and_then(|node| Some((node, node.text()?)))
                    && !known.contains(&name)
                {
                    references::missing(kind, name, node.place, known.into_iter(), context);
                }
            };
            check("tier", &mut tiers.keys().map(String::as_str));
            check("organisation", &mut organisations.keys().map(String::as_str));
        }
    }
}

fn oauth(section: Section<'_>, resource: Option<String>, context: &mut Context<'_>) -> Option<Arc<Oauth>> {
    let node = section.written("oauth")?;
    let own = Section::new(Some(node.table()?), "server.*.oauth");
    if let Some(bearer) = section.written("bearer") {
        let message = "the server is shown a token that the gate asks for, or `bearer`, not both";
        context.error("conflict", bearer.place, message, "remove `bearer`, or `oauth`");
    }
    if own.lacks("issuer") && own.lacks("token_endpoint") {
        let help = "add issuer = \"https://…\", or token_endpoint";
        context.error("missing-key", node.place, "nothing says where the token is asked for", help);
    }
    let registration = registration(node, own, resource, context)?;
    if registration.client_secret.is_none() && own.lacks("client_secret") {
        let help = "add client_secret = \"file:…\"";
        context.error("missing-key", node.place, "only a client with a secret is given a token of its own", help);
    }
    Some(Arc::new(Oauth { registration }))
}

fn user(section: Section<'_>, resource: Option<String>, context: &mut Context<'_>) -> Option<Arc<UserAuthorization>> {
    let node = section.written("user_authorization")?;
    let own = Section::new(Some(node.table()?), "server.*.user_authorization");
    if let Some(credentials) = section.written("credentials") {
        let message = "each client has a credential that is written here, or one that its user allows, not both";
        context.error("conflict", credentials.place, message, "remove `credentials`, or `user_authorization`");
    }
    if own.lacks("issuer") && (own.lacks("authorization_endpoint") || own.lacks("token_endpoint")) {
        let help = "add issuer = \"https://…\", or authorization_endpoint and token_endpoint";
        context.error("missing-key", node.place, "nothing says where users allow it", help);
    }
    if own.lacks("public_url") {
        let help = "add public_url = \"https://…\", and serve = [\"oauth\", …] to the listener that is reached there";
        context.error("missing-key", node.place, "nothing says where users' browsers reach this gate", help);
    }
    plain(node, "public_url", context);
    let public = endpoint(own, "public_url");
    if let Some(node) = own.valid("public_url").filter(|_| public.as_ref().is_some_and(|url| url.path != "/")) {
        let message = "pages are served at /oauth/ of a listener, below no other path";
        context.error("invalid-value", node.place, message, "write scheme, host and port alone");
    }
    Some(Arc::new(UserAuthorization {
        registration: registration(node, own, resource, context)?,
        authorization_endpoint: endpoint(own, "authorization_endpoint"),
        public_url: public?.url.trim_end_matches('/').to_owned(),
    }))
}

/// Somebody must serve the pages that users are sent to.
pub(super) fn check_pages(tree: &Table, listeners: &[Arc<Listener>], context: &mut Context<'_>) {
    let wants = |server: &Table| server.get("user_authorization").map(|node| node.place);
    let Some(place) = named(tree, "server").find_map(|(_, server)| wants(server)) else { return };
    if !listeners.iter().any(|listener| listener.serve.oauth) {
        let message = "no listener serves the pages on which users allow it";
        context.error("missing-key", place, message, "add \"oauth\" to `serve` of the listener at public_url");
    }
}

/// Who the gate is at an authorization server.
fn registration(
    node: &Node,
    section: Section<'_>,
    resource: Option<String>,
    context: &mut Context<'_>,
) -> Option<Registration> {
    if section.lacks("client_id") {
        context.error("missing-key", node.place, "nothing says who the gate is there", "add client_id = \"…\"");
    }
    for key in ["issuer", "authorization_endpoint", "token_endpoint"] {
        plain(node, key, context);
    }
    let ca = section.valid("ca").and_then(|node| certificate_path(node, context));
    Some(Registration {
        issuer: endpoint(section, "issuer"),
        token_endpoint: endpoint(section, "token_endpoint"),
        client_id: section.text("client_id")?,
        client_secret: section.entry("client_secret").and_then(|entry| source(entry, context)),
        auth_method: match section.text("auth_method").as_deref() {
            Some("client_secret_post") => AuthMethod::Post,
            _ => AuthMethod::Basic,
        },
        scopes: section.texts("scopes"),
        resource: section.text("resource").or(resource),
        tls: UpstreamTls { ca, ..UpstreamTls::default() },
    })
}

fn endpoint(section: Section<'_>, key: &str) -> Option<Endpoint> {
    url::endpoint(&section.text(key)?).ok()
}

/// Secrets and tokens go to these places, and come from there.
fn plain(node: &Node, key: &str, context: &mut Context<'_>) {
    let Some(node) = node.table().and_then(|table| table.get(key)) else { return };
    let Some(endpoint) = node.text().and_then(|text| url::endpoint(text).ok()) else { return };
    let local = endpoint.host == "localhost"
        || endpoint.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if !endpoint.tls && !local {
        let message = "tokens and secrets would pass without TLS, for everybody on the way to read";
        context.error("plain-http", node.place, message, "write https://");
    }
}

impl Access {
    /// All secrets.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Source> {
        let own = self.files.iter().map(|header| &header.secret);
        let held = self.credentials.iter().flat_map(|credential| &credential.headers).map(|header| &header.secret);
        own.chain(held).chain(self.registrations().filter_map(|registration| registration.client_secret.as_ref()))
    }

    fn registrations(&self) -> impl Iterator<Item = &Registration> {
        let own = self.oauth.iter().map(|oauth| &oauth.registration);
        own.chain(self.user.iter().map(|user| &user.registration))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::settings::access::Holder;
    use crate::config::{Settings, from_text};

    const HEAD: &str = "version = 1\n[listener.a]\naddress = [\"127.0.0.1:1\"]\nauth = [\"key\"]\n[tier.paid]\nweight = 2\n[organisation.acme]\n";

    fn read(lines: &str) -> Result<Settings, String> {
        let text = format!("{HEAD}[server.s]\nendpoints = [\"https://s.example/mcp?x=1\"]\n{lines}\n");
        from_text(&text).map_err(|report| report.render(false))
    }

    #[test]
    fn what_is_written_is_what_holds() {
        let settings = read(
            "bearer = \"file:own\"\nheaders = { x-a = \"plain\", x-b = \"file:b\" }\n\
             credentials = [{ tier = \"paid\", bearer = \"file:paid\" }, { client = \"key:ana1\", headers.x-a = \"file:c\" }]",
        )
        .unwrap();
        let access = &settings.servers["s"].access;
        let names: Vec<_> = access.files.iter().map(|header| header.name.as_str()).collect();
        assert_eq!(names, ["x-b", "authorization"], "what is in no file stays with the other headers");
        let holders: Vec<_> = access.credentials.iter().map(|credential| credential.holder.clone()).collect();
        assert_eq!(holders, [Holder::Tier("paid".into()), Holder::Client("key:ana1".into())]);
        let settings =
            read("oauth = { issuer = \"https://as.example\", client_id = \"g\", client_secret = \"file:s\" }").unwrap();
        let oauth = settings.servers["s"].access.oauth.as_ref().unwrap();
        assert_eq!(oauth.registration.resource.as_deref(), Some("https://s.example/mcp"));
    }

    #[test]
    fn a_file_that_changes_is_no_change_of_the_configuration() {
        let one = read("bearer = \"file:own\"").unwrap();
        let two = read("bearer = \"file:other\"").unwrap();
        assert!(one.servers["s"].access.goes_on_as(&read("bearer = \"file:own\"").unwrap().servers["s"].access));
        assert!(!one.servers["s"].access.goes_on_as(&two.servers["s"].access));
    }

    #[test]
    fn what_cannot_hold_together_is_refused() {
        let oauth = "issuer = \"https://as.example\", client_id = \"g\", client_secret = \"file:s\"";
        let user = "issuer = \"https://as.example\", client_id = \"g\", public_url = \"https://g.example\"";
        for (lines, told) in [
            ("credentials = [{ bearer = \"file:x\" }]".to_owned(), "whom it is for"),
            ("credentials = [{ client = \"a\", tier = \"paid\", bearer = \"file:x\" }]".to_owned(), "whom it is for"),
            ("credentials = [{ client = \"a\" }]".to_owned(), "says nothing"),
            (
                "credentials = [{ client = \"a\", bearer = \"file:x\" }, { client = \"a\", bearer = \"file:y\" }]"
                    .to_owned(),
                "already",
            ),
            ("credentials = [{ tier = \"payed\", bearer = \"file:x\" }]".to_owned(), "did you mean \"paid\""),
            ("credentials = [{ organisation = \"x\", bearer = \"file:x\" }]".to_owned(), "no organisation \"x\""),
            (format!("bearer = \"file:x\"\noauth = {{ {oauth} }}"), "not both"),
            ("oauth = { client_id = \"g\", client_secret = \"file:s\" }".to_owned(), "where the token is asked for"),
            (
                "oauth = { issuer = \"http://as.example\", client_id = \"g\", client_secret = \"file:s\" }".to_owned(),
                "without TLS",
            ),
            (
                "oauth = { issuer = \"https://as.example\", client_id = \"g\" }".to_owned(),
                "only a client with a secret",
            ),
            (format!("transport = \"sse\"\noauth = {{ {oauth} }}"), "no tokens that change"),
            (format!("user_authorization = {{ {user} }}"), "no listener serves the pages"),
            ("user_authorization = { issuer = \"https://as.example\", client_id = \"g\" }".to_owned(), "public_url"),
            (
                format!("user_authorization = {{ {user}/gate }}").replace("g.example\"/gate", "g.example/gate\""),
                "below no other path",
            ),
        ] {
            let report = read(&lines).expect_err(&lines);
            assert!(report.contains(told), "{lines}\n{report}");
        }
    }
}
