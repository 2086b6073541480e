//! Every metric that `/metrics` has: one row each. The documentation is compared with this table.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// As the text format says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells, as a sentence without its end.
    pub help: &'static str,
}

use Kind::{Counter, Gauge, Histogram};

const fn row(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, labels, help }
}

/// All of them, in the order in which they are written.
#[rustfmt::skip]
pub static FAMILIES: &[Family] = &[
    row("mcp_http_request_duration_seconds", Histogram, &["method", "route", "status_code"], "Time from the head of an HTTP request to the end of its answer"),
    row("mcp_request_duration_seconds", Histogram, &["server", "method", "status"], "Time from the head of a JSON-RPC request to the end of its answer"),
    row("mcp_tool_executions_total", Counter, &["server", "tool_name", "status"], "Calls of tools that ended"),
    row("mcp_resource_requests_total", Counter, &["server", "resource_type", "status"], "Reads of resources that ended, by the scheme of their URI"),
    row("mcp_active_connections", Gauge, &[], "Open connections of clients"),
    row("mcp_active_sessions", Gauge, &[], "Sessions of the legacy era that are open"),
    row("mcp_sessions_created_total", Counter, &[], "Sessions that clients have opened"),
    row("mcp_stream_events_total", Counter, &[], "Events that went to clients on streams"),
    row("mcp_stream_slow_events_total", Counter, &[], "Events that waited half a second or longer for their client"),
    row("mcp_stream_update_latency_seconds", Histogram, &[], "Time from an event to its way to the client"),
    row("process_cpu_seconds_total", Counter, &[], "Processor time of the process"),
    row("process_resident_memory_bytes", Gauge, &[], "Memory of the process that is in use"),
    row("process_virtual_memory_bytes", Gauge, &[], "Address space of the process"),
    row("process_open_fds", Gauge, &[], "Open descriptors"),
    row("process_max_fds", Gauge, &[], "Descriptors that may be open"),
    row("process_threads", Gauge, &[], "Threads of the process"),
    row("process_start_time_seconds", Gauge, &[], "When the process began, since 1970"),
    row("toolgate_build_info", Gauge, &["version"], "1, with the version of the daemon"),
    row("toolgate_config_revision", Gauge, &[], "The revision of the configuration that runs"),
    row("toolgate_ready", Gauge, &[], "1 while new calls should come here"),
    row("toolgate_draining", Gauge, &[], "1 while the gate goes away"),
    row("toolgate_health", Gauge, &["status"], "1 for the status that /health has"),
    row("toolgate_processors", Gauge, &[], "Processors that may be used"),
    row("toolgate_memory_limit_bytes", Gauge, &[], "Memory that may be used, by the control group or the machine"),
    row("toolgate_disk_used_ratio", Gauge, &[], "Share of the state folder's file system that is used"),
    row("toolgate_core_lag_seconds", Gauge, &[], "By how much the slowest core was late of late"),
    row("toolgate_certificate_expiry_timestamp_seconds", Gauge, &["listener", "file"], "When the certificate ends, since 1970"),
    row("toolgate_certificate_refused", Gauge, &["listener", "file"], "1 where newer files of the certificate were refused"),
    row("toolgate_load_average", Gauge, &["minutes"], "The machine's load average"),
    row("toolgate_overload_level", Gauge, &[], "How far the gate lets go of work because it has too much; 0 where it does not"),
    row("toolgate_audit_lines_total", Counter, &[], "Lines of the audit log that are on the disk"),
    row("toolgate_audit_lost_total", Counter, &[], "Lines of the audit log that were lost because none could be written"),
    row("toolgate_defects_total", Counter, &[], "Defects of the gate that ended a call or a task"),
    row("toolgate_calls_in_flight", Gauge, &[], "Requests that have begun and not ended"),
    row("toolgate_received_bytes_total", Counter, &["server"], "Bytes of requests"),
    row("toolgate_sent_bytes_total", Counter, &["server"], "Bytes of answers"),
    row("toolgate_phase_duration_seconds", Histogram, &["server", "phase"], "Where the time of calls went: queue, connect, first_byte, stream"),
    row("toolgate_server_up", Gauge, &["server"], "0 while calls to the server are likely to fail"),
    row("toolgate_server_calls_in_flight", Gauge, &["server"], "Permits of the server that are in use"),
    row("toolgate_server_calls_max", Gauge, &["server"], "Permits that the server has now"),
    row("toolgate_queue_waiting", Gauge, &["server"], "Calls that wait for a permit of the server"),
    row("toolgate_queue_max", Gauge, &["server"], "Calls that may wait for the server"),
    row("toolgate_queue_oldest_seconds", Gauge, &["server"], "How long the call that came first has waited"),
    row("toolgate_pool_connections", Gauge, &["server"], "Connections to the server, in use or idle"),
    row("toolgate_pool_connections_max", Gauge, &["server"], "Connections that the server may have"),
    row("toolgate_streams", Gauge, &["server"], "Streams on which somebody listens to the server"),
    row("toolgate_streams_max", Gauge, &["server"], "Such streams that the server may have"),
    row("toolgate_endpoint_ready", Gauge, &["server", "endpoint"], "1 where the endpoint takes calls, as far as its operator is concerned"),
    row("toolgate_breaker_state", Gauge, &["server", "endpoint", "state"], "1 for the state that the breaker is in"),
    row("toolgate_breaker_opened_total", Counter, &["server", "endpoint"], "How often the breaker opened by itself"),
    row("toolgate_retries_total", Counter, &["server"], "Tries of calls beyond the first"),
    row("toolgate_cache_entries", Gauge, &["server"], "Answers that are kept"),
    row("toolgate_cache_bytes", Gauge, &["server"], "Bytes of answers that are kept"),
    row("toolgate_cache_hits_total", Counter, &["server"], "Calls that were answered from the cache"),
    row("toolgate_cache_misses_total", Counter, &["server"], "Calls that the cache had no answer for"),
    row("toolgate_cache_evictions_total", Counter, &["server"], "Answers that gave way to others"),
    row("toolgate_guard_violations_total", Counter, &["server"], "Calls whose arguments did not fit their schema"),
    row("toolgate_instances", Gauge, &["server"], "Instances that run"),
    row("toolgate_instances_max", Gauge, &["server"], "Instances that may run"),
    row("toolgate_instances_started_total", Counter, &["server"], "Instances that were started"),
    row("toolgate_instances_memory_bytes", Gauge, &["server"], "Memory of all instances, where the kernel counts it"),
    row("toolgate_limit_rejected_total", Counter, &["limit", "place", "per"], "Calls that the limit refused"),
    row("toolgate_client_crl_next_update_timestamp_seconds", Gauge, &["listener", "file"], "When a newer list of revoked certificates of clients is due"),
    row("toolgate_client_crl_refused", Gauge, &["listener", "file"], "Whether newer authorities or lists of clients' certificates could not be used"),
    row("toolgate_authentication_failures_total", Counter, &["method"], "Wrong credentials that were shown"),
    row("toolgate_authentication_refused_total", Counter, &[], "Credentials that were not looked at because their address was blocked"),
    row("toolgate_authentication_blocked_addresses", Gauge, &[], "Addresses that are blocked for showing wrong credentials"),
    row("toolgate_issuer_keys", Gauge, &["issuer"], "Keys of the issuer that are known"),
    row("toolgate_issuer_fresh", Gauge, &["issuer"], "0 while keys of the issuer cannot be had"),
    row("toolgate_issuer_fetches_total", Counter, &["issuer", "status"], "Fetches of the issuer's keys that went well or failed"),
    row("toolgate_tokens_verified_total", Counter, &["issuer"], "Tokens whose signature was found good; those that are remembered are not counted again"),
    row("toolgate_tokens_refused_total", Counter, &["issuer", "reason"], "Tokens that were refused; without an issuer where it is not known"),
    row("toolgate_trace_spans_total", Counter, &["outcome"], "Spans for the collector of traces: sent, or lost because it did not take them in time"),
    row("toolgate_session_events_bytes", Gauge, &[], "Memory for what went on in sessions"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut names: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
        for family in FAMILIES {
            let name = family.name;
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind == Counter, "{name}");
            if family.kind == Histogram {
                assert!(name.ends_with("_seconds"), "{name}");
            }
            assert!(!family.help.is_empty() && !family.help.ends_with('.'), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FAMILIES.len());
    }
}
