//! One look at what the metadata says of the instance's surroundings.

use super::{Imds, ImdsError};
use crate::notice::Sight;

impl Imds {
    /// One look.
    pub async fn sight(&self) -> Result<Sight, ImdsError> {
        Ok(Sight { target_state: self.target_lifecycle_state().await?, ..Sight::default() })
    }
}
