//! `shim --to localhost:PORT --ca FILE --key KEY`: a plain loopback port that leads into a gate over TLS.
//!
//! For peers that cannot send a key or speak TLS. Adds `Authorization` to each request and passes all else,
//! `Host` and `Origin` included. When the client closes, so does the other side: nobody half-closes HTTP.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use toolgate_tests::framing::Inserter;

#[derive(Parser)]
struct Options {
    /// The gate, as HOST:PORT; HOST is the name in its certificate.
    #[arg(long)]
    to: String,
    /// The authority to trust, in PEM.
    #[arg(long)]
    ca: PathBuf,
    /// The API key to send.
    #[arg(long)]
    key: String,
    /// The port to listen on; 0: a free one, printed as `{"url": …}`.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let tls = connector(&options.ca);
    let (to, line): (Arc<str>, Arc<str>) = (options.to.into(), format!("Authorization: Bearer {}", options.key).into());
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    println!(r#"{{"url": "http://{}"}}"#, listener.local_addr()?);
    loop {
        let (client, _) = listener.accept().await?;
        let (tls, to, line) = (tls.clone(), Arc::clone(&to), Arc::clone(&line));
        tokio::spawn(async move {
            if let Err(error) = relay(client, &tls, &to, &line).await {
                eprintln!("shim: {error}");
            }
        });
    }
}

fn connector(ca: &std::path::Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("the authority's file") {
        roots.add(certificate.expect("a certificate")).expect("a certificate that can be trusted");
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn relay(client: TcpStream, tls: &TlsConnector, to: &str, line: &str) -> io::Result<()> {
    client.set_nodelay(true)?;
    let host = to.rsplit_once(':').map_or(to, |(host, _)| host).to_owned();
    let gate = TcpStream::connect(to).await?;
    gate.set_nodelay(true)?;
    let gate = tls.connect(ServerName::try_from(host).map_err(io::Error::other)?, gate).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_gate, mut to_gate) = tokio::io::split(gate);
    let upwards = async {
        let mut inserter = Inserter::new(line);
        let (mut read, mut out) = (Vec::with_capacity(16 * 1024), Vec::new());
        while from_client.read_buf(&mut read).await? > 0 {
            out.clear();
            inserter.feed(&read, &mut out);
            read.clear();
            to_gate.write_all(&out).await?;
            to_gate.flush().await?;
        }
        io::Result::Ok(())
    };
    tokio::select! {
        done = upwards => done,
        done = tokio::io::copy(&mut from_gate, &mut to_client) => done.map(|_| ()),
    }
}
