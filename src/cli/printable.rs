//! Text of others as it may be shown: what a process writes never steers the terminal, and a terminal
//! that knows no more than ASCII gets no more.

/// Columns between two tabulators.
const TAB: usize = 8;

/// One line of somebody's text, safe to show. Controls are written out (`^[`, `<9b>`), as is what turns
/// the direction of writing; colours are left out, and of what a carriage return wrote over only the last
/// remains. Without `unicode`, what is not ASCII becomes `?`.
pub fn line(text: &str, unicode: bool) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.rsplit('\r').next().unwrap_or_default();
    let mut shown = String::with_capacity(text.len());
    let mut columns = 0;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let before = shown.len();
        match c {
            '\x1b' => match after_color(rest.as_str()) {
                Some(after) => rest = after.chars(),
                None => shown.push_str("^["),
            },
            '\t' => shown.push_str(&" ".repeat(TAB - columns % TAB)),
            '\0'..='\x1f' => {
                shown.push('^');
                shown.push(char::from(u8::try_from(c).unwrap_or(0) + b'@'));
            }
            '\x7f' => shown.push_str("^?"),
            _ if steers(c) => shown.push_str(&format!("<{:02x}>", u32::from(c))),
            _ if unicode || c.is_ascii() => shown.push(c),
            _ => shown.push('?'),
        }
        columns += shown.get(before..).map_or(0, |added| added.chars().count());
    }
    shown
}

/// What is behind the rest of a sequence that only sets colours (`ESC [ 1 ; 31 m`), where this is one.
fn after_color(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('[')?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))?;
    rest.get(end..)?.strip_prefix('m')
}

/// Whether a character beyond ASCII moves something instead of showing something: the C1 controls, line
/// and paragraph separators, and what turns the direction of writing (Unicode's `Bidi_Control`).
fn steers(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}')
}

/// Whether the terminal takes UTF-8, by what the environment says of the locale (locale(7)).
pub fn takes_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable);
    let said =
        said.filter(|value| !value.is_empty()).map(|value| value.to_ascii_uppercase()).next();
    said.is_some_and(|locale| locale.contains("UTF-8") || locale.contains("UTF8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal() {
        for (text, shown) in [
            ("plain\r\n", "plain"),
            ("10%\r50%\rdone", "done"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b[2Jgone", "^[[2Jgone"),
            ("\x1b]0;title\x07", "^[]0;title^G"),
            ("\x1b[31", "^[[31"),
            ("\u{9b}2J \u{202e}x\u{7f}", "<9b>2J <202e>x^?"),
            ("a\tb\0", "a       b^@"),
            ("größe ✓", "größe ✓"),
        ] {
            let found = line(text, true);
            assert_eq!(found, shown, "{text:?}");
            assert!(!found.chars().any(char::is_control), "{found:?}");
        }
        assert_eq!(line("größe ✓", false), "gr??e ?");
    }

    #[test]
    fn the_first_variable_that_says_something_decides() {
        let takes = |all: &'static str, ctype: &'static str, lang: &'static str| {
            takes_unicode(|name| {
                let value = match name {
                    "LC_ALL" => all,
                    "LC_CTYPE" => ctype,
                    _ => lang,
                };
                Some(value.to_owned())
            })
        };
        assert!(takes("", "", "de_DE.UTF-8") && takes("", "C.utf8", "C"));
        assert!(!takes("C", "", "de_DE.UTF-8") && !takes("", "", "") && !takes("", "", "de_DE"));
        assert!(!takes_unicode(|_| None));
    }
}
