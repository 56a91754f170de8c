//! Values that a device computes while the host goes on.

use crate::error::Result;
use std::collections::VecDeque;

/// Values to come that a [`Queue`] keeps at most: enough for a device never to wait for the host, few enough that what
/// goes wrong is known soon.
pub const AHEAD: usize = 2;

/// A value that is known, or that a device was asked for.
pub enum Later<T> {
    Known(T),
    /// Waits for the value, and for nothing that the device was asked for after it.
    Coming(Box<dyn FnOnce() -> Result<T>>),
}

impl<T> Later<T> {
    pub fn wait(self) -> Result<T> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Coming(wait) => wait(),
        }
    }
}

impl<T: 'static> Later<T> {
    pub fn map<U>(self, made: impl FnOnce(T) -> U + 'static) -> Later<U> {
        match self {
            Self::Known(value) => Later::Known(made(value)),
            Self::Coming(wait) => Later::Coming(Box::new(move || wait().map(made))),
        }
    }

    pub fn and<U: 'static>(self, other: Later<U>) -> Later<(T, U)> {
        match (self, other) {
            (Self::Known(a), Later::Known(b)) => Later::Known((a, b)),
            (a, b) => Later::Coming(Box::new(move || Ok((a.wait()?, b.wait()?)))),
        }
    }
}

/// Values in the order in which they were asked for, each with what it was asked for; the caller asks on while a few of
/// them are still to come.
pub struct Queue<K, T>(VecDeque<(K, Later<T>)>);

impl<K, T> Default for Queue<K, T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K, T> Queue<K, T> {
    pub fn push(&mut self, key: K, value: Later<T>) {
        self.0.push_back((key, value));
    }

    /// The oldest, if it is known or so many are to come that it has to be awaited. To be asked for until there is none.
    pub fn due(&mut self) -> Result<Option<(K, T)>> {
        match self.0.front() {
            Some((_, Later::Known(_))) => self.oldest(),
            Some(_) if self.0.len() > AHEAD => self.oldest(),
            _ => Ok(None),
        }
    }

    /// The oldest, awaited.
    pub fn oldest(&mut self) -> Result<Option<(K, T)>> {
        let Some((key, value)) = self.0.pop_front() else { return Ok(None) };
        Ok(Some((key, value.wait()?)))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Gives `take` one value after another, each with its key, while the next ones are asked for.
pub fn in_turn<K, T>(
    asked: impl Iterator<Item = Result<(K, Later<T>)>>,
    mut take: impl FnMut(K, T) -> Result<()>,
) -> Result<()> {
    let mut queue = Queue::default();
    for pair in asked {
        let (key, value) = pair?;
        queue.push(key, value);
        while let Some((key, value)) = queue.due()? {
            take(key, value)?;
        }
    }
    while let Some((key, value)) = queue.oldest()? {
        take(key, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::{cell::Cell, rc::Rc};

    #[test]
    fn known_values_are_due_at_once_and_others_when_enough_are_to_come() {
        let mut queue = Queue::default();
        let waited = Rc::new(Cell::new(0));
        let coming = |value: u32| {
            let waited = waited.clone();
            Later::Coming(Box::new(move || Ok(waited.replace(waited.get() + 1) * 100 + value)))
        };
        queue.push('a', Later::Known(1));
        assert_eq!(queue.due().unwrap(), Some(('a', 1)));
        queue.push('b', coming(2));
        queue.push('c', coming(3).map(|v| v + 10).and(Later::Known(4)).map(|(a, b)| a * 10 + b));
        assert_eq!((queue.due().unwrap(), waited.get()), (None, 0));
        queue.push('d', Later::Known(5));
        assert_eq!(queue.due().unwrap(), Some(('b', 2)));
        // What is known waits for its turn.
        assert_eq!((queue.due().unwrap(), queue.len()), (None, 2));
        assert_eq!(queue.oldest().unwrap(), Some(('c', 1134)));
        assert_eq!((queue.due().unwrap(), queue.oldest().unwrap()), (Some(('d', 5)), None));
        queue.push('e', Later::Coming(Box::new(|| Err(Error::internal("lost")))));
        assert_eq!(queue.oldest().unwrap_err().to_string(), "lost");
        assert!(queue.is_empty());
    }

    #[test]
    fn values_are_taken_in_turn_a_few_behind_those_that_are_asked_for() {
        let (asked, mut seen) = (Cell::new(0), Vec::new());
        let all = (0..5).map(|i| {
            asked.set(i);
            Ok((i, Later::Coming(Box::new(move || Ok(i * i)))))
        });
        in_turn(all, |key, value| {
            seen.push((key, value, asked.get()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(0, 0, 2), (1, 1, 3), (2, 4, 4), (3, 9, 4), (4, 16, 4)]);
    }
}
