//! Where a book and its parts lie. The store has a folder for each session, and in that one for each job:
//! `SESSION/JOB/1.out.log`, which was `1.out.log.7` before it had its name taken and `1.out.log.7.gz` when it is
//! compressed. The index of the seventh is `1.out.7.index`, whichever of these names its data have. Of a book
//! elsewhere only the indices lie in the store, in a folder of its own below [`ELSEWHERE`].

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// The folder of what is known of books elsewhere. No session is called so.
pub const ELSEWHERE: &str = "@elsewhere";
/// In it, the path that is meant.
pub const PATH: &str = "path";

/// A book by where it lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file that is written to.
    pub data: PathBuf,
    /// The folder of its indices,
    pub folder: PathBuf,
    /// and what their names begin with.
    pub stem: String,
}

/// What a file of the store is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The data that are written to.
    Active,
    /// Those of a segment before.
    Segment(u32),
    /// Those, compressed.
    Packed(u32),
    /// Those, being compressed.
    Unpacked(u32),
    /// An index.
    Index(u32),
}

impl Place {
    /// That of a stream of an instance in the store.
    pub fn managed(root: &Path, (session, job): (&str, &str), instance: u32, label: &str) -> Self {
        let folder = root.join(session).join(job);
        let stem = format!("{instance}.{}", encoded(label));
        Self { data: folder.join(format!("{stem}.log")), folder, stem }
    }

    /// That of a book elsewhere.
    pub fn elsewhere(root: &Path, path: &Path) -> Self {
        let digest = Sha256::digest(path.as_os_str().as_bytes());
        let folder = root.join(ELSEWHERE).join(HEXLOWER.encode(&digest[..16]));
        Self { data: path.to_owned(), folder, stem: "log".into() }
    }

    /// The data of a segment whose name was taken.
    pub fn segment(&self, number: u32) -> PathBuf {
        with_suffix(&self.data, &format!(".{number}"))
    }

    /// Those, compressed.
    pub fn packed(&self, number: u32) -> PathBuf {
        with_suffix(&self.data, &format!(".{number}.gz"))
    }

    /// Those, being compressed.
    pub fn packing(&self, number: u32) -> PathBuf {
        with_suffix(&self.data, &format!(".{number}.gz.new"))
    }

    /// The index of a segment.
    pub fn index(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{}.{number}.index", self.stem))
    }

    /// What a file beside the data is of them, by its name.
    pub fn part(&self, name: &std::ffi::OsStr) -> Option<Part> {
        let rest = name.as_bytes().strip_prefix(self.data.file_name()?.as_bytes())?;
        let rest = std::str::from_utf8(rest).ok()?;
        if rest.is_empty() {
            return Some(Part::Active);
        }
        let rest = rest.strip_prefix('.')?;
        match rest.split_once('.') {
            None => number(rest).map(Part::Segment),
            Some((text, "gz")) => number(text).map(Part::Packed),
            Some((text, "gz.new")) => number(text).map(Part::Unpacked),
            Some(_) => None,
        }
    }
}

/// The book and the part that a file of the store's own folders is: its stem, and what of it.
pub fn stored(name: &str) -> Option<(&str, Part)> {
    if let Some(rest) = name.strip_suffix(".index") {
        let (stem, text) = rest.rsplit_once('.')?;
        return Some((checked(stem)?, Part::Index(number(text)?)));
    }
    let (stem, rest) = name.split_once(".log")?;
    let stem = checked(stem)?;
    let place = Place { data: "a".into(), folder: PathBuf::new(), stem: String::new() };
    Some((stem, place.part(std::ffi::OsStr::new(&format!("a{rest}")))?))
}

/// The instance and the label of a stem.
pub fn writer(stem: &str) -> Option<(u32, String)> {
    let (instance, label) = stem.split_once('.')?;
    Some((number(instance)?, decoded(label)?))
}

fn checked(stem: &str) -> Option<&str> {
    writer(stem).map(|_| stem)
}

/// A number as we write it: no sign, no zeros in front.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A label as a part of a file's name, which ends at no dot and in no folder.
pub fn encoded(label: &str) -> String {
    let mut text = String::new();
    for byte in label.bytes() {
        if byte.is_ascii_alphanumeric() || b"_+@-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &behind[2..];
    }
    let text = String::from_utf8(bytes).ok()?;
    Some(text)
}

/// A path from bytes, as the file of a book elsewhere has it.
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_by_its_name() {
        let place = Place::managed(Path::new("/r"), ("s", "a.b c"), 3, "é.x/");
        assert_eq!(place.data, Path::new("/r/s/a.b c/3.%C3%A9%2Ex%2F.log"));
        let parts = [
            (place.data.clone(), Part::Active),
            (place.segment(12), Part::Segment(12)),
            (place.packed(12), Part::Packed(12)),
            (place.packing(12), Part::Unpacked(12)),
            (place.index(12), Part::Index(12)),
        ];
        for (path, part) in parts {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            assert_eq!(stored(name), Some((&*place.stem, part.clone())), "{name}");
            if !matches!(part, Part::Index(_)) {
                assert_eq!(place.part(std::ffi::OsStr::new(name)), Some(part), "{name}");
            }
        }
        assert_eq!(writer(&place.stem), Some((3, "é.x/".into())));
    }

    #[test]
    fn what_is_no_part_of_a_book_is_left_alone() {
        for name in [
            "",
            "log",
            "a.out.log",
            "1.log",
            "1.out.log.",
            "1.out.log.x",
            "1.out.log.07",
            "1.out.log.7.gz.old",
            "1.out.log.7.xz",
            "1.out.index",
            "01.out.log",
            "1.o%zzt.log",
            "1.out.log.-1",
            "1.out.log.4294967296",
        ] {
            assert_eq!(stored(name), None, "{name}");
        }
        let place = Place::elsewhere(Path::new("/r"), Path::new("/var/log/app.log"));
        assert!(place.folder.starts_with("/r/@elsewhere"));
        for name in ["app.log.bak", "app.log-2026", "app.logs", "other.log", "app.log.1.2"] {
            assert_eq!(place.part(std::ffi::OsStr::new(name)), None, "{name}");
        }
        let other = Place::elsewhere(Path::new("/r"), Path::new("/var/log/other.log"));
        assert_ne!(place.folder, other.folder);
    }
}
