//! Timeouts and retries.

use std::{
    fmt,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use super::failure::{Failure, FailureKind};

/// The client's timeouts and retries.
#[derive(Clone)]
pub struct Network {
    pub connect_timeout: Duration,
    /// For a response's header, and for each piece of its body. There is no limit for a whole file.
    pub read_timeout: Duration,
    /// The number of attempts before a request fails.
    pub tries: u32,
    /// Sleeps between two attempts.
    pub pause: Arc<dyn Fn(Duration) + Send + Sync>,
    /// Whether to use the proxy configured by `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    pub proxy: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            tries: 5,
            pause: Arc::new(thread::sleep),
            proxy: true,
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connect_timeout, read_timeout, tries, proxy, .. } = self;
        write!(f, "Network({connect_timeout:?}, {read_timeout:?}, {tries} tries, proxy {proxy})")
    }
}

/// The longest pause between two attempts, whatever the server asks for.
const LONGEST: Duration = Duration::from_secs(60);

/// The attempts at one request.
pub(super) struct Retries<'a> {
    network: &'a Network,
    failed: u32,
}

impl<'a> Retries<'a> {
    pub(super) fn new(network: &'a Network) -> Self {
        Self { network, failed: 0 }
    }

    /// The last attempt made progress, so the count starts over.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Returns after a pause if another attempt makes sense.
    ///
    /// # Errors
    /// The failure, if it is permanent or there were enough attempts.
    pub(super) fn after(&mut self, mut failure: Failure) -> Result<(), Failure> {
        self.failed += 1;
        let retry_after = match failure.kind {
            FailureKind::Transient { retry_after } => retry_after,
            FailureKind::Range => None,
            FailureKind::Permanent | FailureKind::NotFound | FailureKind::Denied => return Err(failure),
        };
        if self.failed >= self.network.tries {
            failure.tries = self.failed;
            return Err(failure);
        }
        let doubled = Duration::from_secs(1 << (self.failed - 1).min(10));
        (self.network.pause)(retry_after.unwrap_or(doubled).min(LONGEST));
        Ok(())
    }
}

/// The header `Retry-After`: seconds, or a date.
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(header.parse().map_or(LONGEST, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn pauses(failures: &[Option<u64>]) -> Vec<u64> {
        let pauses = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&pauses);
        let pause = Arc::new(move |pause: Duration| kept.lock().unwrap().push(pause.as_secs()));
        let network = Network { pause, ..Network::default() };
        let mut retries = Retries::new(&network);
        for retry_after in failures {
            let kind = FailureKind::Transient { retry_after: retry_after.map(Duration::from_secs) };
            let failure = Failure { what: "is tired".into(), kind, tries: 1 };
            if let Err(last) = retries.after(failure) {
                assert_eq!(last.tries, 5);
            }
        }
        let pauses = pauses.lock().unwrap();
        pauses.clone()
    }

    #[test]
    fn each_pause_is_twice_the_one_before_until_the_last_try() {
        assert_eq!(pauses(&[None; 5]), [1, 2, 4, 8]);
    }

    #[test]
    fn a_server_may_name_the_pause_but_no_endless_one() {
        assert_eq!(pauses(&[Some(7), Some(1_000_000), Some(0), None, Some(7)]), [7, 60, 0, 8]);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        let seconds = |header: &str| retry_after(header, now).map(|pause| pause.as_secs());
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:30 GMT"), Some(30));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0));
        assert_eq!(seconds("99999999999999999999999999"), Some(60));
        for nonsense in ["", "-1", "1.5", "soon", "Wed, 99 Oct 2015 07:28:30 GMT"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }
}
