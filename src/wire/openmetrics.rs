//! Metrics as Prometheus and its kin read them: OpenMetrics 1.0, and the text format 0.0.4 that was before it.
//! It is written straight into one text, without a tree in between. The two differ in little: in what a counter
//! is called where it is described, in units, which only the newer one has, and in its mark at the end.
//!
//! Sources: the OpenMetrics specification 1.0, and "Exposition formats" of the documentation of Prometheus.

use std::fmt::Write as _;

/// Which of the two is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format 0.0.4.
    Text,
}

/// What metrics tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How much there is at present.
    Gauge,
    /// How much there was since the beginning: it only grows.
    Counter,
    /// Nothing but labels.
    Info,
    /// How often something was within which bounds.
    Histogram,
}

/// Metrics of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// What they are called, without what is added to the names of counters and infos.
    pub name: &'static str,
    /// What they tell.
    pub kind: Kind,
    /// What they mean, in a sentence.
    pub help: &'static str,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole one.
    Whole(u64),
    /// Another.
    Float(f64),
}

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Number {
    fn from(number: usize) -> Self {
        Self::Whole(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

/// Labels that many metrics have in common, written once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(String);

impl Labels {
    /// These, in this order. Their names are words.
    pub fn new(all: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        all.iter().for_each(|(name, value)| label(name, value, &mut text));
        Self(text)
    }
}

/// What is being written.
pub struct Exposition {
    dialect: Dialect,
    out: String,
    family: Family,
}

/// The units in which names may end, which are those that OpenMetrics knows and we have.
const UNITS: [&str; 2] = ["seconds", "bytes"];

impl Dialect {
    /// That which is asked for (RFC 9110 section 12.5.1). The older one is for all who do not say that they know the
    /// other, or that they like it better.
    pub fn asked(accept: Option<&str>) -> Self {
        let (mut new, mut old) = (0, 0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let mut weight = 1000;
            let mut is_ours = true;
            for part in parts {
                let (key, value) = part.split_once('=').unwrap_or((part, ""));
                match key.trim().to_ascii_lowercase().as_str() {
                    "q" => weight = thousandths(value.trim()),
                    "version" => is_ours = value.trim().trim_matches('"') == "1.0.0",
                    _ => {}
                }
            }
            match name.as_str() {
                "application/openmetrics-text" if is_ours => new = new.max(weight),
                "text/plain" | "text/*" | "*/*" => old = old.max(weight),
                _ => {}
            }
        }
        match new > 0 && new >= old {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }

    /// Its type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A weight of `Accept`, from 0 to 1, in thousandths; what is none counts as nothing.
fn thousandths(text: &str) -> u32 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, digits) {
        ("1", true) => 1000,
        ("0", true) => format!("{rest:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

impl Family {
    /// One of this kind.
    pub const fn new(kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self { name, kind, help }
    }

    /// What is added to its name where it tells something.
    pub fn suffix(self) -> &'static str {
        match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        }
    }

    fn unit(self) -> Option<&'static str> {
        let ends = |unit: &&str| self.name.strip_suffix(*unit).is_some_and(|n| n.ends_with('_'));
        UNITS.into_iter().find(ends)
    }
}

impl Exposition {
    /// Nothing yet, with room for so many bytes.
    pub fn new(dialect: Dialect, room: usize) -> Self {
        let family = Family::new(Kind::Gauge, "", "");
        Self { dialect, out: String::with_capacity(room), family }
    }

    /// What follows is of this family, and nothing else will be.
    pub fn family(&mut self, family: Family) {
        self.family = family;
        let (kind, suffix) = match (family.kind, self.dialect) {
            (Kind::Gauge, _) => ("gauge", ""),
            (Kind::Counter, Dialect::OpenMetrics) => ("counter", ""),
            (Kind::Counter, Dialect::Text) => ("counter", family.suffix()),
            (Kind::Info, Dialect::OpenMetrics) => ("info", ""),
            (Kind::Info, Dialect::Text) => ("gauge", family.suffix()),
            (Kind::Histogram, _) => ("histogram", ""),
        };
        let out = &mut self.out;
        let told = [("HELP", None), ("TYPE", Some(kind)), ("UNIT", family.unit())];
        for (word, what) in told {
            if word == "UNIT" && (what.is_none() || self.dialect == Dialect::Text) {
                continue;
            }
            for part in ["# ", word, " ", family.name, suffix, " "] {
                out.push_str(part);
            }
            match what {
                Some(what) => out.push_str(what),
                // The older dialect knows no quotes to be escaped here, and would show the backslash.
                None => escape(family.help, self.dialect == Dialect::OpenMetrics, out),
            }
            out.push('\n');
        }
    }

    /// One of the family's metrics, with these labels and then those. A histogram has its own way.
    pub fn sample(&mut self, labels: &Labels, more: &[(&str, &str)], number: impl Into<Number>) {
        let suffix = self.family.suffix();
        self.line(suffix, labels, more, number.into());
    }

    /// The same without labels.
    pub fn plain(&mut self, number: impl Into<Number>) {
        self.sample(&Labels::default(), &[], number);
    }

    /// The family's histogram: up to which bounds, in its unit and growing, how many were above the bound before;
    /// how many were above all of them; and the sum of what was counted.
    pub fn histogram(&mut self, counts: impl Iterator<Item = (f64, u64)>, beyond: u64, sum: f64) {
        let none = Labels::default();
        let mut all = 0;
        for (bound, count) in counts {
            all += count;
            // The newer dialect writes whole numbers with their point here.
            let bound = match self.dialect {
                Dialect::OpenMetrics => format!("{bound:?}"),
                Dialect::Text => format!("{bound}"),
            };
            self.line("_bucket", &none, &[("le", &bound)], all.into());
        }
        all += beyond;
        self.line("_bucket", &none, &[("le", "+Inf")], all.into());
        self.line("_sum", &none, &[], sum.into());
        self.line("_count", &none, &[], all.into());
    }

    fn line(&mut self, suffix: &str, labels: &Labels, more: &[(&str, &str)], number: Number) {
        let out = &mut self.out;
        out.push_str(self.family.name);
        out.push_str(suffix);
        if !labels.0.is_empty() || !more.is_empty() {
            out.push('{');
            let begin = out.len();
            out.push_str(&labels.0);
            for (name, value) in more {
                if out.len() > begin {
                    out.push(',');
                }
                name_value(name, value, out);
            }
            out.push('}');
        }
        out.push(' ');
        match number {
            Number::Whole(number) => digits(number, out),
            Number::Float(number) => float(number, out),
        }
        out.push('\n');
    }

    /// All of it.
    pub fn finish(mut self) -> Vec<u8> {
        if self.dialect == Dialect::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out.into_bytes()
    }
}

fn label(name: &str, value: &str, out: &mut String) {
    if !out.is_empty() {
        out.push(',');
    }
    name_value(name, value, out);
}

fn name_value(name: &str, value: &str, out: &mut String) {
    out.push_str(name);
    out.push_str("=\"");
    escape(value, true, out);
    out.push('"');
}

/// Most texts have nothing that is escaped.
fn escape(text: &str, quotes: bool, out: &mut String) {
    if !text.bytes().any(|byte| matches!(byte, b'\\' | b'\n' | b'"')) {
        return out.push_str(text);
    }
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

/// The digits of a number. Most are small, and there are hundreds of thousands: the machinery of formatting takes
/// several times as long.
fn digits(number: u64, out: &mut String) {
    let mut text = [0; 20];
    let (mut at, mut rest) = (text.len(), number);
    loop {
        at -= 1;
        text[at] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push_str(std::str::from_utf8(&text[at..]).unwrap_or_default());
}

fn float(number: f64, out: &mut String) {
    match () {
        () if number.is_nan() => out.push_str("NaN"),
        () if number.is_infinite() => out.push_str(if number > 0.0 { "+Inf" } else { "-Inf" }),
        // Writing to a text does not fail.
        () => drop(write!(out, "{number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: Family = Family::new(Kind::Gauge, "x_jobs", "Jobs, \"all\" of them\\.");
    const CPU: Family = Family::new(Kind::Counter, "x_cpu_seconds", "Time.");
    const BUILD: Family = Family::new(Kind::Info, "x_build", "What it is.");
    const TURN: Family = Family::new(Kind::Histogram, "x_turn_seconds", "Turns.");

    fn written(dialect: Dialect) -> String {
        let mut out = Exposition::new(dialect, 0);
        out.family(JOBS);
        let job = Labels::new(&[("session", "a"), ("job", "b\\\"\nc")]);
        out.sample(&job, &[], 7_u64);
        out.sample(&job, &[("state", "up")], u64::MAX);
        out.family(CPU);
        out.plain(0.25);
        out.family(BUILD);
        out.sample(&Labels::default(), &[("version", "1")], 1_u64);
        out.family(TURN);
        out.histogram([(0.0001, 3), (1.0, 0), (2.5, 2)].into_iter(), 1, 7.5);
        String::from_utf8(out.finish()).expect("text")
    }

    #[test]
    fn both_dialects_are_as_they_are_written_down() {
        let samples = |le: &str| {
            [
                "x_jobs{session=\"a\",job=\"b\\\\\\\"\\nc\"} 7\n\
                 x_jobs{session=\"a\",job=\"b\\\\\\\"\\nc\",state=\"up\"} 18446744073709551615\n",
                "x_cpu_seconds_total 0.25\n",
                "x_build_info{version=\"1\"} 1\n",
                &format!(
                    "x_turn_seconds_bucket{{le=\"0.0001\"}} 3\nx_turn_seconds_bucket{{le=\"{le}\"}} 3\n\
                     x_turn_seconds_bucket{{le=\"2.5\"}} 5\nx_turn_seconds_bucket{{le=\"+Inf\"}} 6\n\
                     x_turn_seconds_sum 7.5\nx_turn_seconds_count 6\n"
                ),
            ]
            .map(str::to_owned)
        };
        let [jobs, cpu, build, turn] = samples("1.0");
        assert_eq!(
            written(Dialect::OpenMetrics),
            format!(
                "# HELP x_jobs Jobs, \\\"all\\\" of them\\\\.\n# TYPE x_jobs gauge\n{jobs}\
                 # HELP x_cpu_seconds Time.\n# TYPE x_cpu_seconds counter\n# UNIT x_cpu_seconds seconds\n{cpu}\
                 # HELP x_build What it is.\n# TYPE x_build info\n{build}\
                 # HELP x_turn_seconds Turns.\n# TYPE x_turn_seconds histogram\n\
                 # UNIT x_turn_seconds seconds\n{turn}# EOF\n"
            )
        );
        let [jobs, cpu, build, turn] = samples("1");
        assert_eq!(
            written(Dialect::Text),
            format!(
                "# HELP x_jobs Jobs, \"all\" of them\\\\.\n# TYPE x_jobs gauge\n{jobs}\
                 # HELP x_cpu_seconds_total Time.\n# TYPE x_cpu_seconds_total counter\n{cpu}\
                 # HELP x_build_info What it is.\n# TYPE x_build_info gauge\n{build}\
                 # HELP x_turn_seconds Turns.\n# TYPE x_turn_seconds histogram\n{turn}"
            )
        );
    }

    #[test]
    fn numbers_are_as_the_formats_have_them() {
        let written = |number: Number| {
            let mut out = Exposition::new(Dialect::Text, 0);
            out.family = JOBS;
            out.plain(match number {
                Number::Whole(number) => Number::Whole(number),
                Number::Float(number) => Number::Float(number),
            });
            String::from_utf8(out.finish()).expect("text")
        };
        for (number, text) in [
            (Number::Whole(0), "0"),
            (Number::Whole(10), "10"),
            (Number::Whole(1_234_567_890), "1234567890"),
            (Number::Float(0.1), "0.1"),
            (Number::Float(-3.0), "-3"),
            (Number::Float(f64::NAN), "NaN"),
            (Number::Float(f64::INFINITY), "+Inf"),
            (Number::Float(f64::NEG_INFINITY), "-Inf"),
        ] {
            assert_eq!(written(number), format!("x_jobs {text}\n"));
        }
    }

    #[test]
    fn the_newer_dialect_is_for_those_who_know_it() {
        let new = "application/openmetrics-text";
        for (accept, dialect) in [
            ("", Dialect::Text),
            ("*/*", Dialect::Text),
            ("text/plain", Dialect::Text),
            (new, Dialect::OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", Dialect::OpenMetrics),
            ("application/openmetrics-text; version=\"1.0.0\"", Dialect::OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Dialect::Text),
            ("application/openmetrics-text; q=0", Dialect::Text),
            ("application/openmetrics-text; q=nonsense", Dialect::Text),
            ("application/openmetrics-text;q=0.5, text/plain;q=0.75", Dialect::Text),
            (
                "application/openmetrics-text;q=0.75, text/plain;q=0.5, */*;q=0.1",
                Dialect::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
                 version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                Dialect::OpenMetrics,
            ),
        ] {
            assert_eq!(Dialect::asked(Some(accept)), dialect, "{accept}");
        }
        assert_eq!(Dialect::asked(None), Dialect::Text);
    }
}
