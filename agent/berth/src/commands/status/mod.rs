//! `berth status`: the running agent on one screen, once or again at every event.
//!
//! When no agent runs, it shows the last one from its record in the state directory.

use std::process::ExitCode;

use crate::cli::{Global, StatusArgs};
use crate::io::host::state_dir;
use crate::io::listen::socket_client::ClientError;

use screen::clean;

pub mod screen;
pub mod watch;

/// The whole command.
pub async fn main(global: &Global, args: &StatusArgs) -> ExitCode {
    let shown = if args.watch {
        watch::main(&global.run_dir(), args.json).await
    } else {
        screen::run(&global.run_dir(), args.json, screen::viewport()).await.map(|text| super::say(&text))
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(ClientError::NotRunning(run_dir)) => {
            super::note(&clean(&ClientError::NotRunning(run_dir).to_string()));
            match state_dir::read(&global.state_dir()) {
                Ok(Some(life)) => super::say(&screen::last(&life, args.json, screen::viewport())),
                Ok(None) => {}
                Err(error) => super::note(&clean(&super::chain(&error))),
            }
            super::NO.into()
        }
        Err(error) => super::failed(super::NO, &super::chain(&error)),
    }
}
