//! What every simulation does with its seeds: says how to replay one that fails, and replays that one.

/// Says, when a test fails meanwhile, how its seed is replayed.
pub(crate) struct Replay {
    /// The seed.
    pub(crate) seed: u64,
    /// The test that plays the seed of `GAFFER_SEED`.
    pub(crate) test: &'static str,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, test } = self;
            eprintln!("replay with: GAFFER_SEED={seed} cargo test --test pure {test}");
        }
    }
}

/// The seed that is asked for, or else 0.
pub(crate) fn wanted() -> u64 {
    let said = std::env::var("GAFFER_SEED").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(0)
}
