//! Logits against the plain BERT's, in f64.

use crate::{
    plain_bert::{PlainBert, values},
    support::{Packed, assert_close, config, logits, random_bert},
};
use candle_core::DType;
use lottery::model::Pass;

#[test]
fn logits_are_those_of_the_plain_bert() {
    for (layers, hidden, heads, inner) in [(1, 16, 2, 20), (3, 36, 3, 50), (2, 128, 2, 256)] {
        let config = config(layers, hidden, heads, inner);
        let bert = random_bert(config.clone(), config.full_shape(), 3, hidden as u64);
        let packed = Packed::random(&config, &[9, 1, 100, 31, 160], 3, 1);
        let plain = values(&PlainBert::new(&bert, DType::F64, None).logits(&packed));
        let plain: Vec<f32> = plain.iter().map(|x| *x as f32).collect();
        assert_close(&logits(&bert, &packed, &Pass::default()), &plain, 1e-5, "logits");
    }
}
