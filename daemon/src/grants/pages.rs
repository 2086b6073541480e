//! Where users allow the gate to act for them: a page that says who asks for what, the way to the provider, and back.
//!
//! Plain HTML without a script. Whoever sends a user here, a click is the user's own: the page that leads on demands the
//! cookie that the page before it has set, which no page of another site can send along (`SameSite`), and the provider's
//! answer counts for that browser alone. Without this, one client could have another's user give it the user's account.

use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderValue, Method, Response, StatusCode};
use toolgate_protocol::bridge::listen::List;
use tracing::{info, warn};

use super::link::Link;
use super::pending::{Flow, Stranger};
use super::{Grant, Grants};
use crate::audit::Event;
use crate::body::Body;
use crate::call::Call;
use crate::clock;
use crate::config::Secret;
use crate::config::settings::Endpoint;
use crate::lock::lock;
use crate::observe::Shown;
use crate::servers::Server;
use crate::servers::credentials::oauth::provider::Provider;
use crate::servers::credentials::oauth::wire::{self, Granted};
use crate::servers::credentials::users::Users;

/// Where links of clients begin.
pub const START: &str = "/oauth/start/";

/// Where providers send users back to.
pub const CALLBACK: &str = "/oauth/callback";

/// Tells one browser from another for the length of one authorization.
const BROWSER: &str = "toolgate_oauth";

/// What is wrong, as a page says it.
type Wrong = (StatusCode, String);

/// The URL with which a client's user begins.
pub fn start_url(call: &Call, users: &Users, server: &Server) -> String {
    let link = Link::new(call.client(), &server.settings.name, clock::unix_millis());
    format!("{}{START}{}", users.rules().public_url, link.seal(&call.core.gate.seal))
}

/// The page that says who asks for what, and with POST the way on.
pub async fn start(call: &Call) -> Response<Body> {
    let asked = match call.method {
        Method::GET => ask(call).await,
        Method::POST => lead_on(call).await,
        _ => Err((StatusCode::METHOD_NOT_ALLOWED, "This page is read, and its button pressed.".into())),
    };
    asked.unwrap_or_else(|wrong| refusal(&wrong))
}

/// The page that a provider sends users back to.
pub async fn callback(call: &Call) -> Response<Body> {
    if call.method != Method::GET {
        return refusal(&(StatusCode::METHOD_NOT_ALLOWED, "This page is read only.".into()));
    }
    finish(call).await.unwrap_or_else(|wrong| refusal(&wrong))
}

/// What a link leads to.
struct Asked {
    link: Link,
    server: Arc<Server>,
}

impl Asked {
    fn of(call: &Call) -> Result<Self, Wrong> {
        let over = || {
            let text =
                "This link is not valid, or not any more. Have your client call again, which gives you another one.";
            (StatusCode::NOT_FOUND, text.to_owned())
        };
        let text = call.argument.as_deref().ok_or_else(over)?;
        let link = Link::open(&call.core.gate.seal, text, clock::unix_millis()).ok_or_else(over)?;
        let server = call.policy.servers.get(&link.server).filter(|server| server.users().is_some());
        let server = Arc::clone(server.ok_or_else(over)?);
        Ok(Self { link, server })
    }

    fn users(&self) -> Result<&Arc<Users>, Wrong> {
        self.server.users().ok_or_else(|| (StatusCode::NOT_FOUND, "This server acts for no users.".into()))
    }
}

async fn ask(call: &Call) -> Result<Response<Body>, Wrong> {
    let asked = Asked::of(call)?;
    let users = asked.users()?;
    let endpoint = authorization_endpoint(users).await?;
    let host = escaped(&endpoint.authority());
    let (owner, client, server) =
        (escaped(&asked.link.owner), escaped(&asked.link.client), escaped(&asked.link.server));
    let scopes = &users.rules().registration.scopes;
    let mut wanted = String::new();
    for scope in scopes {
        // Writing to a String cannot fail.
        let _ = write!(wanted, "<li><code>{}</code></li>", escaped(scope));
    }
    let wanted = if scopes.is_empty() { String::new() } else { format!("<p>It asks for:</p><ul>{wanted}</ul>") };
    let body = format!(
        "<h1>Let {owner} use {server} as you?</h1>\
         <p>The client <b>{owner}</b> (<code>{client}</code>) asks to act for you at the server <b>{server}</b>, \
         through this gate. Whoever uses that client will be able to do there what you allow.</p>{wanted}\
         <p>Go on only if you use that client yourself and have just asked it for this. \
         You will be sent to <b>{host}</b> to log in and to agree.</p>\
         <form method=\"post\"><button>Go on to {host}</button></form>"
    );
    let origin = format!("{}://{}", if endpoint.tls { "https" } else { "http" }, endpoint.authority());
    let mut response = page(StatusCode::OK, "Allow a client to act for you", &body, Some(&origin));
    if browser(call).is_none() {
        let secure = if users.rules().public_url.starts_with("https:") { "; Secure" } else { "" };
        let cookie = format!("{BROWSER}={}; Path=/oauth/; HttpOnly; SameSite=Lax; Max-Age=1200{secure}", random());
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
    }
    Ok(response)
}

