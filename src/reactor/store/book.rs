//! One book: the file that is written to, and its segments. What a process wrote is written at once and as it
//! is; the file is put aside under its number when it is full, at the end of a line wherever there is one. While
//! it cannot be written the end of what comes waits, and what is lost of it is counted and told in the file
//! itself when that goes on.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::Instant;

use super::pages::{Pages, Told};
use crate::base::clock::Now;
use crate::base::error::Errno;
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::logs::backlog::{words, Backlog, Lost};
use crate::logs::index::{micros, Form, Piece, Writer};
use crate::logs::names::Place;
use crate::logs::sink::Keeping;
use crate::logs::view::{self, Segment};
use crate::sys::own_file::{self, Fault, Use};

/// A book.
pub(super) struct Book {
    pub(super) place: Place,
    /// Whether it lies in the store, in which folders are made where there are none.
    pub(super) managed: bool,
    /// The job whose it is, in the store.
    pub(super) job: String,
    pub(super) keeping: Keeping,
    pub(super) form: Form,
    file: Option<File>,
    /// Whether it was written since it was looked at for being closed.
    pub(super) used: bool,
    pub(super) active: Active,
    /// Those before, oldest first.
    pub(super) segments: Vec<Aside>,
    pub(super) pages: Pages,
    /// Who writes now, by number.
    pub(super) writers: SortedMap<u32, Scribe>,
    pub(super) next_writer: u32,
    backlog: Backlog,
    /// What of that is lost and told in the file.
    lost: Lost,
    /// Whether whoever writes waits instead of losing anything.
    pub(super) waits: bool,
    pub(super) trouble: Option<Trouble>,
    /// When it was looked last whether the file is still the one of its name, and how long it was.
    looked: Option<(Instant, u64)>,
    /// Its name could not be taken from it: when, and why.
    stuck: Option<(Instant, String)>,
    /// The jobs of which something stands in it.
    pub(super) jobs: SortedSet<String>,
    /// Bytes by which it has grown since the last asking.
    grown: u64,
    /// What happened and is still to be told.
    pub(super) told: Vec<Happened>,
}

/// The segment that is written to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Active {
    pub(super) number: u32,
    /// Which file it is, once it has been opened.
    pub(super) identity: Option<(u64, u64)>,
    /// Bytes in it.
    pub(super) size: u64,
    /// Whether the last of them ends a line, or there are none.
    pub(super) ends_line: bool,
    /// Bytes in all before it.
    pub(super) before: u64,
    pub(super) oldest: u64,
    pub(super) newest: u64,
    pub(super) last: u64,
}

/// A segment that is not written to any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aside {
    pub(super) view: Segment,
    /// What it takes on the disk, with its index.
    pub(super) bytes: u64,
    pub(super) packed: bool,
    pub(super) packing: bool,
}

/// Who writes.
#[derive(Clone, Debug)]
pub(super) struct Scribe {
    pub(super) writer: Writer,
    /// Whether what comes next begins a line.
    pub(super) at_start: bool,
}

/// Why it cannot be written at present.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) why: String,
    pub(super) retry_at: Instant,
}

/// What became of a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// It cannot be written.
    Failed(String),
    /// It can be written again; so much is lost.
    Recovered(Lost),
    /// A segment was put aside that is to be compressed.
    Aside(u32),
}

impl Book {
    pub(super) fn new(place: Place, managed: bool, job: String, keeping: Keeping) -> Self {
        Self {
            place,
            managed,
            job,
            keeping,
            form: Form::Plain,
            file: None,
            used: false,
            active: Active { number: 1, ends_line: true, ..Active::default() },
            segments: Vec::new(),
            pages: Pages::default(),
            writers: SortedMap::new(),
            next_writer: 0,
            backlog: Backlog::default(),
            lost: Lost::default(),
            waits: false,
            trouble: None,
            looked: None,
            stuck: None,
            jobs: SortedSet::new(),
            grown: 0,
            told: Vec::new(),
        }
    }

    /// Adds somebody who writes; his number.
    pub(super) fn join(&mut self, writer: Writer) -> u32 {
        let number = self.next_writer;
        self.next_writer = self.next_writer.saturating_add(1);
        if !self.jobs.contains(&writer.job) {
            self.jobs.insert(writer.job.clone());
        }
        self.writers.insert(number, Scribe { writer, at_start: true });
        number
    }

