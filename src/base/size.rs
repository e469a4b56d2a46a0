//! Amounts of bytes as people write them: `4096`, `64k`, `10MB`, `1GiB`. All units are powers of 1024, with
//! and without the `i`, as supervisor reads them: a file that was written for it means here what it meant there.

/// What is accepted, for messages.
const FORM: &str =
    "a size in bytes, or with a unit of KB, MB or GB (of 1024), such as 4096, 64KB or 10MB";

/// Reads a size, in bytes; upper and lower case are alike.
///
/// # Errors
/// It is none: a negative number or a fraction, a unit that nobody knows, or more than 2⁶⁴ bytes. What is
/// wrong is told without the name of the key, which stands before it.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let bad = || format!("expected {FORM}, found {text:?}");
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(bad()),
    };
    if digits.is_empty() {
        return Err(bad());
    }
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    size.ok_or_else(|| format!("{text:?} is more than can be counted: expected {FORM}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_in_any_case() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("7b", 7),
            ("64k", 64 << 10),
            ("64KB", 64 << 10),
            ("1KiB", 1 << 10),
            (" 10MB ", 10 << 20),
            ("10 mb", 10 << 20),
            ("2M", 2 << 20),
            ("1GiB", 1 << 30),
            ("3g", 3 << 30),
            ("18446744073709551615", u64::MAX),
            ("17179869183GB", 17_179_869_183 << 30),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_told_with_what_is() {
        for text in
            ["", " ", "MB", "-1", "+1", "1.5MB", "1TB", "1 k b", "1kk", "0x10", "1_000", "١"]
        {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with("expected a size in bytes, or with a unit"), "{error}");
            assert!(error.ends_with(&format!("found {:?}", text.trim())), "{error}");
        }
        for text in ["18446744073709551616", "17179869184GB", "99999999999999999999999KB"] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(&format!("{text:?} is more than can be counted")), "{error}");
        }
    }
}
