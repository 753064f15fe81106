//! Shrinking: the smallest plan that breaks the same promise.

use std::rc::Rc;
use std::time::Duration;

use super::plan::Plan;
use super::promises::Broken;
use super::world::World;

/// Drops, shortens and simplifies for as long as the same promise stays broken.
pub(crate) fn shrink(mut plan: Rc<Plan>, broken: &Broken) -> Rc<Plan> {
    let same = |one: &Broken| one.promise == broken.promise && words(&one.what) == words(&broken.what);
    let still = |plan: &Rc<Plan>| World::new(plan, false).run().broken.is_some_and(|one| same(&one));
    while let Some(smaller) = candidates(&plan).into_iter().map(Rc::new).find(still) {
        plan = smaller;
    }
    plan
}

/// The sentence without its numbers.
fn words(what: &str) -> String {
    what.chars().filter(|one| !one.is_ascii_digit() && *one != '.').collect()
}

/// Every plan that is one step smaller, the biggest steps first.
fn candidates(plan: &Plan) -> Vec<Plan> {
    let with = |change: &dyn Fn(&mut Plan)| {
        let mut smaller = plan.clone();
        change(&mut smaller);
        smaller
    };
    let mut all = Vec::new();
    for nth in 0..plan.twists.len() {
        all.push(with(&|plan| {
            plan.twists.remove(nth);
        }));
    }
    // The first four words are what the app is.
    for nth in 4..plan.words.len() {
        all.push(with(&|plan| {
            drop(plan.words.remove(nth));
            plan.shape.attached |= !plan.registers();
        }));
    }
    let shape = &plan.shape;
    if shape.pool.is_some() {
        all.push(with(&|plan| plan.shape.pool = None));
    }
    if shape.balancer && !plan.registers() {
        all.push(with(&|plan| plan.shape.balancer = false));
    }
    if shape.websockets {
        all.push(with(&|plan| plan.shape.websockets = false));
    }
    if shape.launch_hook.is_some() {
        all.push(with(&|plan| plan.shape.launch_hook = None));
    }
    if shape.terminate_hook.is_some() {
        all.push(with(&|plan| plan.shape.terminate_hook = None));
    }
    if shape.group && shape.launch_hook.is_none() && shape.terminate_hook.is_none() && shape.pool.is_none() {
        all.push(with(&|plan| plan.shape.group = false));
    }
    for zero in [
        (|plan| &mut plan.shape.activation) as fn(&mut Plan) -> &mut Duration,
        |plan| &mut plan.shape.deregistration,
        |plan| &mut plan.shape.app_ready_in,
        |plan| &mut plan.shape.os_boots_in,
    ] {
        if !zero(&mut plan.clone()).is_zero() {
            all.push(with(&|plan| *zero(plan) = Duration::ZERO));
        }
    }
    for nth in 0..plan.twists.len() {
        for simpler in plan.twists.get(nth).map(super::twist::Twist::simpler).unwrap_or_default() {
            all.push(with(&|plan| {
                if let Some(twist) = plan.twists.get_mut(nth) {
                    *twist = simpler.clone();
                }
            }));
        }
    }
    if plan.end > Duration::from_secs(1) {
        all.push(with(&|plan| plan.end /= 2));
    }
    all
}
