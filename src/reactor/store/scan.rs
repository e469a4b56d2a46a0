//! The books that are there when the daemon starts. What it left half done when it was killed is finished or
//! undone: a segment that is compressed whole has no plain one beside it, one that is not is removed; what stands
//! in a file and not in its index is found when it is opened.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::book::{Active, Aside, Book};
use super::pages::{self, Told};
use crate::base::sorted::SortedMap;
use crate::logs::index::Writer;
use crate::logs::names::{self, Part, Place, ELSEWHERE, PATH};
use crate::logs::sink::Keeping;
use crate::logs::view::Segment;

/// What is kept of a book of which nothing is said yet.
const KEEPING: Keeping = Keeping { max_size: 0, keep: None, total: None, compress: false };

/// What there is of one book.
#[derive(Default)]
struct Found {
    active: bool,
    plain: Vec<u32>,
    packed: Vec<u32>,
    packing: Vec<u32>,
    indices: Vec<u32>,
}

/// All books that have something in them.
pub(super) fn books(root: &Path) -> Vec<Book> {
    let mut books = Vec::new();
    for session in folders(root) {
        if session.file_name().is_some_and(|name| name == ELSEWHERE) {
            for folder in folders(&session) {
                books.extend(elsewhere(root, &folder));
            }
            continue;
        }
        for folder in folders(&session) {
            books.extend(of_job(&folder));
        }
    }
    books
}

