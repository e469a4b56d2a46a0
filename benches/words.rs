//! The words with which this program is run, by `cargo bench` and by `cargo test`.

/// Words of the test runner that have another behind them, which is no name.
const WITH_VALUE: [&str; 5] =
    ["--test-threads", "--format", "--color", "--logfile", "--shuffle-seed"];

/// What is to be done.
pub(crate) enum Meant {
    /// Measure.
    Earnest(Words),
    /// See whether all works: cargo says `--bench` where it is not a test.
    Test(Filter),
    /// Say what there is.
    Help,
}

/// What is measured.
pub(crate) struct Words {
    /// All if there are none.
    pub(crate) names: Vec<String>,
    pub(crate) number: Option<usize>,
}

/// Which tests are run: this program takes those words that every test takes.
#[derive(Default)]
pub(crate) struct Filter {
    names: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    /// Only those that are not run otherwise, of which there are none.
    none: bool,
}

impl Filter {
    pub(crate) fn lets_in(&self, name: &str) -> bool {
        let fits = |pattern: &String| match self.exact {
            true => name == pattern,
            false => name.contains(pattern.as_str()),
        };
        let wanted = self.names.is_empty() || self.names.iter().any(fits);
        wanted && !self.none && !self.skipped.iter().any(fits)
    }
}

/// Reads the words.
pub(crate) fn meant(words: &[String]) -> Meant {
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Meant::Help;
    }
    if !words.iter().any(|word| word == "--bench") {
        return Meant::Test(filter(words));
    }
    let said: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let number = said.iter().find_map(|word| word.parse().ok());
    let names = said.into_iter().filter(|word| word.parse::<usize>().is_err());
    Meant::Earnest(Words { names: names.cloned().collect(), number })
}

fn filter(words: &[String]) -> Filter {
    let mut filter = Filter::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--exact" => filter.exact = true,
            // What a list of tests is asked for is none of them.
            "--ignored" | "--list" => filter.none = true,
            "--skip" => filter.skipped.extend(words.next().cloned()),
            word if WITH_VALUE.contains(&word) => drop(words.next()),
            word if word.starts_with('-') => {}
            word => filter.names.push(word.to_owned()),
        }
    }
    filter
}
