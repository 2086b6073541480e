//! `load`: puts load on a server under test and prints what the clients saw as one line of JSON.
//!
//! `calls` opens its connections, says so, and begins at a line on its standard input; `hold` opens connections
//! or streams, says so, and keeps them until its standard input ends. Used by `tests/bench/run`.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use toolgate_tests::http::Target;
use toolgate_tests::load::{Aim, Calls, Clients, Pace, Until};
use toolgate_tests::mcp::Era;

#[derive(Parser)]
struct Options {
    /// The server's port on loopback.
    #[arg(long)]
    port: u16,
    /// The authority to trust; without it the server is spoken to in plain HTTP.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// The API key to send.
    #[arg(long)]
    key: Option<String>,
    /// Where MCP is served.
    #[arg(long, default_value = "/mcp")]
    path: String,
    #[arg(long, value_enum, default_value_t = Era::Legacy)]
    era: Era,
    #[arg(long, default_value_t = 64)]
    connections: u32,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Calls for some seconds.
    Calls {
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// Calls per second of all connections together; absent: as fast as answers come.
        #[arg(long, conflicts_with = "connect")]
        rate: Option<u32>,
        /// Open a connection for each call.
        #[arg(long)]
        connect: bool,
        /// The tool, by its name on that path.
        #[arg(long, default_value = "echo")]
        tool: String,
        /// Bytes of the tool's argument.
        #[arg(long, default_value_t = 120)]
        padding: usize,
    },
    /// Opens connections that have made one call, or streams, and keeps them.
    Hold {
        #[arg(long)]
        streams: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let target = match &options.ca {
        Some(ca) => Target::tls(options.port, ca),
        None => Target::plain(options.port),
    };
    let aim = Aim { target, path: options.path, key: options.key, era: options.era };
    match options.what {
        What::Calls { seconds, rate, connect, tool, padding } => {
            let pace = match (rate, connect) {
                (Some(rate), _) => Pace::PerSecond(rate),
                (None, true) => Pace::Connect,
                (None, false) => Pace::Closed,
            };
            let calls = Calls { aim, tool, padding };
            let clients = Clients::connect(calls, options.connections, pace).await;
            println!(r#"{{"open": {}}}"#, options.connections);
            // What connecting costs is not part of a call: the caller takes its measure and says go.
            io::stdin().read_line(&mut String::new())?;
            let until = Until::Elapsed(Duration::from_secs_f64(seconds));
            let seen = clients.call(until).await;
            println!("{}", serde_json::to_string(&seen).expect("numbers and texts"));
            Ok(())
        }
        What::Hold { streams } => hold(&aim, options.connections, streams).await,
    }
}

async fn hold(aim: &Aim, connections: u32, streams: bool) -> io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..connections {
        let mut client = aim.client().await?;
        if streams {
            let answered = client.open_stream().await?;
            if answered.status != 200 {
                return Err(io::Error::other(format!("a stream was answered {}", answered.status)));
            }
        } else {
            let raw = client.raw_call("echo", 120);
            client.connection().exchange(&raw).await?;
        }
        held.push(client);
    }
    println!(r#"{{"open": {connections}}}"#);
    // Until the caller closes our standard input, the connections stay as they are.
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}
