//! Values as people write them, read alike on every command line and in every file. What is wrong is told
//! without the name of the option or the key, which stands before it.

use log::LevelFilter;

use super::logger;

/// How many clients the kernel lets wait to be accepted.
///
/// # Errors
/// It is no such number.
pub(super) fn backlog(text: &str) -> Result<i32, String> {
    let backlog = text.parse().ok().filter(|n| (1..=65_535).contains(n));
    backlog.ok_or_else(|| expected("a whole number from 1 to 65535", text))
}

/// What is logged.
///
/// # Errors
/// It is no level.
pub(super) fn log_level(text: &str) -> Result<LevelFilter, String> {
    let levels = "critical, error, warning, info, debug or trace";
    logger::level(text).ok_or_else(|| expected(levels, text))
}

/// A name under which clients may ask.
///
/// # Errors
/// It has a port or a path.
pub(super) fn host(word: &str) -> Result<String, String> {
    if word.contains([':', '/']) {
        return Err(expected("names alone, without a port", word));
    }
    Ok(word.to_owned())
}

/// The origin of a web page.
///
/// # Errors
/// No browser sends that.
pub(super) fn origin(word: &str) -> Result<String, String> {
    let form = "scheme://host or scheme://host:port in lower case, as browsers send it";
    is_origin(word).then(|| word.to_owned()).ok_or_else(|| expected(form, word))
}

/// Whether a browser could send this in `Origin` (RFC 6454 section 6.2). Any other would let nobody in
/// and tell nobody why.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let odd = |c: char| c.is_ascii_uppercase() || c.is_whitespace() || "/?#@*,".contains(c);
    !scheme.is_empty() && !authority.is_empty() && !text.replacen("://", "", 1).contains(odd)
}

/// True or false.
///
/// # Errors
/// It is neither.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(expected("true or false", text)),
    }
}

fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {found:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for origin in ["https://page.example", "http://localhost:3000", "http://[::1]:80"] {
            assert!(is_origin(origin), "{origin}");
        }
        for odd in [
            "",
            "*",
            "null",
            "page.example",
            "https://",
            "://page.example",
            "https://page.example/",
            "https://page.example/path",
            "https://Page.example",
            "https://*.example",
        ] {
            assert!(!is_origin(odd), "{odd}");
        }
    }
}
