//! How much is kept: so many segments of a book, so many bytes of a job, and of all jobs together. The oldest
//! goes first. Where a job has nothing that was put aside, the longest of its files is.

use super::book::Book;
use super::Store;
use crate::base::clock::Now;
use crate::base::ids::BookId;
use crate::logs::view::Taken;

impl Store {
    /// Removes what is too much of a book, of which something was put aside.
    pub(super) fn retain_parts(&mut self, id: BookId) {
        let Some(book) = self.books.get_mut(id) else { return };
        let keep = book.keeping.keep.map_or(usize::MAX, |keep| usize::try_from(keep).unwrap_or(0));
        let mut freed = 0;
        while book.segments.len() > keep {
            freed += book.remove_oldest();
        }
        if book.managed {
            let job = book.job.clone();
            return self.note_freed(true, &job, freed);
        }
        let total = book.keeping.total.unwrap_or(u64::MAX);
        while book.bytes() > total && book.remove_oldest() > 0 {}
    }

    /// Removes what is too much of the job of a book, and of all. This is asked whenever something was written, and
    /// mostly there is nothing to do.
    pub(super) fn retain(&mut self, id: BookId, now: Now) {
        let Some(book) = self.books.get(id).filter(|book| book.managed) else { return };
        let total = book.keeping.total.unwrap_or(u64::MAX);
        if self.bytes_of.get(&book.job).is_some_and(|bytes| *bytes > total) {
            let job = book.job.clone();
            self.recount();
            let of_job = self.books_of(&job);
            let taken = |store: &Self| store.bytes_of.get(&job).copied().unwrap_or(0);
            self.shrink(&of_job, total, taken, now);
        }
        self.retain_all(now);
    }

    fn retain_all(&mut self, now: Now) {
        let most = self.settings.most;
        if self.bytes > most {
            self.recount();
        }
        if self.bytes <= most {
            return;
        }
        let all: Vec<BookId> = self.by_path.values().copied().collect();
        let managed = |id: &BookId| self.books.get(*id).is_some_and(|book| book.managed);
        let all: Vec<BookId> = all.into_iter().filter(managed).collect();
        self.shrink(&all, most, |store| store.bytes, now);
    }

    /// Removes the oldest of these books, until they take no more than this.
    fn shrink(&mut self, ids: &[BookId], most: u64, taken: impl Fn(&Self) -> u64, now: Now) {
        while taken(self) > most {
            let books = || ids.iter().filter_map(|id| Some((*id, self.books.get(*id)?)));
            let oldest = books()
                .filter_map(|(id, book)| Some((book.segments.first()?.view.newest, id)))
                .min();
            let id = match oldest {
                Some((_, id)) => id,
                None => {
                    let longest = books().map(|(id, book)| (book.active.size, id)).max();
                    let Some((1.., id)) = longest else { return };
                    let Some(book) = self.books.get_mut(id) else { return };
                    if book.rotate(now).is_err() || book.segments.is_empty() {
                        return;
                    }
                    // It goes at once, so that nothing has to be compressed.
                    book.told.clear();
                    id
                }
            };
            let Some(book) = self.books.get_mut(id) else { return };
            let (freed, job) = (book.remove_oldest(), book.job.clone());
            if freed == 0 {
                return;
            }
            self.note_freed(true, &job, freed);
            self.forget_empty(id);
        }
    }

    /// Counts anew what the store takes: what others have removed or emptied is not told to us.
    fn recount(&mut self) {
        self.bytes = 0;
        self.bytes_of.clear();
        let managed = self.by_path.values().filter_map(|id| self.books.get(*id));
        for book in managed.filter(|book| book.managed) {
            let bytes = book.bytes();
            self.bytes = self.bytes.saturating_add(bytes);
            *self.bytes_of.entry(book.job.clone()).or_default() += bytes;
        }
    }

