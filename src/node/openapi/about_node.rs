//! Documentation of the routes about the node itself.

use super::doc::{answer, doc, param, refusal, Answer, Body, Doc, Shape, JSON};
use crate::wire::http::Method;

/// The words for what is in the log.
const LEVELS: &[&str] = &["critical", "error", "warning", "warn", "info", "debug", "trace"];

/// What probes are answered.
const TEXT: &str = "text/plain";
const HEALTH: &str = "application/health+json";

const HOSTS_LOG: Answer =
    refusal(409, "The node runs inside another program, and the log is that program's.");

pub(super) const DOCS: &[Doc] = &[
    doc(Method::Get, "/", "welcome", "name and version; `degraded` while the state directory cannot be written")
        .more("Who asks for `text/html` by its Accept field is sent to the dashboard.")
        .answers(&[
            answer(200, "Who answers here.", &[(JSON, Shape::Is("Welcome"))]),
            answer(303, "The [dashboard](#dashboard), for a browser.", &[]).with(&["Location"]),
        ]),
    doc(Method::Get, "/_dashboard", "dashboard", "the [dashboard](#dashboard): it is below this path with a slash")
        .answers(&[answer(301, "The path with a slash.", &[]).with(&["Location"])]),
    doc(Method::Get, "/_dashboard/*rest", "dashboardFile", "a file of the [dashboard](#dashboard)").answers(&[
        answer(200, "The file.", &[("*/*", Shape::Json("{}"))]).with(&["ETag"]),
        answer(304, "You have it already.", &[]).with(&["ETag"]),
        refusal(404, "There is no such file."),
    ]),
    doc(Method::Get, "/ping", "ping", "`OK`").answers(&[answer(
        200,
        "The node lives.",
        &[("text/html", Shape::Word(&["OK"]))],
    )]),
    doc(Method::Get, "/version", "version", "name and version")
        .answers(&[answer(200, "Which version this is.", &[(JSON, Shape::Is("Version"))])]),
    doc(Method::Get, "/openapi.json", "openapi", "this API as OpenAPI 3.1, for programs and their makers").answers(&[
        answer(200, "This document.", &[(JSON, Shape::Json(r#"{"type": "object", "required": ["openapi", "info", "paths"]}"#))]),
    ]),
    doc(Method::Get, "/livez", "livez", "`ok`, for who [starts a node again](#metrics-and-health) that hangs").answers(&[
        answer(200, "The loop turns.", &[(TEXT, Shape::Text)]).not_kept(),
    ]),
    doc(
        Method::Get,
        "/readyz",
        "readyz",
        "`ok`, or 503 with the reason while the node [is not ready](#metrics-and-health) for requests",
    )
    .answers(&[
        answer(200, "It is ready.", &[(TEXT, Shape::Text)]).not_kept(),
        answer(503, "It starts its jobs, shuts down, or cannot write its state.", &[(TEXT, Shape::Text)]),
    ]),
    doc(
        Method::Get,
        "/health",
        "health",
        "[how the node is](#metrics-and-health): `pass`, `warn` with how many jobs need people, or 503 and `fail`",
    )
    .answers(&[
        answer(200, "It is ready; jobs may need people.", &[(HEALTH, Shape::Is("Health"))]).not_kept(),
        answer(503, "It is not ready.", &[(HEALTH, Shape::Is("Health"))]),
    ]),
    doc(Method::Get, "/metrics", "metrics", "[metrics](#metrics-and-health), for Prometheus and its kin")
        .fields(&[param(
            "Accept",
            Shape::Text,
            "`application/openmetrics-text` for OpenMetrics 1.0; otherwise it is the text format 0.0.4.",
        )])
        .answers(&[answer(
            200,
            "All metrics, measured now.",
            &[("text/plain", Shape::Text), ("application/openmetrics-text", Shape::Text)],
        )
        .not_kept()]),
    doc(
        Method::Get,
        "/debug/counters",
        "counters",
        "how many connections, links of its own, sessions, subscriptions, feeds, watches, waits and queued bytes there are",
    )
    .answers(&[answer(200, "How much of everything there is.", &[(JSON, Shape::Is("Counters"))])]),
    doc(Method::Get, "/log-level", "log_level", "what is in the node's log").answers(&[
        answer(200, "What is in it.", &[(JSON, Shape::Is("LogLevel"))]),
        HOSTS_LOG,
    ]),
    doc(
        Method::Put,
        "/log-level",
        "set_log_level",
        "what is in the node's log from now on; answers that and what was before",
    )
    .more(
        "It holds until the node ends, or until SIGHUP finds another level in its file than when it last read that.",
    )
    .body(Body::Words(Shape::Is("SetLogLevel"), LEVELS))
    .answers(&[
        answer(200, "What is in it now, and was before.", &[(JSON, Shape::Is("LogLevel"))]),
        HOSTS_LOG,
    ]),
    doc(
        Method::Get,
        "/lookupds",
        "lookupds",
        "with which lookupds this node registers, as whom, and how it stands with each",
    )
    .answers(&[answer(200, "How it stands with each.", &[(JSON, Shape::Is("Lookupds"))])]),
];
