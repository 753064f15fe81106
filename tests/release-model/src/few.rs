//! A list of at most so many, without an allocation: millions of states are copied.

use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// At most `N` items.
#[derive(Clone, Copy)]
pub struct Few<T, const N: usize> {
    items: [T; N],
    count: usize,
}

impl<T: Copy, const N: usize> Few<T, N> {
    /// None yet; the item only fills the space.
    pub fn none(filler: T) -> Self {
        Self { items: [filler; N], count: 0 }
    }

    /// These; more than `N` are a mistake in a scenario.
    pub fn of(filler: T, items: impl IntoIterator<Item = T>) -> Self {
        let mut few = Self::none(filler);
        items.into_iter().for_each(|item| few.push(item));
        few
    }

    /// One more.
    pub fn push(&mut self, item: T) {
        assert!(self.count < N, "more than {N} of something");
        self.items.iter_mut().skip(self.count).take(1).for_each(|place| *place = item);
        self.count += 1;
    }

    /// Removes the one at this place; the others keep their order.
    pub fn remove(&mut self, at: usize) -> Option<T> {
        let item = self.get(at).copied()?;
        self.get_mut(at..)?.rotate_left(1);
        self.count -= 1;
        Some(item)
    }

    /// Keeps these.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        while let Some(at) = self.iter().position(|item| !keep(item)) {
            self.remove(at);
        }
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.items.get(..self.count).unwrap_or_default()
    }
}

impl<T, const N: usize> DerefMut for Few<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.items.get_mut(..self.count).unwrap_or_default()
    }
}

impl<T: PartialEq, const N: usize> PartialEq for Few<T, N> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq, const N: usize> Eq for Few<T, N> {}

impl<T: Hash, const N: usize> Hash for Few<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<T: std::fmt::Debug, const N: usize> std::fmt::Debug for Few<T, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}
