//! What an instance's lifecycle state says of its hooks.

/// Whether a launch hook may be, or become, active in this state.
pub(super) fn waits_to_launch(state: &str) -> bool {
    matches!(state, "Pending" | "Pending:Wait" | "Warmed:Pending" | "Warmed:Pending:Wait")
}

/// Whether a termination hook may be, or become, active in this state. A group that reuses instances lets them wait for the
/// termination hook in `Warmed:Pending:Wait`.
pub(super) fn waits_to_terminate(state: &str, expected: bool) -> bool {
    match state {
        "Terminating" | "Terminating:Wait" | "Warmed:Terminating" | "Warmed:Terminating:Wait" => true,
        "Warmed:Pending" | "Warmed:Pending:Wait" => true,
        "ReplacingRootVolume" | "ReplacingRootVolume:Wait" => true,
        // The metadata can be ahead of what the group answers.
        "InService" | "Standby" | "Detached" => expected,
        _ => false,
    }
}
