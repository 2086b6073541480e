//! The kinds of failure, and what each means on the wire.

use http::StatusCode;
use toolgate_protocol::error as code;

/// Who has to change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The request itself.
    Client,
    /// The MCP server behind the gate.
    Server,
    /// The gate or its operator.
    Gateway,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No such path.
    PathUnknown,
    /// The path exists, the method is not for it.
    MethodNotAllowed,
    /// `Host` names something this listener does not serve (RFC 9110, 15.5.20).
    HostRefused,
    /// A trusted proxy speaks for an address that is not on the allow-list.
    AddressRefused,
    /// `Origin` is not one of this listener's.
    OriginRefused,
    /// No credential.
    Unauthenticated,
    /// A credential that is not good, or not any more.
    CredentialRefused,
    /// A token without all the scopes that it must have.
    ScopeInsufficient,
    /// Nobody can tell whether a token is good: its issuer's keys cannot be had.
    IdentityUnavailable,
    /// The body is not JSON by its media type.
    MediaType,
    /// `Accept` lacks a type that the answer may have.
    NotAcceptable,
    /// The body is longer than the listener allows.
    BodyTooLarge,
    /// The body did not arrive.
    BodyIncomplete,
    /// Not JSON.
    Parse,
    /// JSON, but not a message.
    InvalidRequest,
    /// A parameter that the gate must understand is missing or wrong.
    InvalidParams,
    /// No such method in this era.
    MethodUnknown,
    /// A header and the body disagree.
    HeaderMismatch,
    /// The version is not served here.
    VersionUnsupported,
    /// Members of `_meta` that the modern era requires are missing.
    MetaMissing,
    /// The server speaks the other era only.
    EraUnsupported,
    /// A session id is required.
    SessionRequired,
    /// The operator lets this client do nothing.
    Suspended,
    /// The operator ended the call.
    Stopped,
    /// The operator switched the tool off.
    ToolDisabled,
    /// No such session, or another client's.
    SessionUnknown,
    /// The client may use the tool, and not with these arguments.
    Forbidden,
    /// No such tool, prompt or resource, or none that this client may use.
    NameUnknown,
    /// A limit of the operator.
    Limited,
    /// Too many calls wait.
    QueueFull,
    /// Waited too long.
    QueueTimeout,
    /// The server has failed so often that it gets no calls for a while.
    BreakerOpen,
    /// The server is known to be broken or ended.
    ServerUnavailable,
    /// The server did not answer in time.
    ServerTimeout,
    /// The server answered with something that is no answer.
    ServerGarbage,
    /// The client has cancelled the call itself.
    Cancelled,
    /// The client names an event that its session does not know.
    EventUnknown,
    /// Events of the call's stream are gone that its client has not had.
    EventsLost,
    /// The gate is going away.
    Draining,
    /// The gate has too much to do, and does not begin this.
    Overloaded,
    /// The gate has no room for another session.
    NoRoom,
    /// A defect of the gate.
    Internal,
}

