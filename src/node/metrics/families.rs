//! What the metrics of a node are called and mean. Names are for ever: somebody's alarms hang on them. Labels are a
//! job's session and name, and words of closed lists; there is never one for each process. A job's name is `job_name`:
//! `job` is what Prometheus says itself of what it asks, and it would rename ours.

use crate::wire::openmetrics::{Family, Kind};

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::new(Kind::Gauge, name, help)
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family::new(Kind::Counter, name, help)
}

macro_rules! families {
    ($($name:ident = $family:expr;)*) => {
        $(pub(super) const $name: Family = $family;)*
        /// All of them, in the order in which they are told.
        pub const ALL: &[Family] = &[$($name),*];
    };
}

#[rustfmt::skip]
families! {
    BUILD = Family::new(Kind::Info, "gaffer_build", "Which gaffer this is.");
    READY = gauge("gaffer_ready", "Whether the node is ready, as /readyz says it.");
    DEGRADED = gauge("gaffer_state_unwritten", "Whether the state directory cannot be written.");
    JOBS = gauge("gaffer_jobs", "Loaded jobs, by their state: that of the instance that needs people most.");
    LEFT_OUT = gauge("gaffer_jobs_left_out", "Jobs of which nothing is told one by one, because there are too many.");
    INSTANCES = gauge("gaffer_instances", "Instances of a job, by their state; running is always told, and others where there are any.");
    TARGET = gauge("gaffer_job_target_instances", "How many instances of a job are to run: none while it is stopped.");
    RESTARTS = counter("gaffer_job_restarts", "Starts of a job's instances after an end that nobody had asked for.");
    ENDS = counter("gaffer_job_deaths", "Ended runs of a job, by how they ended.");
    KEPT_DEATHS = gauge("gaffer_job_deaths_kept", "Deaths of a job that are remembered.");
    CPU = counter("gaffer_job_cpu_seconds", "Processor time that a job's processes used, user and system.");
    MEMORY = gauge("gaffer_job_resident_memory_bytes", "Resident memory of a job's processes.");
    FDS = gauge("gaffer_job_open_fds", "Descriptors that a job's processes have open.");
    THREADS = gauge("gaffer_job_threads", "Threads of a job's processes.");
    PROCESSES = gauge("gaffer_job_processes", "Processes of a job, with those in the groups of the ones that were started.");
    OUTPUT = counter("gaffer_job_output_bytes", "What a job's processes wrote, by stream; custom stands for all of its own making.");
    UNLOGGED_NOW = gauge("gaffer_job_unlogged_instances", "Instances of a job whose output cannot be written to its log now.");
    UNLOGGED = counter("gaffer_job_unlogged_bytes", "What a job's processes wrote and could not be written to its log.");
    LOGS = gauge("gaffer_job_log_bytes", "What is kept of a job's output in the node's own logs on the disk.");
    ALL_LOGS = gauge("gaffer_log_bytes", "What is kept of output in the node's own logs on the disk, of all jobs and of former ones.");
    MOST_LOGS = gauge("gaffer_log_limit_bytes", "How much the node's own logs may take on the disk; 0 where there are none.");
    CONNECTIONS = gauge("gaffer_connections", "Connections of clients, by how they came and what they are used for.");
    RESPONSES = counter("gaffer_http_responses", "Answered requests, by the class of the status.");
    SESSIONS = gauge("gaffer_sessions", "Sessions of the channel.");
    SUBSCRIPTIONS = gauge("gaffer_subscriptions", "Subscriptions of sessions to topics.");
    FEEDS = gauge("gaffer_feeds", "Connections that follow one thing.");
    LOG_READERS = gauge("gaffer_log_readers", "Clients to whom logs are read.");
    WAITS = gauge("gaffer_waiting_requests", "Requests that are answered once something has come about.");
    QUEUED = gauge("gaffer_queued_bytes", "What waits for clients and for others, after it was told them.");
    LOST_MESSAGES = counter("gaffer_lost_messages", "Messages that were dropped because their readers did not keep up.");
    LOST_OUTPUT = counter("gaffer_lost_output_bytes", "Output that was dropped on its way to feeds that did not keep up.");
    INPUT = gauge("gaffer_input_queued_bytes", "What waits to be read by processes.");
    INPUT_LOST = counter("gaffer_input_lost_bytes", "What was sent to processes that ended or closed their input before they read it.");
    WEBHOOKS = gauge("gaffer_webhooks", "Addresses to which events are posted, by whether they take them.");
    HOOK_QUEUE = gauge("gaffer_webhook_queued_messages", "Messages that wait for webhooks.");
    DELIVERED = counter("gaffer_webhook_delivered_messages", "Messages that webhooks have taken.");
    DROPPED = counter("gaffer_webhook_dropped_messages", "Messages that no webhook will get any more.");
    LOOKUPS = gauge("gaffer_lookups", "Lookupds and etcds with which the node registers, by whether it is registered.");
    TURNS = Family::new(Kind::Histogram, "gaffer_turn_seconds", "How long turns of the node's loop took.");
    LONGEST = gauge("gaffer_turn_longest_seconds", "How long the longest turn of the node's loop took.");
    OWN_CPU = counter("process_cpu_seconds", "Processor time that the node itself used, user and system.");
    OWN_MEMORY = gauge("process_resident_memory_bytes", "Resident memory of the node itself.");
    OWN_VIRTUAL = gauge("process_virtual_memory_bytes", "Virtual memory of the node itself.");
    OWN_FDS = gauge("process_open_fds", "Descriptors that the node itself has open.");
    OWN_MOST_FDS = gauge("process_max_fds", "How many descriptors the node itself may have open.");
    OWN_THREADS = gauge("process_threads", "Threads of the node itself.");
    OWN_START = gauge("process_start_time_seconds", "When the node began, in seconds since 1970.");
}
