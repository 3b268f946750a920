//! `serve`: the API, jobs and loops of one replica, until SIGTERM or SIGINT.

use super::assemble;
use anyhow::{Context, Result};
use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use control_plane::{
    app::{
        App,
        catalogue::{RegionSeed, seed_regions},
    },
    clock::Clock,
    config::Config,
    http::{
        self,
        server::{self, Connections},
    },
    loops,
    store::Database,
    telemetry::{logs, traces::Traces},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// Who reads `/metrics`: a few, every few seconds.
const SCRAPERS: Connections = Connections { most: 32, silence: Duration::from_secs(120) };

pub async fn run(config: Config) -> Result<()> {
    let traces = Traces::new(&config.traces)?;
    logs::start_with(&config.log, traces.as_ref().map(Traces::tracer))?;
    if let Some(owner) = &config.database.owner_url {
        Database::migrate(owner.expose()).await.context("migrations")?;
    }
    let platform = assemble::platform(&config, &Clock::system())?;
    let app = assemble::app(&config, platform.nodes.clone(), platform.kafka.clone()).await?;
    seed_regions(&app.db, &[RegionSeed::local(config.driver.brokers_per_zone)], app.clock.now())
        .await
        .context("regions")?;
    let router = http::router(app.clone(), assemble::http_settings(&config.limits))?;
    let api = bind(config.listen).await?;
    let metrics = bind(config.metrics_listen).await?;
    let background = assemble::Background::start(&config, &app, platform)?;
    let housekeeping = tokio::spawn(loops::housekeeping::run(app.clone()));
    tracing::info!(address = %config.listen, metrics = %config.metrics_listen, "serving");

    let feed = tokio::spawn({
        let app = app.clone();
        async move { app.feed.listen(&app.db).await }
    });
    tokio::spawn({
        let app = app.clone();
        async move {
            let reason = signalled().await;
            tracing::info!(reason, "stopping: no new requests, those in flight are finished");
            app.stopping.cancel();
            app.feed.close();
        }
    });
    let serve_api = server::serve(api, router, assemble::connections(&config.limits), app.stopping.clone());
    let serve_metrics = server::serve(metrics, metrics_router(app.clone()), SCRAPERS, app.stopping.clone());
    let grace = Duration::from_secs(config.limits.stop_grace_seconds);
    let overdue = async {
        app.stopping.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(serve_api, serve_metrics) } => {}
        () = overdue => tracing::warn!(seconds = grace.as_secs(), "some requests did not end in time"),
    }
    background.stop().await;
    feed.await?;
    housekeeping.await?;
    app.db.close().await;
    tracing::info!("stopped");
    if let Some(traces) = traces {
        tokio::task::spawn_blocking(|| traces.stop()).await?;
    }
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; is another instance running?"))
}

/// The name of the signal that came.
async fn signalled() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return "signals cannot be heard";
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

fn metrics_router(app: Arc<App>) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(app)
}

async fn scrape(State(app): State<Arc<App>>) -> impl IntoResponse {
    app.metrics.set_pools(&app.db.pool_sizes());
    let text = app.metrics.encode().unwrap_or_else(|_| "# EOF\n".to_owned());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
