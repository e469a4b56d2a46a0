//! Documentation of the routes about plugins. What programs among them answer is theirs, and not here.

use super::doc::{answer, doc, param, refusal, Doc, Param, Shape, JSON};
use crate::wire::http::Method;

/// What a file is asked for with.
const WISHES: &[Param] = &[
    param("Range", Shape::Text, "The part of the file that is wanted (RFC 9110 section 14)."),
    param(
        "If-Range",
        Shape::Text,
        "The tag or the time of the file of which a part is wanted: of another the whole comes.",
    ),
    param("If-Modified-Since", Shape::Text, "Only if it was changed since."),
    param("If-Match", Shape::Text, "Only if it has one of these tags."),
    param("If-Unmodified-Since", Shape::Text, "Only if it was not changed since."),
];

pub(super) const DOCS: &[Doc] = &[
    doc(
        Method::Get,
        "/plugins",
        "listPlugins",
        "what [plugins](#plugins) there are: `name`, `site` (the path below which it is served), `program` and `faults` of each",
    )
    .answers(&[answer(200, "All of them.", &[(JSON, Shape::Json(
        r##"{"type": "object", "required": ["plugins"], "properties": {"plugins": {"type": "array", "items": {"$ref": "#/components/schemas/Plugin"}}}}"##,
    ))])]),
    doc(Method::Get, "/_plugin/:name", "site", "the site of a [plugin](#plugins): it is below this path with a slash").answers(&[
        answer(301, "The path with a slash.", &[]).with(&["Location"]),
        refusal(404, "There is no such site."),
    ]),
    doc(Method::Get, "/_plugin/:name/*rest", "siteFile", "a file of the [site](#plugins) of a plugin")
        .more("Of a folder it is its `index.html`. The type is known by the end of the name.")
        .fields(WISHES)
        .answers(&[
            answer(200, "The file.", &[("*/*", Shape::Json("{}"))]).with(&["ETag", "Last-Modified", "Accept-Ranges"]),
            answer(206, "The part of the file that was asked for.", &[("*/*", Shape::Json("{}"))])
                .with(&["ETag", "Last-Modified", "Accept-Ranges", "Content-Range"]),
            answer(301, "It is a folder: the path with a slash.", &[]).with(&["Location"]),
            answer(304, "You have it already.", &[]).with(&["ETag", "Last-Modified"]),
            refusal(404, "There is no such file."),
            refusal(412, "It is another than the one of If-Match or If-Unmodified-Since."),
            refusal(416, "The file is not so long.").with(&["Content-Range"]),
            refusal(503, "Too many files are being sent, or too many clients are here.").with(&["Retry-After"]),
        ]),
];
