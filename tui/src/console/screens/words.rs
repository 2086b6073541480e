//! States as a sign, a word and a role, so that no state is told by its colour alone.

use toolgate_admin_api::{BreakerState, EndpointMode, ServerState};

use super::super::theme::Role;

/// How a server does.
pub(super) fn server(state: ServerState) -> (&'static str, Role) {
    let role = match state {
        ServerState::Up => Role::Good,
        ServerState::Degraded => Role::Warn,
        ServerState::Down | ServerState::CrashLoop => Role::Bad,
        ServerState::Idle | ServerState::Disabled | ServerState::Unknown => Role::Dim,
    };
    (state.word(), role)
}

/// What the operator wants of an endpoint.
pub(super) fn mode(mode: EndpointMode) -> (&'static str, Role) {
    match mode {
        EndpointMode::Ready => (mode.word(), Role::Good),
        _ => (mode.word(), Role::Info),
    }
}

/// What calls meet at a breaker.
pub(super) fn breaker(state: BreakerState) -> (&'static str, Role) {
    let role = match state {
        BreakerState::Closed => Role::Dim,
        BreakerState::HalfOpen => Role::Warn,
        BreakerState::Open => Role::Bad,
        BreakerState::ForcedOpen | BreakerState::ForcedClosed | BreakerState::Unknown => Role::Info,
    };
    (state.word(), role)
}

/// `healthy`, `warning`, `unhealthy`, `critical`.
pub(super) fn health(status: &str) -> Role {
    match status {
        "healthy" => Role::Good,
        "warning" => Role::Warn,
        "unhealthy" | "critical" => Role::Bad,
        _ => Role::Dim,
    }
}

/// How a call ended.
pub(super) fn outcome(outcome: &str) -> Role {
    match outcome {
        "ok" => Role::Good,
        "error" => Role::Bad,
        "refused" => Role::Warn,
        _ => Role::Dim,
    }
}

/// The role of a number of problems.
pub(super) fn problems(number: f64) -> Role {
    if number > 0.0 { Role::Warn } else { Role::Dim }
}

/// The share that is used, from 0 to 1.
pub(super) fn share(used: u64, max: u64) -> f64 {
    use super::super::units::to_float;
    if max == 0 { 0.0 } else { (to_float(used) / to_float(max)).min(1.0) }
}

/// The role of something that is so full.
pub(super) fn fullness(used: u64, max: u64) -> Role {
    match share(used, max) {
        share if share >= 0.9 => Role::Bad,
        share if share >= 0.7 => Role::Warn,
        _ if used == 0 => Role::Dim,
        _ => Role::Text,
    }
}
