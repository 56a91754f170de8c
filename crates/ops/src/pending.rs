//! Values that a device is still computing while the host continues.

use crate::error::Result;
use std::collections::VecDeque;

/// The most values in flight in a [`Queue`]: enough that a device never waits for the host, few enough that failures
/// are noticed soon.
pub const MAX_IN_FLIGHT: usize = 2;

/// A value that is ready, or that a device is computing.
pub enum Pending<T> {
    Ready(T),
    /// Waits for the value, but not for what the device was given after it.
    InFlight(Box<dyn FnOnce() -> Result<T>>),
}

impl<T> Pending<T> {
    pub fn wait(self) -> Result<T> {
        match self {
            Self::Ready(value) => Ok(value),
            Self::InFlight(wait) => wait(),
        }
    }
}

impl<T: 'static> Pending<T> {
    pub fn map<U>(self, made: impl FnOnce(T) -> U + 'static) -> Pending<U> {
        match self {
            Self::Ready(value) => Pending::Ready(made(value)),
            Self::InFlight(wait) => Pending::InFlight(Box::new(move || wait().map(made))),
        }
    }

    pub fn and<U: 'static>(self, other: Pending<U>) -> Pending<(T, U)> {
        match (self, other) {
            (Self::Ready(a), Pending::Ready(b)) => Pending::Ready((a, b)),
            (a, b) => Pending::InFlight(Box::new(move || Ok((a.wait()?, b.wait()?)))),
        }
    }
}

/// Values in the order in which they were requested, each with a key; the caller continues while a few of them are
/// still in flight.
pub struct Queue<K, T>(VecDeque<(K, Pending<T>)>);

impl<K, T> Default for Queue<K, T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K, T> Queue<K, T> {
    pub fn push(&mut self, key: K, value: Pending<T>) {
        self.0.push_back((key, value));
    }

    /// The oldest value if it is ready, or if too many are in flight. To be called until it returns `None`.
    pub fn due(&mut self) -> Result<Option<(K, T)>> {
        match self.0.front() {
            Some((_, Pending::Ready(_))) => self.oldest(),
            Some(_) if self.0.len() > MAX_IN_FLIGHT => self.oldest(),
            _ => Ok(None),
        }
    }

    /// Waits for the oldest value.
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

/// Passes each value with its key to `consume`, in order, while the next ones are being computed.
pub fn pipelined<K, T>(
    requests: impl Iterator<Item = Result<(K, Pending<T>)>>,
    mut consume: impl FnMut(K, T) -> Result<()>,
) -> Result<()> {
    let mut queue = Queue::default();
    for request in requests {
        let (key, value) = request?;
        queue.push(key, value);
        while let Some((key, value)) = queue.due()? {
            consume(key, value)?;
        }
    }
    while let Some((key, value)) = queue.oldest()? {
        consume(key, value)?;
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
            Pending::InFlight(Box::new(move || Ok(waited.replace(waited.get() + 1) * 100 + value)))
        };
        queue.push('a', Pending::Ready(1));
        assert_eq!(queue.due().unwrap(), Some(('a', 1)));
        queue.push('b', coming(2));
        queue.push('c', coming(3).map(|v| v + 10).and(Pending::Ready(4)).map(|(a, b)| a * 10 + b));
        assert_eq!((queue.due().unwrap(), waited.get()), (None, 0));
        queue.push('d', Pending::Ready(5));
        assert_eq!(queue.due().unwrap(), Some(('b', 2)));
        // What is known waits for its turn.
        assert_eq!((queue.due().unwrap(), queue.len()), (None, 2));
        assert_eq!(queue.oldest().unwrap(), Some(('c', 1134)));
        assert_eq!((queue.due().unwrap(), queue.oldest().unwrap()), (Some(('d', 5)), None));
        queue.push('e', Pending::InFlight(Box::new(|| Err(Error::internal("lost")))));
        assert_eq!(queue.oldest().unwrap_err().to_string(), "lost");
        assert!(queue.is_empty());
    }

    #[test]
    fn values_are_taken_in_turn_a_few_behind_those_that_are_asked_for() {
        let (asked, mut seen) = (Cell::new(0), Vec::new());
        let all = (0..5).map(|i| {
            asked.set(i);
            Ok((i, Pending::InFlight(Box::new(move || Ok(i * i)))))
        });
        pipelined(all, |key, value| {
            seen.push((key, value, asked.get()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(0, 0, 2), (1, 1, 3), (2, 4, 4), (3, 9, 4), (4, 16, 4)]);
    }
}
