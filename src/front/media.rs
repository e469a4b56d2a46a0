//! Which type a file has, by the end of its name: what sites are made of. What is not known is bytes, and with
//! `nosniff` a browser makes nothing else of it.

/// Ends of names with their types.
#[rustfmt::skip]
const TYPES: [(&str, &str); 37] = [
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("txt", "text/plain; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("xml", "application/xml"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("ico", "image/x-icon"),
    ("bmp", "image/bmp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("wasm", "application/wasm"),
    ("pdf", "application/pdf"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("wav", "audio/wav"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("gz", "application/gzip"),
    ("zip", "application/zip"),
    ("tar", "application/x-tar"),
    ("vtt", "text/vtt; charset=utf-8"),
];

/// The type of a file of this name.
pub fn type_of(name: &str) -> &'static str {
    let end = name.rsplit_once('.').map(|(_, end)| end);
    let known =
        TYPES.iter().find(|(known, _)| end.is_some_and(|end| end.eq_ignore_ascii_case(known)));
    known.map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_says_its_type() {
        for (name, kind) in [
            ("index.html", "text/html; charset=utf-8"),
            ("A.HTML", "text/html; charset=utf-8"),
            ("a.min.js", "text/javascript; charset=utf-8"),
            ("a.js.gz", "application/gzip"),
            ("a.svg", "image/svg+xml"),
            ("html", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.html.bak", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(type_of(name), kind, "{name}");
        }
    }
}
