//! Health, readiness, alerts and certificates, as probes, operators and webhooks see them.

mod alerts;
mod checks;
mod follows;
mod shown;
mod stage;
