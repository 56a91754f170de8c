//! Memory that grows.

use std::rc::Rc;

use super::counting::CountingGpu;
use lottery::{
    error::Error,
    ops::cuda::{Argument, Buffer, Gpu},
};

use crate::{altered::Altered, support::devices};

#[test]
fn a_buffer_that_grows_slowly_is_seldom_taken_anew() {
    for gpu in devices("growing") {
        let counting = Rc::new(CountingGpu::new(&gpu));
        let gpu: Rc<dyn Gpu> = counting.clone();
        let buffer = Buffer::new(&gpu);
        for bytes in 1000..2000 {
            buffer.fit(bytes).unwrap();
        }
        // 1000, 1250, 1562, 1952, 2440.
        assert_eq!(counting.take().allocations, 5);
    }
}

/// Such as has 1100 bytes and no more.
#[test]
fn a_buffer_grows_by_what_is_wanted_where_there_is_no_more() {
    for gpu in devices("growing in a small memory") {
        let limit = |bytes| if bytes > 1100 { Err(Error::internal("no memory is left")) } else { Ok(()) };
        let gpu: Rc<dyn Gpu> =
            Rc::new(Altered { gpu, allocate: limit, launch: |_: &dyn Gpu, _: &str, _: &[Argument]| Ok(()) });
        let buffer = Buffer::new(&gpu);
        for bytes in [1000, 1050, 1100] {
            assert_ne!(buffer.fit(bytes).unwrap(), 0);
        }
        assert!(buffer.fit(1101).is_err());
    }
}
