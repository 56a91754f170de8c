use half::bf16;
use lottery::ops::cuda::{Buffer, Format, convert, download};

use crate::support::{devices, empty};

#[test]
fn numbers_become_bf16_as_half_rounds_them() {
    // Every bf16 number, infinities, NaNs and subnormals among them, with what rounds down, to even and up behind it.
    let lows = [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF];
    let patterns = (0..=0xFFFFu32).flat_map(|high| lows.map(|low| f32::from_bits(high << 16 | low)));
    let scattered = (0..20_000u32).map(|i| f32::from_bits(i.wrapping_mul(0x9E37_79B9) ^ 0x55AA));
    let all: Vec<f32> = patterns.chain(scattered).collect();
    for gpu in devices("convert") {
        let from = Buffer::new(&gpu);
        from.upload(&all).unwrap();
        for len in [0, 1, 3, 6, 1023, 1025, all.len()] {
            let to = empty(&gpu, len, Format::Bf16).unwrap();
            convert::to_bf16(&*gpu, from.address(), to.address(), len).unwrap();
            let found: Vec<bf16> = download(&*gpu, to.address(), len).unwrap();
            for (value, found) in all.iter().zip(found) {
                let expected = bf16::from_f32(*value);
                // Which NaN a NaN becomes is the device's own affair.
                let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                assert!(same, "{:#x} became {found:?}, not {expected:?}", value.to_bits());
            }
        }
    }
}
