//! How a release is shown.

use super::{Swap, SwapCause, SwapStage};
use crate::app::App;
use crate::release::Next;
use crate::view::{ReadyReason, Status};

impl Swap {
    /// What `/ready` says: 503 from when load balancers are to let go until the new container is healthy.
    pub fn status(&self) -> Status {
        match &self.stage {
            SwapStage::LettingGo { .. } | SwapStage::Pausing | SwapStage::Arriving => match self.serve.status() {
                Status::Standby => Status::Standby,
                _ => Status::Starting,
            },
            // The old one serves, and takes the traffic back.
            SwapStage::Returning(_) if self.other.as_ref().is_some_and(App::is_up) => Status::Ok,
            _ => self.serve.status(),
        }
    }

    /// Why, as `/ready` says it.
    pub fn ready_reason(&self) -> ReadyReason {
        match self.status() {
            Status::Starting => ReadyReason::ReleaseMoves,
            Status::Ok => ReadyReason::Healthy,
            _ => self.serve.ready_reason(),
        }
    }

    /// Why.
    pub fn reason(&self) -> String {
        let what = match &self.cause {
            SwapCause::Release(next) => format!("release {}", next.release.id),
            SwapCause::Secrets => "rotated secrets".to_owned(),
            SwapCause::Rest => return "the other container of a release leaves".to_owned(),
        };
        let other = || self.other.as_ref().map(App::reason).unwrap_or_default();
        let stage = match &self.stage {
            SwapStage::Fetching(_) => "fetching secrets".to_owned(),
            SwapStage::Choosing => "choosing host ports".to_owned(),
            SwapStage::Creating(_) => "creating the container".to_owned(),
            SwapStage::Proving { since: None, .. } => format!("the new container: {}", other()),
            SwapStage::Proving { since: Some(_), .. } => "the new container is healthy, and has to stay so".to_owned(),
            SwapStage::Clearing(_) => "the new container has proven itself".to_owned(),
            SwapStage::Confirming { .. } => "asking the board whether traffic may move".to_owned(),
            SwapStage::Joining => "waiting for the load balancer to call the new container healthy".to_owned(),
            SwapStage::LettingGo { .. } => "503 until load balancers have let go".to_owned(),
            SwapStage::Pausing => "stopping the old container".to_owned(),
            SwapStage::Arriving => format!("the new container takes the ports: {}", other()),
            SwapStage::Baking => "the new container serves, the old one is kept for a while".to_owned(),
            SwapStage::Returning(back) => format!("back to the old container: {}", back.reason),
            SwapStage::Reviving { back, .. } | SwapStage::Recovering(back) => {
                format!("starting the old container again: {}", back.reason)
            }
            SwapStage::Retiring { .. } => "the other container serves what it has".to_owned(),
            SwapStage::Removing(_) | SwapStage::Done => "removing the other container".to_owned(),
        };
        let how = self.restarts_for.as_ref().map(|reason| format!(" by restart ({reason})")).unwrap_or_default();
        format!("{what}{how}: {stage}")
    }

    /// The release that goes on.
    pub fn under_way(&self) -> Option<&Next> {
        match &self.cause {
            SwapCause::Release(next) => Some(next),
            SwapCause::Secrets | SwapCause::Rest => None,
        }
    }
}