fn folders(path: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn names_in(folder: &Path) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

fn last_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// The books of a job in the store.
fn of_job(folder: &Path) -> Vec<Book> {
    let mut all: SortedMap<String, Found> = SortedMap::new();
    for name in names_in(folder) {
        let Some((stem, part)) = name.to_str().and_then(names::stored) else { continue };
        all.entry(stem.to_owned()).or_default().add(part);
    }
    let (Some(session), Some(job)) = (folder.parent().and_then(last_name), last_name(folder))
    else {
        return Vec::new();
    };
    let job = format!("{session}.{job}");
    let book = |(stem, found): (String, Found)| {
        let data = folder.join(format!("{stem}.log"));
        let place = Place { data, folder: folder.to_owned(), stem };
        let mut book = Book::new(place, true, job.clone(), KEEPING);
        book.jobs.insert(job.clone());
        found.into_book(book)
    };
    all.into_iter().filter_map(book).collect()
}

/// A book elsewhere, of which the indices are here.
fn elsewhere(root: &Path, folder: &Path) -> Option<Book> {
    let path = names::path_of(fs::read(folder.join(PATH)).ok()?);
    let place = Place::elsewhere(root, &path);
    if place.folder != folder {
        return None;
    }
    let mut found = Found::default();
    for name in names_in(path.parent()?) {
        if let Some(part) = place.part(&name) {
            found.add(part);
        }
    }
    let indices = names_in(folder);
    let stem = |name: &std::ffi::OsString| {
        let name = std::str::from_utf8(name.as_bytes()).ok()?;
        name.strip_prefix("log.")?.strip_suffix(".index")?.parse().ok()
    };
    found.indices = indices.iter().filter_map(stem).collect();
    // Beside it there may be files of others: ours are those that have an index.
    let indices = found.indices.clone();
    for numbers in [&mut found.plain, &mut found.packed, &mut found.packing] {
        numbers.retain(|number| indices.contains(number));
    }
    found.into_book(Book::new(place, false, String::new(), KEEPING))
}

impl Found {
    fn add(&mut self, part: Part) {
        match part {
            Part::Active => self.active = true,
            Part::Segment(number) => self.plain.push(number),
            Part::Packed(number) => self.packed.push(number),
            Part::Unpacked(number) => self.packing.push(number),
            Part::Index(number) => self.indices.push(number),
        }
    }

    /// The book, with its segments in their order; `None` if there are none.
    fn into_book(self, mut book: Book) -> Option<Book> {
        for number in &self.packing {
            remove(&book.place.packing(*number));
        }
        for number in self.plain.iter().filter(|number| self.packed.contains(number)) {
            remove(&book.place.segment(*number));
        }
        let mut numbers: Vec<u32> = self.plain.iter().chain(&self.packed).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in &numbers {
            let packed = self.packed.contains(number);
            put_back(&mut book, *number, packed);
        }
        let highest = numbers.last().copied().unwrap_or(0);
        let active = self.indices.iter().copied().filter(|number| *number > highest).max();
        let number = active.unwrap_or(highest.saturating_add(1));
        for stale in self.indices.iter().filter(|index| !numbers.contains(index)) {
            if *stale != number || !self.active {
                remove(&book.place.index(*stale));
            }
        }
        let last = book.segments.last().map(|aside| aside.view);
        let lengths = book.segments.iter().map(|aside| aside.view.length);
        let before = lengths.fold(0, u64::saturating_add);
        let last = last.map_or(0, |view| view.last);
        book.active = Active { number, before, last, ends_line: true, ..Active::default() };
        if self.active {
            resume(&mut book);
        }
        (self.active || !book.segments.is_empty()).then_some(book)
    }
}

/// The first number that no file beside a book has already.
pub(super) fn number_above(place: &Place) -> u32 {
    let folder = place.data.parent().map(names_in).unwrap_or_default();
    let numbers = folder.iter().filter_map(|name| match place.part(name)? {
        Part::Segment(number) | Part::Packed(number) | Part::Unpacked(number) => Some(number),
        Part::Active | Part::Index(_) => None,
    });
    numbers.max().unwrap_or(0).saturating_add(1)
}

/// A segment that was put aside, and who has written to it.
fn put_back(book: &mut Book, number: u32, packed: bool) {
    let path = if packed { book.place.packed(number) } else { book.place.segment(number) };
    let found = fs::symlink_metadata(&path).ok().filter(|found| found.is_file());
    let Some(found) = found else { return };
    let bytes = pages::read(&book.place.index(number));
    let index = u64::try_from(bytes.len()).unwrap_or(0);
    let told = Told::read(&bytes).map(|(told, _)| told).unwrap_or_default();
    let length = if packed { told.covers } else { found.len() };
    let view = Segment {
        number,
        inode: None,
        length,
        index,
        oldest: told.oldest,
        newest: told.newest,
        last: told.last,
    };
    book.segments.push(Aside { view, bytes: found.len() + index, packed, packing: false });
    book.learn(told);
}

/// Goes on with the file that was written to.
fn resume(book: &mut Book) {
    let Ok(found) = fs::symlink_metadata(&book.place.data) else { return };
    let path = book.place.index(book.active.number);
    let bytes = pages::read(&path);
    let Some((told, decoder)) = Told::read(&bytes) else {
        if !bytes.is_empty() {
            remove(&path);
        }
        return take_up(book, &found);
    };
    if told.covers > found.len() || !found.is_file() {
        // It is another, or was emptied.
        remove(&path);
        book.active.number += 1;
        return;
    }
    if told.position < bytes.len() {
        let whole = fs::OpenOptions::new().write(true).open(&path);
        let position = u64::try_from(told.position).unwrap_or(0);
        if let Err(error) = whole.and_then(|file| file.set_len(position)) {
            log::warn!("{}: {error}", path.display());
        }
    }
    book.form = told.form;
    book.pages.resume(told.form, &decoder, told.writers.clone());
    book.pages.remember(told.last_writer);
    let active = &mut book.active;
    active.identity = Some((found.dev(), found.ino()));
    active.size = told.covers;
    active.before = told.before;
    (active.oldest, active.newest) = (told.oldest, told.newest);
    active.last = active.last.max(told.last);
    book.learn(told);
    take_up(book, &found);
}

/// Takes over what stands in the file that is written to and not in its index.
fn take_up(book: &mut Book, found: &fs::Metadata) {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&book.place.data);
    let Ok(file) = file else { return };
    book.active.identity = Some((found.dev(), found.ino()));
    if found.len() > book.active.size {
        let nobody = book.pages.last_writer().is_none().then(|| names::writer(&book.place.stem));
        let nobody = nobody.flatten().map(|(instance, label)| Writer {
            job: book.job.clone(),
            instance,
            pid: 0,
            stream: if label == "err" { 2 } else { 1 },
            label,
            once: false,
        });
        book.adopt(&file, found, nobody);
    } else {
        book.see_end(&file);
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        log::warn!("{} is not removed: {error}", path.display());
    }
}
