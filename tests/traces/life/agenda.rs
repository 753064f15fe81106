//! What is planned, in the order of time. What is planned for the same time keeps the order in which it was planned.

use std::time::Duration;

/// A short list, the next at its end: a life plans a handful at a time, a million times.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    planned: Vec<(Duration, T)>,
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Self {
        Self { planned: Vec::new() }
    }

    pub(crate) fn plan(&mut self, at: Duration, what: T) {
        let before = self.planned.iter().rposition(|(other, _)| *other > at).map_or(0, |later| later + 1);
        self.planned.insert(before, (at, what));
    }

    /// When the next is due.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.planned.last().map(|(at, _)| *at)
    }

    /// The next, whenever it is due.
    pub(crate) fn next(&mut self) -> Option<T> {
        self.planned.pop().map(|(_, what)| what)
    }

    /// The first that is so, ahead of its time.
    pub(crate) fn take(&mut self, is: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.planned.iter().rposition(|(_, what)| is(what))?;
        Some(self.planned.remove(at).1)
    }
}

#[test]
fn what_is_at_the_same_time_happens_in_the_order_in_which_it_was_planned() {
    let mut agenda = Agenda::new();
    for (at, what) in [(2, 'c'), (1, 'a'), (2, 'd'), (1, 'b'), (3, 'e')] {
        agenda.plan(Duration::from_secs(at), what);
    }
    assert_eq!((agenda.due(), agenda.take(|one| *one == 'd')), (Some(Duration::from_secs(1)), Some('d')));
    assert_eq!(std::iter::from_fn(|| agenda.next()).collect::<String>(), "abce");
}
