//! Instances differ by their number alone, so states that differ by who is who are one.

use crate::few::Few;
use crate::state::{Agent, Instance, Set, State, Write};

impl State {
    /// The same state with its instances in an order that does not depend on their numbers. Not for a fleet with waves, where the number
    /// is what an instance waits by.
    pub fn sorted(&self) -> Self {
        let views = Few::<_, 4>::of(self.view_of(0), (0..self.fleet.len()).map(|at| self.view_of(at)));
        let mut order = Few::<usize, 4>::of(0, 0..self.fleet.len());
        order.sort_by_key(|at| views.get(*at).copied());
        // Where each goes.
        let mut place = [0; 4];
        for (new, old) in (0..).zip(order.iter()) {
            place.iter_mut().skip(*old).take(1).for_each(|place| *place = new);
        }
        let place = |instance: Instance| place.get(usize::from(instance)).copied().unwrap_or(instance);
        let set = |set: Set| Set((0..8).filter(|one| set.has(*one)).fold(0, |bits, one| bits | 1 << place(one)));

        let mut sorted = *self;
        sorted.fleet = Few::of(Agent::unborn(), order.iter().filter_map(|old| self.fleet.get(*old).copied()));
        for entry in sorted.board.iter_mut() {
            let sets = [&mut entry.begun, &mut entry.ok, &mut entry.bad, &mut entry.lost, &mut entry.moves.by];
            sets.into_iter().for_each(|one| *one = set(*one));
        }
        for lock in sorted.locks.iter_mut().flatten() {
            lock.holder = place(lock.holder);
        }
        for write in sorted.late.iter_mut() {
            match write {
                Write::Lock { holder, .. } | Write::Unlock { holder, .. } => *holder = place(*holder),
                Write::Unmark { instance, .. } | Write::Verdict { instance, .. } => *instance = place(*instance),
            }
        }
        sorted.late.sort();
        sorted.number_etags();
        sorted
    }

    /// Everything that says `this instance`, without names of ETags.
    fn view_of(&self, at: usize) -> (Option<Agent>, u32) {
        let number = Instance::try_from(at).unwrap_or(Instance::MAX);
        let mut agent = self.fleet.get(at).copied();
        for held in agent.iter_mut().filter_map(|agent| agent.held.as_mut()) {
            held.etag = 0;
        }
        let sets = self.board.iter().flat_map(|entry| [entry.begun, entry.ok, entry.bad, entry.lost, entry.moves.by]);
        let locks = self.locks.iter().map(|lock| lock.is_some_and(|lock| lock.holder == number));
        let bits = sets.map(|set| set.has(number)).chain(locks);
        (agent, bits.fold(0, |bits, bit| bits << 1 | u32::from(bit)))
    }
}
