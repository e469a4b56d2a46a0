//! The corpus of the fuzzers, replayed through the same functions on the ordinary toolchain.

use std::fs;
use std::path::Path;

#[path = "../fuzz/harness/mod.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets are other crates and reach it")]
pub(crate) mod harness;

/// A folder below `tests/fuzz/corpus`, and the function that takes its files.
type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("ini", harness::text::ini),
    ("procfile", harness::text::procfile),
    ("dotenv", harness::text::dotenv),
    ("http", harness::http::http),
    ("sockjs", harness::sockjs::sockjs),
    ("websocket", harness::live::websocket),
    ("message", harness::live::message),
    ("frame", harness::live::frame),
    ("lookup", harness::lookup::message),
    ("etcd", harness::etcd::answer),
    ("keys", harness::door::keys),
    ("job", harness::door::job),
    ("plugin", harness::programs::plugin),
    ("listener", harness::programs::listener),
];

#[test]
fn every_kept_input_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (target, function) in TARGETS {
        let folder = corpus.join(target);
        let mut replayed = 0;
        for input in fs::read_dir(&folder).expect("every target has a folder") {
            let input = input.expect("the folder can be read").path();
            // Shown only when the test fails, for the panic does not name the file.
            println!("{}", input.display());
            function(&fs::read(&input).expect("an input is a file"));
            replayed += 1;
        }
        assert!(replayed >= 10, "{} is nearly empty", folder.display());
    }
}
