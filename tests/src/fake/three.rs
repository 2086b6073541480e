//! Three fake servers for a gate: one over HTTP, two over stdio, with what clients of each era can reach.

use super::Speaks;
use super::http::Http;
use super::stdio::Stdio;
use crate::gate::Setup;

/// The servers `web`, `old` and `new`.
pub struct Three {
    /// Over HTTP, of both eras.
    pub web: Http,
    /// Over stdio, legacy only.
    pub old: Stdio,
    /// Over stdio, of both eras.
    pub new: Stdio,
}

impl Three {
    /// Starts them, and sets a gate up before them: each by itself, the profiles `pair` (`web`, `old`) and `duo` (`web`,
    /// `new`), and a second key, `other`. `lines` go into each server's table.
    pub async fn start(lines: &str) -> (Self, Setup) {
        let three = Self {
            web: Http::start(Speaks::Both).await,
            old: Stdio::new(Speaks::Legacy),
            new: Stdio::new(Speaks::Both),
        };
        let setup = Setup::default()
            .server("web", &(three.web.endpoints() + lines))
            .server("old", &(three.old.command() + lines))
            .server("new", &(three.new.command() + lines))
            .table("[profile.pair]\nservers = [\"web\", \"old\"]\n")
            .table("[profile.duo]\nservers = [\"web\", \"new\"]\n")
            .key("other", "");
        (three, setup)
    }
}