    /// Whether a line of somebody else has begun, and has no end.
    pub(super) fn breaks_into_a_line(&self, writer: u32) -> bool {
        !self.active.ends_line && self.pages.last_writer() != Some(writer)
    }

    /// Learns from an index who has written.
    pub(super) fn learn(&mut self, told: Told) {
        let next = told.writers.last().map_or(0, |last| last.saturating_add(1));
        self.next_writer = self.next_writer.max(next);
        self.jobs.extend(told.jobs);
    }

    /// Somebody writes no more.
    pub(super) fn leave(&mut self, number: u32) {
        self.writers.remove(&number);
    }

    /// Writes in this form from now on: a segment has one form.
    pub(super) fn take_form(&mut self, form: Form, now: Now) {
        if self.form == form {
            return;
        }
        if self.active.size > 0 && self.rotate(now).is_err() {
            return;
        }
        self.form = form;
        self.pages.form = form;
    }

    /// The book as it is now.
    pub(super) fn view(&self) -> view::Book {
        let mut segments: Vec<Segment> = self.segments.iter().map(|aside| aside.view).collect();
        let Active { number, identity, size, oldest, newest, last, .. } = self.active;
        if size > 0 {
            let inode = identity.map(|(_, inode)| inode);
            // What is not in the index yet is told by memory.
            let length = size.saturating_sub(self.pages.uncovered());
            let index = self.pages.written();
            segments.push(Segment { number, inode, length, index, oldest, newest, last });
        }
        view::Book { place: self.place.clone(), segments }
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Lets the file go; it is opened again when something comes.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Writes what came, or keeps it for later.
    pub(super) fn write(&mut self, writer: u32, (seq, at): (u64, u64), bytes: &[u8], now: Now) {
        self.used = true;
        if self.trouble.is_none() {
            self.look(now);
        }
        if self.trouble.is_some() {
            return self.wait(writer, (seq, at), bytes);
        }
        let written = self.put(writer, (seq, at), bytes, now);
        if let Err((count, why)) = written {
            self.wait(writer, (seq, at), &bytes[count..]);
            self.fail(why, now);
        }
    }

    /// Keeps what cannot be written now. Of who waits himself no more than that comes, and all of it stays.
    fn wait(&mut self, writer: u32, mark: (u64, u64), bytes: &[u8]) {
        self.backlog.push(writer, mark, bytes);
        if !self.waits {
            self.backlog.trim();
        }
    }

    /// Writes all of it, over as many segments as it takes; else how much of it is written, and why the
    /// rest is not.
    fn put(
        &mut self,
        writer: u32,
        (seq, at): (u64, u64),
        bytes: &[u8],
        now: Now,
    ) -> Result<(), (usize, String)> {
        let mut done = 0;
        while done < bytes.len() {
            if self.file.is_none() {
                self.open(now).map_err(|why| (done, why))?;
            }
            let count = self.room_for(&bytes[done..]);
            if count == 0 {
                self.rotate(now).map_err(|why| (done, why))?;
                continue;
            }
            let Some(file) = &mut self.file else { continue };
            match file.write(&bytes[done..done + count]) {
                Ok(count) => {
                    self.note(writer, (seq, at), &bytes[done..done + count], false);
                    done += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((done, words(Errno::of(&error)))),
            }
        }
        Ok(())
    }

    /// How much of this goes into the present segment; nothing where the next is to begin.
    fn room_for(&self, bytes: &[u8]) -> usize {
        let (size, most) = (self.active.size, self.keeping.max_size);
        let over = (size + u64::try_from(bytes.len()).unwrap_or(u64::MAX)).saturating_sub(most);
        if most == 0 || over == 0 || self.is_stuck() && over < most {
            return bytes.len();
        }
        let room = usize::try_from(most.saturating_sub(size)).unwrap_or(usize::MAX);
        if let Some(end) = bytes[..room.min(bytes.len())].iter().rposition(|b| *b == b'\n') {
            return end + 1;
        }
        if size > 0 && self.active.ends_line {
            return 0;
        }
        // A line that has begun here ends here, unless it has no end.
        let longest =
            usize::try_from((most + limits::LOG_OVERLONG).saturating_sub(size)).unwrap_or(0);
        let within = &bytes[..longest.min(bytes.len())];
        within.iter().position(|b| *b == b'\n').map_or(within.len(), |end| end + 1)
    }

    fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// Notes what was written.
    fn note(&mut self, writer: u32, (seq, at): (u64, u64), bytes: &[u8], note: bool) {
        let length = u64::try_from(bytes.len()).unwrap_or(0);
        let ends = bytes.last() == Some(&b'\n');
        let scribe = self.writers.get_mut(&writer);
        let starts = note || scribe.as_ref().is_none_or(|scribe| scribe.at_start);
        if let Some(scribe) = scribe.filter(|_| !note) {
            scribe.at_start = ends;
        }
        let active = &mut self.active;
        if active.size == 0 && active.oldest == 0 {
            active.oldest = at;
        }
        self.grown += length;
        active.size += length;
        active.ends_line = ends;
        active.oldest = active.oldest.min(at);
        active.newest = active.newest.max(at);
        active.last = active.last.max(seq);
        let piece = Piece { writer, seq, last: seq, at, length, starts, note };
        let who = self.writers.get(&writer).map(|scribe| &scribe.writer);
        self.pages.add(piece, who, active);
    }

    /// Opens the file: the one that was written to before, or another, with which a segment begins.
    fn open(&mut self, now: Now) -> Result<(), String> {
        if !self.managed {
            own_file::check_way(&self.place.data).map_err(said)?;
        }
        let file = match own_file::open(&self.place.data, 0o640, Use::Log, None) {
            Err(Fault::Io(Errno(libc::ENOENT))) if self.managed => {
                own_file::make_directory(&self.place.folder, None).map_err(words)?;
                own_file::open(&self.place.data, 0o640, Use::Log, None)
            }
            other => other,
        };
        let file = file.map_err(said)?;
        let found = file.metadata().map_err(|error| words(Errno::of(&error)))?;
        let identity = Some((found.dev(), found.ino()));
        if self.active.identity != identity || found.len() < self.active.size {
            if self.active.identity.is_some() {
                self.begin_segment();
            }
            self.active.identity = identity;
            self.active.size = 0;
            self.active.ends_line = true;
        }
        if found.len() > self.active.size {
            self.adopt(&file, &found, None);
        }
        self.looked = Some((now.mono, self.active.size));
        self.file = Some(file);
        Ok(())
    }

    /// Takes over what stands in the file and nobody noted.
    pub(super) fn adopt(&mut self, file: &File, found: &fs::Metadata, by: Option<Writer>) {
        let length = found.len().saturating_sub(self.active.size);
        // It may go on within a line whose beginning is known.
        self.see_end(file);
        let starts = self.active.ends_line;
        self.grown += length;
        self.active.size = found.len();
        self.see_end(file);
        let at = u64::try_from(found.mtime()).unwrap_or(0).saturating_mul(1_000_000);
        let seq = self.active.last.saturating_add(1);
        let active = &mut self.active;
        if active.oldest == 0 {
            active.oldest = at;
        }
        active.newest = active.newest.max(at);
        active.last = seq;
        let own = by.map(|by| self.join(by));
        let of_now = || self.writers.keys().next_back().copied();
        let writer = own.or(self.pages.last_writer()).or_else(of_now).unwrap_or(0);
        let piece = Piece { writer, seq, last: seq, at, length, starts, note: false };
        let who = self.writers.get(&writer).map(|scribe| &scribe.writer);
        self.pages.add(piece, who, &self.active);
        if let Some(own) = own {
            self.leave(own);
        }
    }

    /// Looks whether the file ends with a line.
    pub(super) fn see_end(&mut self, file: &File) {
        let mut last = [b'\n'];
        let read = match self.active.size {
            0 => Ok(()),
            size => file.read_exact_at(&mut last, size - 1),
        };
        self.active.ends_line = read.is_ok() && last == *b"\n";
    }

    /// The file that was written to is somebody else's matter now: its index goes, and a segment begins.
    fn begin_segment(&mut self) {
        let number = self.active.number;
        // What is not there needs not to go.
        let _ = fs::remove_file(self.place.index(number));
        self.next_segment();
    }

    fn next_segment(&mut self) {
        let Active { number, before, size, last, .. } = self.active;
        let before = before.saturating_add(size);
        let number = number.saturating_add(1);
        self.active = Active { number, before, last, ends_line: true, ..Active::default() };
        self.pages.begin();
    }

    /// Looks now and then whether the file is still the one of its name, and goes on in that of its name if
    /// not. What was written last to one that is deleted is written again to that.
    fn look(&mut self, now: Now) {
        let (Some(_), Some((looked, _))) = (&self.file, self.looked) else { return };
        if now.mono.saturating_duration_since(looked) < limits::LOG_LOOK {
            return;
        }
        match self.is_its_own() {
            true => self.looked = Some((now.mono, self.active.size)),
            false => self.follow_name(now),
        }
    }

    /// Whether the file that has its name is the one that is written to, with all that was.
    fn is_its_own(&self) -> bool {
        let found = fs::symlink_metadata(&self.place.data);
        let same = |found: &fs::Metadata| self.active.identity == Some((found.dev(), found.ino()));
        found.is_ok_and(|found| same(&found) && found.len() >= self.active.size)
    }

    /// Goes on in the file that has its name now.
    fn follow_name(&mut self, now: Now) {
        let size = self.looked.map_or(self.active.size, |(_, size)| size);
        let Some(file) = &self.file else { return };
        let is_deleted = file.metadata().is_ok_and(|found| found.nlink() == 0);
        let mut last = Vec::new();
        if is_deleted {
            let length = self.active.size.saturating_sub(size).min(limits::LOG_AGAIN);
            let from = self.active.size - length;
            last.resize(usize::try_from(length).unwrap_or(0), 0);
            if file.read_exact_at(&mut last, from).is_err() {
                last.clear();
            }
        }
        self.close();
        let Some((writer, seq, at)) = self.pages.last() else { return };
        if !last.is_empty() {
            if let Err((count, why)) = self.put(writer, (seq, at), &last, now) {
                self.wait(writer, (seq, at), &last[count..]);
                self.fail(why, now);
            }
        }
    }

    /// Puts the file aside and begins the next.
    ///
    /// # Errors
    /// That cannot be done, and the file is twice as long as it should be.
    pub(super) fn rotate(&mut self, now: Now) -> Result<(), String> {
        if !self.is_its_own() {
            self.follow_name(now);
            return Ok(());
        }
        self.flush();
        let number = self.active.number;
        let aside = self.place.segment(number);
        let is_taken = |path: &std::path::Path| fs::symlink_metadata(path).is_ok();
        let taken = match is_taken(&aside) || is_taken(&self.place.packed(number)) {
            true => Err(Errno(libc::EEXIST)),
            false => fs::rename(&self.place.data, &aside).map_err(|error| Errno::of(&error)),
        };
        if let Err(errno) = taken {
            if errno == Errno(libc::EEXIST) {
                // Somebody else has a file of this name: ours gets the next.
                let old = self.place.index(number);
                self.active.number += 1;
                let _ = fs::rename(old, self.place.index(self.active.number));
                return self.rotate(now);
            }
            let why = words(errno);
            if self.stuck.is_none() {
                log::warn!("{} cannot be put aside: {why}", self.place.data.display());
            }
            let again = self.stuck.replace((now.mono, why.clone())).is_none();
            return if again { Ok(()) } else { Err(why) };
        }
        self.stuck = None;
        self.file = None;
        let Active { size, identity, oldest, newest, last, .. } = self.active;
        let index = self.pages.written();
        let inode = identity.map(|(_, inode)| inode);
        let view = Segment { number, inode, length: size, index, oldest, newest, last };
        self.segments.push(Aside { view, bytes: size + index, packed: false, packing: false });
        self.next_segment();
        self.told.push(Happened::Aside(number));
        Ok(())
    }

    /// Opens the file of its name at the next occasion, which may be another by now.
    pub(super) fn reopen(&mut self) {
        self.close();
        self.looked = None;
    }

    /// It cannot be written, for this reason.
    fn fail(&mut self, why: String, now: Now) {
        self.file = None;
        let retry_at = now.mono + limits::OUTPUT_LOG_RETRY;
        if self.trouble.is_none() {
            self.told.push(Happened::Failed(why.clone()));
        }
        self.trouble = Some(Trouble { why, retry_at });
    }

    /// Tries again to write what waits; first that something is lost, if it is.
    pub(super) fn retry(&mut self, now: Now) {
        let Some(trouble) = self.trouble.take() else { return };
        if let Err(why) = self.catch_up(&trouble.why, now) {
            let retry_at = now.mono + limits::OUTPUT_LOG_RETRY;
            self.file = None;
            self.trouble = Some(Trouble { why, retry_at });
        }
    }

    fn catch_up(&mut self, why: &str, now: Now) -> Result<(), String> {
        if self.file.is_none() {
            self.open(now)?;
        }
        let lost = self.backlog.lost();
        if lost != Lost::default() {
            self.put_note(&lost.note(why), now)?;
        }
        while let Some(first) = self.backlog.front() {
            let (writer, seq, at) = (first.writer, first.seq, first.at);
            let bytes = first.bytes.clone();
            match self.put(writer, (seq, at), &bytes, now) {
                Ok(()) => self.backlog.written(bytes.len()),
                Err((count, why)) => {
                    self.backlog.written(count);
                    return Err(why);
                }
            }
        }
        self.backlog.told();
        self.told.push(Happened::Recovered(std::mem::take(&mut self.lost)));
        Ok(())
    }

    /// Writes a note of ours as a line of its own, or nothing of it.
    fn put_note(&mut self, note: &str, now: Now) -> Result<(), String> {
        let whole = if self.active.ends_line { note.to_owned() } else { format!("\n{note}") };
        let Some(file) = &mut self.file else { return Ok(()) };
        let size = self.active.size;
        let written = file.write(whole.as_bytes());
        if !matches!(written, Ok(count) if count == whole.len()) {
            let part = written.as_ref().map_or(0, |count| u64::try_from(*count).unwrap_or(0));
            // Unless somebody else has written to it, too.
            if part > 0 && file.metadata().is_ok_and(|found| found.len() == size + part) {
                let _ = file.set_len(size);
            }
            let errno = written.err().map_or(Errno(libc::ENOSPC), |error| Errno::of(&error));
            return Err(words(errno));
        }
        let at = micros(now.wall);
        let (writer, seq) = (self.pages.last_writer().unwrap_or(0), self.active.last);
        if let Some(rest) = whole.strip_suffix(note).filter(|rest| !rest.is_empty()) {
            // The line that was torn ends here.
            self.note(writer, (seq, at), rest.as_bytes(), false);
        }
        self.note(writer, (seq, at), note.as_bytes(), true);
        for scribe in self.writers.values_mut() {
            scribe.at_start = true;
        }
        let lost = self.backlog.lost();
        self.lost.lines += lost.lines;
        self.lost.bytes += lost.bytes;
        self.backlog.told();
        Ok(())
    }

    /// Writes its index down.
    pub(super) fn flush(&mut self) {
        let before = self.pages.written();
        if let Err(error) = self.pages.flush(&self.place, &self.active) {
            log::debug!("{}: {error}", self.place.index(self.active.number).display());
        }
        self.grown += self.pages.written() - before;
    }

    /// By how many bytes it has grown since the last call.
    pub(super) fn take_grown(&mut self) -> u64 {
        std::mem::take(&mut self.grown)
    }

    /// Bytes it takes on the disk.
    pub(super) fn bytes(&self) -> u64 {
        let aside: u64 = self.segments.iter().map(|aside| aside.bytes).sum();
        aside + self.active.size + self.pages.written()
    }

    /// Removes its oldest segment; how many bytes that makes room for.
    pub(super) fn remove_oldest(&mut self) -> u64 {
        if self.segments.is_empty() {
            return 0;
        }
        let gone = self.segments.remove(0);
        let number = gone.view.number;
        for path in
            [self.place.segment(number), self.place.packed(number), self.place.index(number)]
        {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => log::warn!("{} is not removed: {error}", path.display()),
            }
        }
        gone.bytes
    }

    /// Removes all of it.
    pub(super) fn clear(&mut self) -> u64 {
        let mut bytes = 0;
        while !self.segments.is_empty() {
            bytes += self.remove_oldest();
        }
        bytes += self.active.size + self.pages.written();
        if self.active.identity.is_some() {
            match fs::remove_file(&self.place.data) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => log::warn!("{} is not removed: {error}", self.place.data.display()),
            }
            self.begin_segment();
        }
        self.close();
        bytes
    }
}

fn said(fault: Fault) -> String {
    match fault {
        Fault::Io(errno) => words(errno),
        Fault::NotAFile | Fault::Linked | Fault::File(_) | Fault::Directory(_) => fault.to_string(),
    }
}
