//! Which endpoint a path belongs to. Built-in endpoints and guests' stand in one table, and nothing
//! else decides what a path means.

use crate::wire::http::Method;

/// One endpoint: a pattern, the methods it takes, and what they lead to.
struct Route<H> {
    pattern: Vec<Part>,
    methods: Vec<(Method, H)>,
}

/// One segment of a pattern.
#[derive(Clone, PartialEq, Eq)]
enum Part {
    /// These characters.
    Exactly(String),
    /// Anything but nothing: `:name`.
    Any,
    /// Decimal digits: `#name`.
    Digits,
    /// All that follows, at the end of a pattern: `*name`.
    Rest,
}

/// All endpoints.
pub struct Router<H> {
    routes: Vec<Route<H>>,
}

impl<H> Default for Router<H> {
    fn default() -> Self {
        Self { routes: Vec::new() }
    }
}

/// Where a request leads.
pub enum Found<'a, H> {
    /// To an endpoint, with the segments that its pattern left open, in order.
    Endpoint(&'a H, Vec<String>),
    /// To a path that has other methods than this one.
    WrongMethod(Vec<Method>),
    /// To a path that nobody has.
    Nothing,
}

impl<H> Router<H> {
    /// Adds an endpoint. In a pattern, `:name` stands for any one segment, `#name` for one of decimal digits, and
    /// `*name` at its end for all segments that follow, of which there is one at least (which may be empty). The
    /// first pattern that fits a path is taken; of those that leave the rest of it open, which come behind all
    /// others, the longest.
    pub fn add(&mut self, method: Method, pattern: &str, endpoint: H) {
        let pattern: Vec<Part> = parts(pattern);
        match self.routes.iter_mut().find(|route| route.pattern == pattern) {
            Some(route) => route.methods.push((method, endpoint)),
            None => self.routes.push(Route { pattern, methods: vec![(method, endpoint)] }),
        }
    }

    /// Finds the endpoint of a decoded path.
    pub fn find<'a>(&'a self, method: Method, segments: &[String]) -> Found<'a, H> {
        let mut fitting = self.routes.iter().filter(|route| fits(&route.pattern, segments));
        let is_whole = |route: &&Route<H>| route.pattern.last() != Some(&Part::Rest);
        let found = fitting.clone().find(is_whole);
        // Of those that are as long the first, as everywhere.
        let longer = |a: &'a Route<H>, b: &'a Route<H>| match b.pattern.len() > a.pattern.len() {
            true => b,
            false => a,
        };
        let Some(route) = found.or_else(|| fitting.by_ref().reduce(longer)) else {
            return Found::Nothing;
        };
        match route.methods.iter().find(|(known, _)| *known == method) {
            Some((_, endpoint)) => {
                let parts = route.pattern.iter().chain(std::iter::repeat(&Part::Rest));
                let open = parts.zip(segments);
                let open = open.filter(|(part, _)| !matches!(part, Part::Exactly(_)));
                Found::Endpoint(endpoint, open.map(|(_, segment)| segment.clone()).collect())
            }
            None => Found::WrongMethod(route.methods.iter().map(|(known, _)| *known).collect()),
        }
    }
}

fn parts(pattern: &str) -> Vec<Part> {
    let part = |text: &str| {
        if text.starts_with(':') {
            Part::Any
        } else if text.starts_with('#') {
            Part::Digits
        } else if text.starts_with('*') {
            Part::Rest
        } else {
            Part::Exactly(text.to_owned())
        }
    };
    pattern.split('/').skip(1).filter(|text| !text.is_empty()).map(part).collect()
}

fn fits(pattern: &[Part], segments: &[String]) -> bool {
    let fits_one = |(part, segment): (&Part, &String)| match part {
        Part::Exactly(text) => text == segment,
        Part::Any => !segment.is_empty(),
        Part::Digits => !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_digit()),
        Part::Rest => true,
    };
    let long_enough = match pattern.last() {
        Some(Part::Rest) => segments.len() >= pattern.len(),
        Some(Part::Exactly(_) | Part::Any | Part::Digits) | None => segments.len() == pattern.len(),
    };
    long_enough && pattern.iter().zip(segments).all(fits_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, method: Method) -> String {
        let mut router = Router::default();
        router.add(Method::Get, "/", "root");
        router.add(Method::Get, "/jobs/:s/:l", "job");
        router.add(Method::Delete, "/jobs/:s/:l", "unload");
        router.add(Method::Get, "/#pid", "process");
        let segments: Vec<String> =
            path.split('/').skip(1).filter(|s| !s.is_empty()).map(str::to_owned).collect();
        match router.find(method, &segments) {
            Found::Endpoint(endpoint, open) => format!("{endpoint} {}", open.join(",")),
            Found::WrongMethod(methods) => format!("wrong, {} methods", methods.len()),
            Found::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn a_rest_is_all_that_follows_and_comes_behind_what_says_more() {
        let mut router = Router::default();
        router.add(Method::Get, "/_plugin/:name/*rest", "site");
        router.add(Method::Get, "/_plugin/:name/api/*rest", "program");
        router.add(Method::Post, "/_plugin/:name/api/*rest", "program");
        router.add(Method::Get, "/_plugin/:name/state", "state");
        let found = |path: &str, method: Method| {
            let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
            match router.find(method, &segments) {
                Found::Endpoint(endpoint, open) => format!("{endpoint} {}", open.join("|")),
                Found::WrongMethod(methods) => format!("wrong, {} methods", methods.len()),
                Found::Nothing => "nothing".into(),
            }
        };
        for (path, get, post) in [
            ("/_plugin/x", "nothing", "nothing"),
            ("/_plugin/x/", "site x|", "wrong, 1 methods"),
            ("/_plugin/x/a/b/", "site x|a|b|", "wrong, 1 methods"),
            ("/_plugin/x//a", "site x||a", "wrong, 1 methods"),
            ("/_plugin/x/api", "site x|api", "wrong, 1 methods"),
            ("/_plugin/x/api/", "program x|", "program x|"),
            ("/_plugin/x/api/a/b", "program x|a|b", "program x|a|b"),
            ("/_plugin/x/state", "state x", "wrong, 1 methods"),
            ("/_plugin//a", "nothing", "nothing"),
        ] {
            assert_eq!(found(path, Method::Get), get, "{path}");
            assert_eq!(found(path, Method::Post), post, "{path}");
        }
    }

    #[test]
    fn paths_lead_to_their_endpoints() {
        assert_eq!(found("/", Method::Get), "root ");
        assert_eq!(found("/jobs/a/b", Method::Get), "job a,b");
        assert_eq!(found("/jobs/a/b", Method::Delete), "unload a,b");
        assert_eq!(found("/jobs/a/b", Method::Put), "wrong, 2 methods");
        assert_eq!(found("/12", Method::Get), "process 12");
        for nothing in ["/x", "/^", "/1x", "/jobs/a", "/jobs/a/b/c"] {
            assert_eq!(found(nothing, Method::Get), "nothing", "{nothing}");
        }
    }
}
