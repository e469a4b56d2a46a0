//! What is written down of a route, in types of which a table can be made: what it is for, what it reads of
//! the query, the head and the body, and what it answers. What every route answers alike, and what it refuses
//! because of what it needs, is not written here: `refusals` adds that.

use crate::wire::http::Method;

/// One route's documentation.
#[derive(Clone, Copy)]
pub struct Doc {
    /// The method and
    pub method: Method,
    /// the pattern of the route in the table of routes.
    pub pattern: &'static str,
    /// What programs call it: `operationId`.
    pub id: &'static str,
    /// What it does and answers, in a line of Markdown: the README has it.
    pub about: &'static str,
    /// What is to be said besides, in sentences; may be empty.
    pub more: &'static str,
    /// What it reads of the query.
    pub query: &'static [Param],
    /// What it reads of the head.
    pub fields: &'static [Param],
    /// What it reads of the body.
    pub body: Body,
    /// What it answers of its own.
    pub answers: &'static [Answer],
}

/// Something of the query or of the head.
#[derive(Clone, Copy)]
pub struct Param {
    /// Its name there.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What it may be.
    pub shape: Shape,
    /// Whether it has to be there.
    pub required: bool,
}

/// What a value may be.
#[derive(Clone, Copy)]
pub enum Shape {
    /// What the document has under this name: in `shapes.json`, or made of another table.
    Is(&'static str),
    /// Any text.
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// A whole number, from the one to the other.
    Whole(u64, u64),
    /// A number, from the one to the other.
    Number(f64, f64),
    /// A JSON Schema of its own.
    Json(&'static str),
}

/// What a route reads of the body.
#[derive(Clone, Copy)]
pub enum Body {
    /// Nothing.
    Nothing,
    /// A JSON object.
    Json(Shape),
    /// A JSON object, or nothing.
    PerhapsJson(Shape),
    /// One of these texts, whatever type is said; as JSON it is a number.
    Digits(&'static [u8]),
    /// A JSON object, or one of these texts, whatever type is said.
    Words(Shape, &'static [&'static str]),
    /// Bytes of any type.
    Bytes,
}

/// An answer.
#[derive(Clone, Copy)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What it means.
    pub about: &'static str,
    /// Its types, each with what it holds then; none where there is no body.
    pub content: &'static [(&'static str, Shape)],
    /// Fields of its head that are its own, by their names in `HEADERS`.
    pub fields: &'static [&'static str],
    /// Whether a client may keep it, and ask whether it is still so.
    pub is_kept: bool,
}

/// What is written down of the route with this method and pattern.
pub const fn doc(
    method: Method,
    pattern: &'static str,
    id: &'static str,
    about: &'static str,
) -> Doc {
    let (query, fields, body) = (&[], &[], Body::Nothing);
    Doc { method, pattern, id, about, more: "", query, fields, body, answers: &[] }
}

impl Doc {
    /// With further sentences.
    pub const fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    /// It reads this of the query,
    pub const fn query(self, query: &'static [Param]) -> Self {
        Self { query, ..self }
    }

    /// this of the head,
    pub const fn fields(self, fields: &'static [Param]) -> Self {
        Self { fields, ..self }
    }

    /// and this body.
    pub const fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// It answers this of its own.
    pub const fn answers(self, answers: &'static [Answer]) -> Self {
        Self { answers, ..self }
    }
}

/// Something that may be there.
pub const fn param(name: &'static str, shape: Shape, about: &'static str) -> Param {
    Param { name, about, shape, required: false }
}

/// Something that has to be there.
pub const fn required(name: &'static str, shape: Shape, about: &'static str) -> Param {
    Param { name, about, shape, required: true }
}

/// An answer with these types.
pub const fn answer(
    status: u16,
    about: &'static str,
    content: &'static [(&'static str, Shape)],
) -> Answer {
    Answer { status, about, content, fields: &[], is_kept: status == 200 }
}

/// An error, for this reason.
pub const fn refusal(status: u16, about: &'static str) -> Answer {
    answer(status, about, &[(JSON, Shape::Is("Error"))])
}

impl Answer {
    /// With these fields in its head.
    pub const fn with(self, fields: &'static [&'static str]) -> Self {
        Self { fields, ..self }
    }

    /// It goes on, or is told once: nobody keeps it.
    pub const fn not_kept(self) -> Self {
        Self { is_kept: false, ..self }
    }
}

/// JSON.
pub const JSON: &str = "application/json";
/// JSON, a value a line.
pub const LINES: &str = "application/x-ndjson";
/// Server-sent events.
pub const EVENTS: &str = "text/event-stream";
/// Bytes as they are.
pub const BYTES: &str = "application/octet-stream";