impl Kind {
    /// The HTTP status of the answer in the modern era, and outside of requests.
    pub fn status(self) -> StatusCode {
        match self {
            Self::PathUnknown | Self::SessionUnknown | Self::MethodUnknown => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::HostRefused => StatusCode::MISDIRECTED_REQUEST,
            Self::AddressRefused
            | Self::OriginRefused
            | Self::ScopeInsufficient
            | Self::Suspended
            | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Unauthenticated | Self::CredentialRefused => StatusCode::UNAUTHORIZED,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyIncomplete
            | Self::Parse
            | Self::InvalidRequest
            | Self::HeaderMismatch
            | Self::VersionUnsupported
            | Self::MetaMissing
            | Self::EraUnsupported
            | Self::SessionRequired
            | Self::EventUnknown => StatusCode::BAD_REQUEST,
            Self::EventsLost => StatusCode::GONE,
            Self::InvalidParams | Self::NameUnknown | Self::ToolDisabled | Self::Cancelled => StatusCode::OK,
            // 503 and not 429: some clients throw the body of a 429 away, and with it the words for the agent.
            Self::Limited
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::Overloaded
            | Self::Draining
            | Self::NoRoom
            | Self::Stopped
            | Self::BreakerOpen
            | Self::IdentityUnavailable
            | Self::ServerUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::ServerTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::ServerGarbage => StatusCode::BAD_GATEWAY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The JSON-RPC error code.
    pub fn code(self) -> i64 {
        match self {
            Self::Parse => code::PARSE_ERROR,
            Self::InvalidRequest => code::INVALID_REQUEST,
            Self::MethodUnknown => code::METHOD_NOT_FOUND,
            Self::InvalidParams | Self::NameUnknown | Self::ToolDisabled | Self::MetaMissing => code::INVALID_PARAMS,
            Self::HeaderMismatch => code::HEADER_MISMATCH,
            Self::VersionUnsupported => code::UNSUPPORTED_PROTOCOL_VERSION,
            Self::Limited => code::gateway_code(429),
            Self::Cancelled => code::gateway_code(499),
            other => code::gateway_code(other.status().as_u16()),
        }
    }

    /// Whether a legacy request is answered with 200 and the JSON-RPC error: clients of that
    /// era end their session upon any other status, and the next call would fail as well.
    pub fn spares_the_session(self) -> bool {
        matches!(
            self,
            Self::MethodUnknown
                | Self::InvalidParams
                | Self::NameUnknown
                | Self::Forbidden
                | Self::Suspended
                | Self::Stopped
                | Self::ToolDisabled
                | Self::Limited
                | Self::QueueFull
                | Self::QueueTimeout
                | Self::Overloaded
                | Self::BreakerOpen
                | Self::ServerUnavailable
                | Self::ServerTimeout
                | Self::ServerGarbage
                | Self::Cancelled
                | Self::EventsLost
                | Self::Draining
                | Self::EraUnsupported
                | Self::Internal
        )
    }

    /// Whether it is the gate that does not want a call now, which might be answered at another time: the listener
    /// decides on the HTTP status.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::Limited
                | Self::QueueFull
                | Self::QueueTimeout
                | Self::Overloaded
                | Self::BreakerOpen
                | Self::Draining
                | Self::NoRoom
        )
    }

    /// Who has to change something.
    pub fn side(self) -> Side {
        match self {
            Self::BreakerOpen | Self::ServerUnavailable | Self::ServerTimeout | Self::ServerGarbage => Side::Server,
            Self::QueueFull
            | Self::QueueTimeout
            | Self::Suspended
            | Self::Stopped
            | Self::ToolDisabled
            | Self::Overloaded
            | Self::Draining
            | Self::NoRoom
            | Self::IdentityUnavailable
            | Self::Internal => Side::Gateway,
            _ => Side::Client,
        }
    }

    /// One word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::PathUnknown => "path-unknown",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::AddressRefused => "address-refused",
            Self::HostRefused => "host-refused",
            Self::OriginRefused => "origin-refused",
            Self::Unauthenticated => "unauthenticated",
            Self::CredentialRefused => "credential-refused",
            Self::ScopeInsufficient => "scope-insufficient",
            Self::IdentityUnavailable => "identity-unavailable",
            Self::MediaType => "media-type",
            Self::NotAcceptable => "not-acceptable",
            Self::BodyTooLarge => "body-too-large",
            Self::BodyIncomplete => "body-incomplete",
            Self::Parse => "parse",
            Self::InvalidRequest => "invalid-request",
            Self::InvalidParams => "invalid-params",
            Self::MethodUnknown => "method-unknown",
            Self::HeaderMismatch => "header-mismatch",
            Self::VersionUnsupported => "version-unsupported",
            Self::MetaMissing => "meta-missing",
            Self::EraUnsupported => "era-unsupported",
            Self::SessionRequired => "session-required",
            Self::SessionUnknown => "session-unknown",
            Self::NameUnknown => "name-unknown",
            Self::Forbidden => "forbidden",
            Self::Suspended => "suspended",
            Self::Stopped => "stopped",
            Self::ToolDisabled => "tool-disabled",
            Self::Limited => "limited",
            Self::QueueFull => "queue-full",
            Self::QueueTimeout => "queue-timeout",
            Self::BreakerOpen => "breaker-open",
            Self::ServerUnavailable => "server-unavailable",
            Self::ServerTimeout => "server-timeout",
            Self::ServerGarbage => "server-garbage",
            Self::Cancelled => "cancelled",
            Self::EventUnknown => "event-unknown",
            Self::EventsLost => "events-lost",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::NoRoom => "no-room",
            Self::Internal => "internal",
        }
    }
}
