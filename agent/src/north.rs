//! The thread of disk and network: writer and publisher, which both wait for the disk.
//!
//! It has a small runtime of its own, so that its timers and sockets wake it and nobody else. A wake-up is what an
//! agent mostly costs, so a sealed block goes from the writer to the publisher without one.

use std::sync::Arc;
use std::time::Duration;

use shopfloor::time::{Wait, Worker};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::identity::StateDir;
use crate::publish::Publisher;
use crate::recorder::Writer;

/// How long the publisher may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// What runs on the thread.
pub(crate) struct North {
    pub(crate) writer: Writer,
    pub(crate) worker: Box<dyn Worker>,
    pub(crate) publisher: Option<Publisher>,
    pub(crate) wait: Arc<dyn Wait>,
    /// Kept claimed until the last byte is written.
    pub(crate) directory: StateDir,
}

/// The running thread. Dropped, it seals what it has and ends by itself.
pub(crate) struct Running {
    stop: DropGuard,
    ended: oneshot::Receiver<()>,
}

impl North {
    /// Starts the thread. Errors: the system has none left.
    pub(crate) fn start(self) -> std::io::Result<Running> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, (done, ended)) = (CancellationToken::new(), oneshot::channel());
        let stopped = stop.clone();
        std::thread::Builder::new().name("north".to_owned()).spawn(move || {
            // A task, and not the future that the thread blocks on: waking that one costs a system call.
            let running = runtime.spawn(self.run(stopped));
            if let Ok(claimed) = runtime.block_on(running) {
                drop(claimed);
                // Nobody waits any more if the sources' runtime was shut down; then nobody needs to know.
                let _nobody = done.send(());
            }
        })?;
        Ok(Running { stop: stop.drop_guard(), ended })
    }

    async fn run(self, stop: CancellationToken) -> StateDir {
        let published = CancellationToken::new();
        let (wait, stopped) = (Arc::clone(&self.wait), published.clone());
        let publishing = self.publisher.map(|publisher| tokio::spawn(publisher.run(wait, stopped)));
        self.writer.run(&*self.wait, self.worker, stop).await;
        published.cancel();
        if let Some(publishing) = publishing {
            match tokio::time::timeout(GOODBYE, publishing).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the publisher ended abnormally"),
                Err(_) => tracing::warn!("the broker did not take the goodbye in time; its last will says it"),
            }
        }
        self.directory
    }
}

impl Running {
    /// Lets the thread seal the rest and say goodbye, and waits until it has.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        if self.ended.await.is_err() {
            tracing::error!("the thread of disk and network ended abnormally");
        }
    }
}
