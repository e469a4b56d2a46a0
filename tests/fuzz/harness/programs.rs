//! What programs say: the manifests of plugins, and listeners of supervisor.

use gaffer::front::router::{Found, Router};
use gaffer::node::programs::manifest::Manifest;
use gaffer::wire::listener::talk::{Said, State, Talk};

/// A plugin's manifest: a fault is told in words, and each route of a sound one is found by its own pattern, or
/// one that is as plain is found in its place.
pub fn plugin(data: &[u8]) {
    match Manifest::read("hello", data) {
        Ok(manifest) => {
            assert_eq!(manifest.to_value()["program"], manifest.program.as_str());
            let mut router = Router::default();
            for (number, route) in manifest.routes.iter().enumerate() {
                router.add(route.method, &route.pattern, number);
            }
            for route in &manifest.routes {
                let segments = route.pattern.split('/').skip(1).filter(|part| !part.is_empty());
                let one =
                    |part: &str| if part.starts_with('#') { "1".into() } else { part.to_owned() };
                let segments: Vec<String> = segments.map(one).collect();
                let found = router.find(route.method, &segments);
                assert!(!matches!(found, Found::Nothing), "{}", route.pattern);
            }
        }
        Err(error) => assert!(!error.is_empty()),
    }
}

/// A listener of supervisor, in pieces as the bytes say: it is told what it said in its order, and once it has
/// said what has no meaning, nothing it says has any.
pub fn listener(data: &[u8]) {
    let mut talk = Talk::default();
    let mut rest = data;
    while let Some((length, after)) = rest.split_first() {
        let (piece, after) = after.split_at(after.len().min(usize::from(*length)));
        rest = after;
        let lost = talk.state() == State::Unknown;
        let said = talk.heard(piece);
        assert!(!lost || said.is_empty(), "it is heard no more");
        for said in &said {
            if let Said::Garbage(begins) = said {
                assert!(begins.len() <= piece.len() + 64 && talk.state() == State::Unknown);
            }
        }
        if said.last() == Some(&Said::Ready) {
            talk.sent();
            assert_eq!(talk.state(), State::Busy);
        }
    }
}
