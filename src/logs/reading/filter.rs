//! Which lines are wanted.

use super::pattern::Pattern;
use crate::logs::index::{Piece, Writer};
use crate::logs::view::Segment;

/// Which.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those of these jobs, each with an instance where only that is meant.
    pub of: Vec<(String, Option<u32>)>,
    /// Of this stream only: its label, or `out` and `err`.
    pub stream: Option<String>,
    /// Begun at this time or later, in microseconds since 1970,
    pub since: Option<u64>,
    /// and before this one.
    pub until: Option<u64>,
    /// In what was written behind this number.
    pub after: u64,
    /// In which this is found.
    pub grep: Option<Pattern>,
}

impl Filter {
    /// Whether lines of this writer are.
    pub fn wants(&self, writer: &Writer) -> bool {
        let is_meant = |(job, instance): &(String, Option<u32>)| {
            *job == writer.job && instance.is_none_or(|number| number == writer.instance)
        };
        self.of.iter().any(is_meant)
            && self.stream.as_deref().is_none_or(|wanted| is_called(writer, wanted))
    }

    /// Whether lines are that begin in this piece.
    pub fn has(&self, piece: &Piece) -> bool {
        self.has_time(piece.at) && piece.last > self.after
    }

    fn has_time(&self, at: u64) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether some may begin in this segment.
    pub fn may_be_in(&self, segment: &Segment) -> bool {
        self.since.is_none_or(|since| segment.newest >= since)
            && self.until.is_none_or(|until| segment.oldest < until)
            && segment.last > self.after
    }

    /// Whether this one is, by what stands in it.
    pub fn finds(&self, line: &[u8]) -> bool {
        self.grep.as_ref().is_none_or(|grep| grep.is_match(line))
    }
}

/// Whether a stream is meant by a name: its label, or `out` and `err`, whatever a job calls them.
fn is_called(writer: &Writer, wanted: &str) -> bool {
    writer.label == wanted
        || match writer.stream {
            1 => wanted == "out",
            2 => wanted == "err",
            _ => false,
        }
}
