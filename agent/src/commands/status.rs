//! `berth status`: the running agent in one screen.

use std::path::Path;

use crate::edge::socket_client::{self, ClientError};
use crate::published::Report;

/// The screen, or the JSON that the agent answered.
pub async fn run(run_dir: &Path, json: bool) -> Result<String, ClientError> {
    if json {
        let answer = socket_client::get(run_dir, "/v1/status").await?;
        return Ok(String::from_utf8_lossy(&answer).into_owned());
    }
    Ok(screen(&socket_client::status(run_dir).await?))
}

/// The agent in one screen.
pub fn screen(report: &Report) -> String {
    let _ = report;
    String::new()
}