async fn lead_on(call: &Call) -> Result<Response<Body>, Wrong> {
    let asked = Asked::of(call)?;
    let users = asked.users()?;
    let Some(browser) = browser(call) else {
        let text = "Open the link in this browser first, and let it keep the cookie of this page.";
        return Err((StatusCode::FORBIDDEN, text.into()));
    };
    let endpoint = authorization_endpoint(users).await?;
    let (state, verifier) = (random(), random());
    let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
    let location = authorization_url(users, &endpoint, &state, &challenge);
    let now = clock::unix_millis();
    let flow = Flow::new(asked.link, Secret::new(verifier), browser.to_owned(), now);
    if !lock(&call.policy.grants.pending).send(state, flow, now) {
        return Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many users are on their way. Try again in a minute.".into(),
        ));
    }
    let unfit =
        || (StatusCode::BAD_GATEWAY, "The provider's address cannot be used. Tell the gate's operator.".to_owned());
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, HeaderValue::from_str(&location).map_err(|_| unfit())?);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// RFC 6749, section 4.1.1, with RFC 7636 and RFC 8707.
fn authorization_url(users: &Users, endpoint: &Endpoint, state: &str, challenge: &str) -> String {
    let rules = users.rules();
    let (redirect, scope) = (redirect_uri(users), rules.registration.scopes.join(" "));
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", rules.registration.client_id.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("state", state),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ];
    if !scope.is_empty() {
        pairs.push(("scope", &scope));
    }
    pairs.extend(rules.registration.resource.as_deref().map(|resource| ("resource", resource)));
    let join = if endpoint.url.contains('?') { '&' } else { '?' };
    format!("{}{join}{}", endpoint.url, wire::form(pairs))
}

fn redirect_uri(users: &Users) -> String {
    format!("{}{CALLBACK}", users.rules().public_url)
}

async fn authorization_endpoint(users: &Users) -> Result<Endpoint, Wrong> {
    if let Some(endpoint) = &users.rules().authorization_endpoint {
        return Ok(endpoint.clone());
    }
    let found = users.provider().metadata().await.map(|metadata| metadata.authorization_endpoint.clone());
    let why = match found {
        Ok(Some(endpoint)) => return Ok(endpoint),
        Ok(None) => "it does not say where users log in".to_owned(),
        Err(refused) => refused.why,
    };
    warn!(provider = users.provider().name(), "users cannot be sent to a provider: {why}");
    Err((
        StatusCode::BAD_GATEWAY,
        "The provider cannot be reached. Try again later, or tell the gate's operator.".into(),
    ))
}

async fn finish(call: &Call) -> Result<Response<Body>, Wrong> {
    let said = wire::parsed(call.argument.as_deref().unwrap_or_default());
    let flow = came_back(call, said.get("state").map(String::as_str).unwrap_or_default())?;
    let server = call.policy.servers.get(&flow.link.server).filter(|server| server.users().is_some());
    let gone = || (StatusCode::NOT_FOUND, "The server acts for no users any more.".to_owned());
    let server = server.ok_or_else(gone)?;
    let users = server.users().ok_or_else(gone)?;
    check_issuer(users.provider(), said.get("iss").map(String::as_str)).await?;
    if let Some(error) = said.get("error") {
        info!(server = flow.link.server, error = %Shown(error), "a user did not allow the gate to act for them");
        return Err((StatusCode::FORBIDDEN, format!("Nothing was allowed: the provider says {}.", Shown(error))));
    }
    let no_code = || (StatusCode::BAD_REQUEST, "The provider sent no code.".to_owned());
    let code = said.get("code").ok_or_else(no_code)?;
    let granted = exchange(users, code, &flow).await?;
    keep(&call.policy.grants, &flow.link, granted).await?;
    let allowed = Event::new("grant").with("client", &flow.link.client).with("server", &flow.link.server);
    call.core.gate.audit.tell(allowed);
    // What the client may see there is its own from now on.
    server.news.publish_changes(List::ALL);
    let (owner, name) = (escaped(&flow.link.owner), escaped(&flow.link.server));
    let body = format!(
        "<h1>Done</h1><p>The client <b>{owner}</b> may now act for you at the server <b>{name}</b>. \
         Close this page and go on in your client: what it was doing can be called again.</p>"
    );
    Ok(page(StatusCode::OK, "Allowed", &body, None))
}

