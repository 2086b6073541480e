//! Streams on which somebody listens to a server over HTTP: they live long and do nothing, so they take neither a
//! caller's permit nor one of the connections for calls. They have bounds of their own instead, for all and for each
//! client; nobody waits for one.

use std::time::Duration;

use super::Server;
use super::queue::{Flow, Permit, Reason};
use crate::failure::{Failure, Kind};

/// When a client whose stream was refused may come back: streams end seldom.
const COME_BACK: Duration = Duration::from_secs(30);

impl Server {
    /// The right to one stream, given back when dropped. Instances have one connection each, however many listen.
    ///
    /// # Errors
    /// Where there are as many as may be.
    pub async fn open_stream(&self, flow: Flow) -> Result<Permit, Failure> {
        if self.http().is_none() {
            return Ok(Permit::default());
        }
        self.streams.enter(flow).await.map_err(|refused| {
            let name = &self.settings.name;
            let text = match refused.reason {
                Reason::Own => format!(
                    "You have {} streams open on which you listen to the server {name}, as many as one client may have. Close one, or call without listening.",
                    self.settings.max_streams_per_client
                ),
                _ => format!(
                    "Nobody else can listen to the server {name} at the moment. Calls are served; try again later."
                ),
            };
            Failure::new(Kind::QueueFull, text).retry_after(COME_BACK)
        })
    }
}
