//! Panics inside libraries that read files, turned into errors.
//!
//! `tokenizers` unwraps what it reads in many places, so a damaged file can cause a panic when it is loaded, or later when
//! a text uses the damaged part; `parquet` has assertions that a damaged file can fail.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many calls of [`catch_panic`] this thread is in.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `work` of a library of this name on this thread. A panic is not printed, but its message is returned as an error.
/// What `work` has changed must not be used after a panic.
pub fn catch_panic<T>(library: &str, work: impl FnOnce() -> T) -> Result<T, String> {
    silence();
    DEPTH.set(DEPTH.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    outcome.map_err(|panic| format!("the {library} library crashed: {}", message(&*panic)))
}

/// Installs a hook that passes all other panics on to the hook in place.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                report(info);
            }
        }));
    });
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        assert_eq!(catch_panic("tokenizers", || 3), Ok(3));
        let index = std::hint::black_box(7);
        let error = catch_panic("tokenizers", || [1, 2][index]).unwrap_err();
        assert!(error.contains("the tokenizers library crashed: index out of bounds"), "{error}");
        assert_eq!(
            catch_panic("tokenizers", || panic!("plain")),
            Err::<(), _>("the tokenizers library crashed: plain".into())
        );
        assert_eq!(DEPTH.get(), 0);
    }

    #[test]
    fn a_guarded_call_may_lie_in_another() {
        let inner = catch_panic("outer", || {
            catch_panic("inner", || panic!("inner")).map_err(|_: String| DEPTH.get())
        });
        assert_eq!(inner, Ok(Err::<(), _>(1)));
        assert_eq!(DEPTH.get(), 0);
    }
}
