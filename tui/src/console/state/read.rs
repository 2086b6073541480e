//! What the console asks for besides the watch.

use super::super::actions::segment;

/// Something that a route tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Read {
    Certificates,
    Audit,
    ToolChanges,
    /// Who owns the keys that clients call with.
    Clients,
    /// By its handle.
    Session(String),
    /// By its name, with what its instances wrote.
    Server(String),
    /// The limits that a client meets with a tool.
    Explain(String, String),
    /// Series, from, to, and how many points.
    History(Vec<String>, u64, u64, u64),
}

impl Read {
    /// The path and query.
    pub(crate) fn route(&self) -> String {
        match self {
            Self::Certificates => "/v1/certs".to_owned(),
            Self::Audit => "/v1/audit?limit=200".to_owned(),
            Self::ToolChanges => "/v1/tools/changes".to_owned(),
            Self::Clients => "/v1/clients?limit=1000&sort=seen".to_owned(),
            Self::Session(id) => format!("/v1/sessions/{}", segment(id)),
            Self::Server(name) => format!("/v1/servers/{}", segment(name)),
            Self::Explain(client, tool) => {
                format!("/v1/limits/explain?client={}&tool={}", segment(client), segment(tool))
            }
            Self::History(series, from, to, points) => {
                let series: Vec<_> = series.iter().map(|name| segment(name)).collect();
                format!("/v1/history?series={}&from={from}&to={to}&points={points}", series.join(","))
            }
        }
    }

    /// Only the control socket tells it.
    pub(crate) fn needs_control(&self) -> bool {
        matches!(self, Self::Audit | Self::Session(_) | Self::Server(_))
    }

    /// Milliseconds after which it is asked for again while it is in sight.
    pub(super) fn period_ms(&self) -> u64 {
        match self {
            Self::Session(_) | Self::Server(_) | Self::Explain(..) => 2_000,
            Self::Audit => 5_000,
            Self::Clients => 30_000,
            Self::Certificates | Self::ToolChanges | Self::History(..) => 10_000,
        }
    }
}
