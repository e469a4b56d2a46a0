//! Documentation of the routes about webhooks.

use super::doc::{answer, doc, param, refusal, Answer, Body, Doc, Shape, JSON};
use crate::wire::http::Method;

const NONE: Answer = refusal(404, "There is no such webhook.");

pub(super) const DOCS: &[Doc] = &[
    doc(
        Method::Get,
        "/webhooks",
        "listWebhooks",
        "to whom events are posted, and how it stands with each (see [Webhooks](#webhooks))",
    )
    .answers(&[answer(200, "All of them.", &[(JSON, Shape::Json(
        r##"{"type": "object", "required": ["webhooks"], "properties": {"webhooks": {"type": "array", "items": {"$ref": "#/components/schemas/Webhook"}}}}"##,
    ))])]),
    doc(
        Method::Post,
        "/webhooks",
        "addWebhook",
        "post events to an address: `{\"event\": \"job.web\", \"url\": …}`, also `\"events\": […]` and `\"secret\"`; one that is made is told this once",
    )
    .body(Body::Json(Shape::Is("NewWebhook")))
    .answers(&[
        answer(200, "Events go there; what signs them is told if it was made just now.", &[(JSON, Shape::Is("WebhookTold"))])
            .with(&["Location"]),
        refusal(409, "There are too many webhooks, or names of events for this one."),
    ]),
    doc(Method::Get, "/webhooks/:hook", "showWebhook", "how it stands with one, by its id")
        .answers(&[answer(200, "How it stands with it.", &[(JSON, Shape::Is("Webhook"))]), NONE]),
    doc(Method::Delete, "/webhooks/:hook", "deleteWebhook", "post nothing there any more, or nothing of one name")
        .query(&[param("event", Shape::Is("WebhookEvent"), "The name of which nothing goes there any more.")])
        .answers(&[
            answer(200, "It is so.", &[(JSON, Shape::Is("Done"))]),
            NONE,
            refusal(409, "That stands in a file, and has to be taken away there."),
        ]),
    doc(
        Method::Post,
        "/webhooks/:hook/secret",
        "renewSecret",
        "another secret: `{\"secret\": …}`, or one that is made and told this once",
    )
    .body(Body::PerhapsJson(Shape::Json(
        r##"{"type": "object", "additionalProperties": false, "properties": {"secret": {"$ref": "#/components/schemas/WebhookSecret"}}}"##,
    )))
    .answers(&[
        answer(200, "For a day the one before signs, too.", &[(JSON, Shape::Is("WebhookTold"))]),
        NONE,
    ]),
    doc(
        Method::Post,
        "/webhooks/:hook/test",
        "testWebhook",
        "post a test there, and answer with what came of it: `{\"delivered\": true, \"status\": 200, …}`",
    )
    .answers(&[
        answer(200, "What came of it.", &[(JSON, Shape::Is("WebhookTest"))]),
        NONE,
        refusal(503, "Too many tests are waited for, or too many clients are here.").with(&["Retry-After"]),
    ]),
];
