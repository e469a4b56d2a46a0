//! A node with an endpoint of the host's, for those alone who may manage the job it is about; the node's own
//! endpoints are below `/gaffer`.
//!
//!     cargo run --example endpoint -- 127.0.0.1:5000
//!     curl -X POST http://127.0.0.1:5000/double/site/web

use gaffer::embed::{Asked, Config, Daemon, Error, Method, Needs, Node, Response, Right};
use serde_json::json;

/// Has a job have twice as many processes.
fn double(node: &mut Node<'_>, asked: &Asked<'_>) -> Response {
    let name = format!("{}.{}", asked.part("session"), asked.part("job"));
    let doubled = node.job(&name).and_then(|job| {
        let now = job["max_processes"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        node.scale(&name, now.saturating_mul(2))
    });
    match doubled {
        Ok(number) => Response::json(200, &json!({"numprocesses": number, "by": asked.who()})),
        Err(refused) => Response::error(400, Some(&refused.to_string())),
    }
}

fn main() -> Result<(), Error> {
    let bind = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let mut config = Config::new().bind(&bind);
    if let Some(state_dir) = std::env::args().nth(2) {
        // With keys, which are kept there and made over a unix socket.
        config = config.require_key().socket(format!("{state_dir}/socket")).state_dir(state_dir);
    }
    let mut daemon = Daemon::builder(config)
        .job("site.web", json!({"cmd": "sleep 1000"}))
        .route(Method::Post, "/double/:session/:job", Needs::Job(Right::Manage), double)
        .prefix("/gaffer")
        .signals()
        .build()?;
    println!("listening on {}", daemon.addresses()[0]);
    daemon.run()?;
    Ok(())
}
