//! `run`: the collector until SIGINT or SIGTERM.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Arguments, Failure, fail, read_config};
use crate::Collector;
use crate::wait::RealWait;

/// Runs until it is told to stop.
pub(super) fn run(arguments: &Arguments) -> u8 {
    let outcome = read_config(&arguments.config).and_then(|config| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(74, format!("start the runtime: {error}")))?;
        runtime.block_on(serve(config))
    });
    match outcome {
        Ok(()) => 0,
        Err(failure) => fail(arguments, &failure),
    }
}

async fn serve(config: crate::config::Config) -> Result<(), Failure> {
    let signals = |kind| signal(kind).map_err(|error| Failure::new(74, format!("listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (signals(SignalKind::interrupt())?, signals(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let collector = Collector::start(config, Arc::new(RealWait::new()), token.clone()).await?;
    let (host, port) = collector.mqtt_addr();
    tracing::info!(mqtt = format!("{host}:{port}"), http = %collector.http_addr(), collector_key = %collector.ack_key(), "running");
    let told = tokio::select! {
        _ = interrupt.recv() => true,
        _ = terminate.recv() => true,
        // A task that found a bug stops the whole, so that a supervisor starts it anew.
        () = collector.stopping() => false,
    };
    token.cancel();
    collector.join().await;
    if told { Ok(()) } else { Err(Failure::new(74, "the collector stopped by itself; see its log")) }
}
