//! How a command went on each of its nodes, and what that means for all of them: the last line, and the exit
//! code.

use super::failure::Failure;
use super::sites::Sites;
use super::terminal::Terminal;
use crate::base::sorted::SortedMap;

/// The exit code of a command that went well on some nodes only.
pub const PARTIAL: u8 = 5;

/// How it went, as far as it has.
#[derive(Default)]
pub struct Outcome {
    /// The nodes on which it did not go well, with the exit code of the first reason.
    failed: SortedMap<usize, u8>,
    /// From here on they were not touched.
    untouched: Option<usize>,
}

impl Outcome {
    /// It went wrong on a node.
    pub fn failed(&mut self, site: usize, code: u8) {
        self.failed.entry(site).or_insert(code);
    }

    /// The same, which is told: at once where there are several nodes, and at the end where there is one.
    ///
    /// # Errors
    /// It is the only node, or nobody reads what is printed any more.
    pub fn fail(
        &mut self,
        (sites, site): (&Sites, usize),
        failure: Failure,
        terminal: &mut Terminal,
    ) -> Result<(), Failure> {
        if !sites.are_named() || matches!(failure, Failure::Gone) {
            return Err(failure);
        }
        if let Some(message) = failure.message() {
            terminal.remark(&format!("{}{message}", sites.in_front(site)));
        }
        self.failed(site, failure.code());
        Ok(())
    }

    /// Whether it went wrong on a node.
    pub fn has_failed(&self, site: usize) -> bool {
        self.failed.contains_key(&site)
    }

    /// Whether it went wrong on any.
    pub fn has_any_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Nothing was done from this node on.
    pub fn stopped_before(&mut self, site: usize) {
        self.untouched = Some(site);
    }

    /// Tells the sum of it, where there are several nodes.
    ///
    /// # Errors
    /// It did not go well everywhere: the exit code.
    pub fn end(&self, sites: &Sites, terminal: &mut Terminal) -> Result<(), Failure> {
        if sites.are_named() {
            terminal.remark(&self.summary(sites));
        }
        self.as_result(sites)
    }

    /// The same for what changes nothing: that all went well is not worth a word.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub fn end_quietly(&self, sites: &Sites, terminal: &mut Terminal) -> Result<(), Failure> {
        if sites.are_named() && !self.failed.is_empty() {
            terminal.remark(&self.summary(sites));
        }
        self.as_result(sites)
    }

    fn as_result(&self, sites: &Sites) -> Result<(), Failure> {
        match self.code(sites.len()) {
            0 => Ok(()),
            code => Err(Failure::Code(code)),
        }
    }

    /// 0 if it went well on all of so many nodes, [`PARTIAL`] if on some, and if on none the code of the
    /// first.
    pub fn code(&self, count: usize) -> u8 {
        match self.failed.values().next() {
            None => 0,
            Some(code) if self.failed.len() == count => *code,
            Some(_) => PARTIAL,
        }
    }

    fn summary(&self, sites: &Sites) -> String {
        let count = sites.len();
        let untouched = self.untouched.unwrap_or(count);
        let well = |from: usize, to: usize| -> Vec<usize> {
            (from..to).filter(|site| !self.has_failed(*site)).collect()
        };
        let (done, left) = (well(0, untouched), well(untouched, count));
        let mut parts = vec![format!("{} done", done.len())];
        if !self.failed.is_empty() {
            parts.push(format!("{} failed", self.failed.len()));
        }
        if !left.is_empty() {
            parts.push(format!("{} not touched", left.len()));
        }
        let plural = if count == 1 { "" } else { "s" };
        let mut text = format!("{count} node{plural}: {}", parts.join(", "));
        // Where all went well, or all badly, there is nothing to tell apart.
        if self.code(count) == PARTIAL {
            let mut told = Vec::new();
            let failed: Vec<usize> = self.failed.keys().copied().collect();
            for (what, which) in [("done", done), ("failed", failed), ("not touched", left)] {
                if !which.is_empty() {
                    told.push(format!("{what}: {}", sites.labels(which.into_iter())));
                }
            }
            text += &format!(" ({})", told.join("; "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_all_from_some_and_from_none() {
        for (failed, count, code) in [
            (&[][..], 3, 0),
            (&[(1, 4)][..], 3, PARTIAL),
            (&[(0, 4), (1, 1)][..], 3, PARTIAL),
            (&[(0, 4), (1, 1), (2, 1)][..], 3, 4),
            (&[(0, 3)][..], 1, 3),
        ] {
            let mut outcome = Outcome::default();
            failed.iter().for_each(|(site, code)| outcome.failed(*site, *code));
            assert_eq!(outcome.code(count), code, "{failed:?} of {count}");
        }
    }

    #[test]
    fn the_first_reason_counts() {
        let mut outcome = Outcome::default();
        outcome.failed(0, 4);
        outcome.failed(0, 1);
        assert_eq!((outcome.code(1), outcome.has_failed(1)), (4, false));
    }
}
