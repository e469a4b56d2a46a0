//! Files of sites, as they are asked for and told of. The shell opens and reads them.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::base::error::Errno;
use crate::sys::beneath::Fault;

/// A file that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The folder that it lies below.
    pub root: PathBuf,
    /// The names on the way from there, of which none leads back.
    pub names: Vec<String>,
    /// Whether one beside it that is compressed is taken instead: its name ends with `.gz` behind that.
    pub gzip: bool,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct What {
    /// Its bytes.
    pub length: u64,
    /// When they changed last,
    pub modified: SystemTime,
    /// and what tells it from others of that time: its number in its file system.
    pub inode: u64,
    /// Whether it is the compressed one.
    pub gzip: bool,
}

/// Why a file cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// It is a folder.
    Folder,
    /// There is none, or none that may be served.
    Fault(Fault),
}

/// Why a file that is open cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It has changed since it was opened.
    Changed,
    /// What the kernel says.
    Io(Errno),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("it changed while it was sent"),
            Self::Io(errno) => errno.fmt(f),
        }
    }
}

/// Which file of a site a path means: the names behind the plugin's, decoded.
///
/// # Errors
/// It means none that may be served.
pub fn names(rest: &[String]) -> Result<Vec<String>, Denied> {
    let leads_away = |name: &String| {
        matches!(name.as_str(), "." | "..") || name.contains(['/', '\\']) || name.contains('\0')
    };
    let (last, before) = rest.split_last().ok_or(Denied::Hidden)?;
    if rest.iter().any(leads_away) || before.iter().any(String::is_empty) {
        return Err(Denied::Away);
    }
    if rest.iter().any(|name| name.starts_with('.')) || rest.len() > crate::base::limits::SITE_DEPTH
    {
        return Err(Denied::Hidden);
    }
    let mut names = rest.to_vec();
    if last.is_empty() {
        names.pop();
        names.push(INDEX.to_owned());
    }
    Ok(names)
}

/// What is served for a folder.
const INDEX: &str = "index.html";

/// Why a path means no file of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It leads out of it, or would if it were read another way.
    Away,
    /// It names what is hidden, or lies too deep.
    Hidden,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits;

    #[test]
    fn a_path_leads_to_a_file_of_the_site_or_nowhere() {
        let named = |rest: &[&str]| {
            let rest: Vec<String> = rest.iter().map(|name| (*name).to_owned()).collect();
            names(&rest).map(|names| names.join("|"))
        };
        for (rest, meant) in [
            (&[""][..], Ok("index.html")),
            (&["a.js"], Ok("a.js")),
            (&["a", "b", ""], Ok("a|b|index.html")),
            (&["a", "b"], Ok("a|b")),
            (&["%2e%2e", "a"], Ok("%2e%2e|a")),
            (&["a b", "é", "..."], Err(Denied::Hidden)),
            (&[], Err(Denied::Hidden)),
            (&[".git", "config"], Err(Denied::Hidden)),
            (&["a", ".htpasswd"], Err(Denied::Hidden)),
            (&["..", "a"], Err(Denied::Away)),
            (&["a", "..", "b"], Err(Denied::Away)),
            (&["a", ".."], Err(Denied::Away)),
            (&["."], Err(Denied::Away)),
            (&["../a"], Err(Denied::Away)),
            (&["..\\a"], Err(Denied::Away)),
            (&["a/b"], Err(Denied::Away)),
            (&["", "etc", "passwd"], Err(Denied::Away)),
            (&["a", "", "b"], Err(Denied::Away)),
            (&["a\0"], Err(Denied::Away)),
        ] {
            assert_eq!(named(rest).as_deref(), meant.as_ref().map(|text| *text), "{rest:?}");
        }
        let deep = vec!["a"; limits::SITE_DEPTH];
        assert!(named(&deep).is_ok());
        assert_eq!(named(&vec!["a"; limits::SITE_DEPTH + 1]), Err(Denied::Hidden));
    }
}
