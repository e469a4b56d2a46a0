//! How much the log tells.

/// How grave a message has to be to be in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A promise to the operator is broken.
    Error,
    /// Somebody may want to act.
    Warning,
    /// The life of jobs and of the daemon.
    Info,
    /// Decisions.
    Debug,
    /// Reads and writes.
    Trace,
}

impl Level {
    /// The words that are allowed, for messages.
    pub const WORDS: &'static str = "critical, error, warning, info, debug or trace";

    /// The level of a word, as the original and Python name them.
    pub fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "critical" | "error" => Some(Self::Error),
            "warning" | "warn" => Some(Self::Warning),
            "info" => Some(Self::Info),
            "debug" => Some(Self::Debug),
            "trace" => Some(Self::Trace),
            _ => None,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_a_word_that_is_told() {
        for level in [Level::Error, Level::Warning, Level::Info, Level::Debug, Level::Trace] {
            assert_eq!(Level::parse(&level.word().to_uppercase()), Some(level));
            assert!(Level::WORDS.contains(level.word()));
        }
        assert_eq!(Level::parse("critical"), Some(Level::Error));
        assert_eq!(Level::parse("loud"), None);
    }
}
