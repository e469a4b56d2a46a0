//! Documentation of the routes about logins, keys and users.

use super::doc::{answer, doc, param, refusal, Body, Doc, Param, Shape, JSON};
use crate::wire::http::Method;

const INCLUDE_KEYS: Param =
    param("include_keys", Shape::Is("Flag"), "Whether all is told that is known of each.");
const INCLUDE_USER: Param =
    param("include_user", Shape::Is("Flag"), "Whether all is told that is known of each.");

pub(super) const DOCS: &[Doc] = &[
    doc(Method::Get, "/auth", "login", "a key for the name and password of basic authentication: `{\"api_key\": …}`")
        .more("The key is good for 30 days and permits what the user's own key does; it is null if the user has none.")
        .answers(&[
            answer(200, "The key, told this once.", &[(JSON, Shape::Json(
                r#"{"type": "object", "required": ["api_key"], "properties": {"api_key": {"type": ["string", "null"]}}}"#,
            ))]).with(&["X-Api-Key"]).not_kept(),
            refusal(401, "No name and password, or not these."),
            refusal(404, "No key is asked for on this node."),
            refusal(429, "Too many logins have failed from here, or of this user.").with(&["Retry-After"]),
            refusal(500, "The password cannot be checked."),
            refusal(503, "Too many passwords wait to be checked, or too many clients are here.").with(&["Retry-After"]),
        ]),
    doc(Method::Get, "/keys", "listKeys", "the ids of all keys; never a key itself")
        .query(&[INCLUDE_KEYS])
        .answers(&[
            answer(200, "Ids of keys, or the keys.", &[(JSON, Shape::Json(
                r##"{"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array",
                    "items": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/Key"}]}}}}"##,
            ))]),
            refusal(404, "No key is asked for on this node."),
        ]),
    doc(Method::Post, "/keys", "createKey", "a new key: `{\"label\": …, \"permissions\": {…}, \"expires_in\": 3600}`; told this once")
        .more("It permits no more than the one that asks. Of an administrator's it comes from no other key, unless `parent` says so; any other comes from the key that makes it, and goes with that.")
        .body(Body::Json(Shape::Is("NewKey")))
        .answers(&[
            answer(200, "The key, told this once, and its id.", &[(JSON, Shape::Is("KeyMade"))])
                .with(&["X-Api-Key", "Location"]),
            refusal(409, "There are too many keys, or too many before this one, or one with this certificate."),
        ]),
    doc(Method::Get, "/keys/:key", "showKey", "what a key permits, and the keys that came from it if they are asked for")
        .query(&[INCLUDE_KEYS])
        .answers(&[
            answer(200, "The key, without its secret.", &[(JSON, Shape::Is("Key"))]),
            refusal(404, "There is no such key, or it is not yours to see."),
        ]),
    doc(Method::Delete, "/keys/:key", "deleteKey", "it is good no more, nor is any that came from it").answers(&[
        answer(200, "It is gone.", &[(JSON, Shape::Is("Done"))]),
        refusal(404, "There is no such key, or it is not yours."),
    ]),
    doc(Method::Get, "/users", "listUsers", "the names of all users")
        .query(&[INCLUDE_USER])
        .answers(&[
            answer(200, "Names of users, or the users.", &[(JSON, Shape::Json(
                r##"{"type": "object", "required": ["users"], "properties": {"users": {"type": "array",
                    "items": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/User"}]}}}}"##,
            ))]),
            refusal(404, "No key is asked for on this node."),
        ]),
    doc(Method::Post, "/users", "createUser", "a new user: `{\"username\": …, \"password\": …, \"key\": …}`")
        .body(Body::Json(Shape::Is("NewUser")))
        .answers(&[
            answer(200, "There is such a user now.", &[(JSON, Shape::Is("Done"))]),
            refusal(409, "There is a user of this name, or too many are there."),
            refusal(500, "The password cannot be hashed."),
            refusal(503, "Too many passwords wait to be hashed, or too many clients are here.").with(&["Retry-After"]),
        ]),
    doc(Method::Get, "/users/:user", "showUser", "one user; his password is told to nobody").answers(&[
        answer(200, "The user.", &[(JSON, Shape::Is("User"))]),
        refusal(404, "There is no such user."),
    ]),
    doc(Method::Put, "/users/:user", "replaceUser", "all of a user anew: `{\"password\": …, \"key\": …}`")
        .more("What is not said of his kind and his key is as it is of nobody.")
        .body(Body::Json(Shape::Is("UserAnew")))
        .answers(CHANGED),
    doc(Method::Delete, "/users/:user", "deleteUser", "he is gone, with his logins").answers(&[
        answer(200, "He is gone.", &[(JSON, Shape::Is("Done"))]),
        refusal(404, "There is no such user."),
    ]),
    doc(Method::Put, "/users/:user/password", "setPassword", "another password: `{\"password\": …}`; it ends his logins")
        .body(Body::Json(Shape::Json(
            r##"{"type": "object", "required": ["password"], "properties": {"password": {"$ref": "#/components/schemas/Password"}}}"##,
        )))
        .answers(CHANGED),
    doc(Method::Put, "/users/:user/key", "setKey", "another key, or none: `{\"key\": …}`; it ends his logins")
        .body(Body::Json(Shape::Json(
            r##"{"type": "object", "required": ["key"], "properties": {"key": {"$ref": "#/components/schemas/KeyNamed"}}}"##,
        )))
        .answers(&[
            answer(200, "It is so.", &[(JSON, Shape::Is("Done"))]),
            refusal(404, "There is no such user."),
        ]),
];

const CHANGED: &[super::doc::Answer] = &[
    answer(200, "It is so.", &[(JSON, Shape::Is("Done"))]),
    refusal(404, "There is no such user."),
    refusal(409, "The user was changed meanwhile."),
    refusal(500, "The password cannot be hashed."),
    refusal(503, "Too many passwords wait to be hashed, or too many clients are here.")
        .with(&["Retry-After"]),
];
