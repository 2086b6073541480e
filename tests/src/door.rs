//! Where a stand-in listens: it can leave, and come back to the same address.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// An address at which somebody listens, until they leave or it is dropped.
pub struct Door {
    /// Where it is.
    pub address: SocketAddr,
    /// Begins to listen.
    serve: Box<dyn Fn(TcpListener) -> JoinHandle<()> + Send + Sync>,
    task: Option<JoinHandle<()>>,
}

impl Door {
    /// Has `meet` see to each connection.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn open<M, V>(meet: M) -> Self
    where
        M: Fn(TcpStream) -> V + Clone + Send + Sync + 'static,
        V: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let serve = Box::new(move |listener| tokio::spawn(accept(listener, meet.clone())));
        let task = Some(serve(listener));
        Self { address, serve, task }
    }

    /// Nobody listens any more.
    pub fn leave(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// They are there again, at the same address.
    ///
    /// # Panics
    /// When somebody else has its port by now.
    pub fn come_back(&mut self) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(self.address).expect("its port");
        self.task = Some((self.serve)(socket.listen(16).expect("a listener")));
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.leave();
    }
}

async fn accept<M, V>(listener: TcpListener, meet: M)
where
    M: Fn(TcpStream) -> V,
    V: Future<Output = io::Result<()>> + Send + 'static,
{
    // Connections end with the task: one that is away is away for those that are open as well.
    let mut open = JoinSet::new();
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            let visit = meet(socket);
            open.spawn(async move { drop(visit.await) });
        }
    }
}