fn came_back(call: &Call, state: &str) -> Result<Flow, Wrong> {
    let taken = lock(&call.policy.grants.pending).take(state, browser(call), clock::unix_millis());
    taken.map_err(|stranger| {
        let text = match stranger {
            Stranger::Unknown => "Nobody was sent to the provider with this, or has come back already.",
            Stranger::Late => "This took longer than ten minutes.",
            Stranger::Other => "This was begun in another browser.",
        };
        (StatusCode::BAD_REQUEST, format!("{text} Have your client call again, and open the link that it gives you."))
    })
}

/// An answer of another issuer would have its code sent to the wrong place (RFC 9207).
async fn check_issuer(provider: &Provider, iss: Option<&str>) -> Result<(), Wrong> {
    let Some(issuer) = provider.issuer() else { return Ok(()) };
    let fits = match iss {
        Some(iss) => wire::is_same_issuer(iss, issuer),
        None => !provider.metadata().await.is_ok_and(|metadata| metadata.names_itself),
    };
    if fits {
        return Ok(());
    }
    warn!(issuer, iss = %Shown(iss.unwrap_or_default()), "an answer to a user's authorization is of another issuer");
    Err((StatusCode::BAD_REQUEST, "The answer does not come from the provider that you were sent to.".into()))
}

async fn exchange(users: &Users, code: &str, flow: &Flow) -> Result<Granted, Wrong> {
    let redirect = redirect_uri(users);
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect.as_str()),
        ("code_verifier", flow.verifier.expose()),
    ];
    users.provider().token(&pairs).await.map_err(|refused| {
        warn!(server = flow.link.server, "a user's authorization came to nothing: {}", refused.why);
        let text = "The provider did not give the gate what you allowed. Have your client call again, or tell the gate's operator.";
        (StatusCode::BAD_GATEWAY, text.to_owned())
    })
}

async fn keep(grants: &Arc<Grants>, link: &Link, granted: Granted) -> Result<(), Wrong> {
    if grants.give(&link.server, &link.client, &link.owner, Grant::of(granted)).await {
        return Ok(());
    }
    warn!(server = link.server, "there are too many grants of users: revoke some");
    Err((StatusCode::SERVICE_UNAVAILABLE, "This gate keeps no more grants. Tell its operator.".into()))
}

/// Which browser asks, where it was here before.
fn browser(call: &Call) -> Option<&str> {
    let cookies = call.header(COOKIE)?;
    cookies.split(';').find_map(|cookie| {
        let value = cookie.trim().strip_prefix(BROWSER)?.strip_prefix('=')?;
        (!value.is_empty() && value.len() <= 64).then_some(value)
    })
}

/// 256 random bits, as a URL carries them.
fn random() -> String {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has a random source");
    URL_SAFE_NO_PAD.encode(bytes)
}

fn refusal((status, text): &Wrong) -> Response<Body> {
    page(*status, "This did not work", &format!("<h1>This did not work</h1><p>{}</p>", escaped(text)), None)
}

/// A page; its button, where it has one, may lead to `target`.
fn page(status: StatusCode, title: &str, body: &str, target: Option<&str>) -> Response<Body> {
    let text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title></head><body>{body}</body></html>\n"
    );
    let forms = target.map_or_else(|| "'none'".to_owned(), |target| format!("'self' {target}"));
    let policy = format!("default-src 'none'; form-action {forms}; frame-ancestors 'none'; base-uri 'none'");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Text as HTML shows it, without what steers its direction.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in Shown(text).to_string().chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_becomes_a_tag() {
        assert_eq!(escaped("<b a='\"'>&\u{202e}"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\\u{202e}");
    }

    #[test]
    fn a_page_runs_nothing_and_stands_in_no_other() {
        let response = page(StatusCode::OK, "t", "b", Some("https://as.example"));
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert_eq!(
            policy,
            "default-src 'none'; form-action 'self' https://as.example; frame-ancestors 'none'; base-uri 'none'"
        );
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
}