    /// Forgets a book of which nothing is left, and to which nobody writes.
    fn forget_empty(&mut self, id: BookId) {
        let Some(book) = self.books.get(id) else { return };
        let is_left = !book.writers.is_empty() || !book.segments.is_empty() || book.active.size > 0;
        if is_left || book.trouble.is_some() {
            return;
        }
        let (path, folder, managed) =
            (book.place.data.clone(), book.place.folder.clone(), book.managed);
        self.by_path.remove(&path);
        self.books.remove(id);
        self.dirty.remove(&id);
        if managed {
            // Only if nothing else is in them.
            let _ = std::fs::remove_dir(&folder);
            let _ = folder.parent().map(std::fs::remove_dir);
        }
    }

    fn note_freed(&mut self, managed: bool, job: &str, freed: u64) {
        if !managed || freed == 0 {
            return;
        }
        self.bytes = self.bytes.saturating_sub(freed);
        if let Some(bytes) = self.bytes_of.get_mut(job) {
            *bytes = bytes.saturating_sub(freed);
        }
    }

    /// The books in the store that are a job's.
    fn books_of(&self, job: &str) -> Vec<BookId> {
        let of =
            |id: &&BookId| self.books.get(**id).is_some_and(|book| book.managed && book.job == job);
        self.by_path.values().filter(of).copied().collect()
    }

    /// Those in which something of a job stands, wherever they are.
    fn books_with(&self, job: &str) -> Vec<BookId> {
        let of = |id: &&BookId| self.books.get(**id).is_some_and(|book| book.jobs.contains(job));
        self.by_path.values().filter(of).copied().collect()
    }

    /// Puts all files of a job aside in which something stands; how many.
    ///
    /// # Errors
    /// One of them cannot be, for this reason.
    pub fn rotate(&mut self, job: &str, now: Now) -> Result<usize, String> {
        let mut count = 0;
        for id in self.books_with(job) {
            let Some(book) = self.books.get_mut(id) else { continue };
            if book.active.size > 0 {
                let before = book.active.number;
                book.rotate(now)?;
                count += usize::from(book.active.number != before);
            }
            self.settle(id, now);
        }
        Ok(count)
    }

    /// Removes everything of a job; how many bytes that makes room for. Of files in which others stand, too,
    /// nothing is removed.
    pub fn clear(&mut self, job: &str, now: Now) -> u64 {
        let mut freed = 0;
        for id in self.books_with(job) {
            let Some(book) = self.books.get_mut(id).filter(|book| book.jobs.len() == 1) else {
                continue;
            };
            let (bytes, managed) = (book.clear(), book.managed);
            let _ = book.take_grown();
            freed += bytes;
            self.note_freed(managed, job, bytes);
            self.settle(id, now);
            self.forget_empty(id);
        }
        freed
    }

    /// What each job takes, and each file elsewhere.
    pub fn taken(&self) -> Vec<Taken> {
        let mut all: crate::base::sorted::SortedMap<(bool, String), Taken> =
            crate::base::sorted::SortedMap::new();
        for book in self.by_path.values().filter_map(|id| self.books.get(*id)) {
            let name = match book.managed {
                true => book.job.clone(),
                false => book.place.data.display().to_string(),
            };
            let (bytes, files) = (book.bytes(), book.segments.len());
            if bytes == 0 {
                continue;
            }
            let (oldest, newest) = span(book);
            let taken = all.entry((!book.managed, name.clone())).or_insert_with(|| Taken {
                name,
                elsewhere: !book.managed,
                bytes: 0,
                files: 0,
                oldest,
                newest,
            });
            taken.bytes += bytes;
            taken.files += files + usize::from(book.active.size > 0);
            taken.oldest = taken.oldest.min(oldest);
            taken.newest = taken.newest.max(newest);
        }
        all.into_values().collect()
    }
}

/// When the oldest and the newest of a book were written.
fn span(book: &Book) -> (u64, u64) {
    let aside = book.segments.iter().map(|aside| (aside.view.oldest, aside.view.newest));
    let active = (book.active.size > 0).then_some((book.active.oldest, book.active.newest));
    let all = aside.chain(active).reduce(|one, two| (one.0.min(two.0), one.1.max(two.1)));
    all.unwrap_or_default()
}
