//! What a sequence gives does not depend on what it is packed with.

use crate::support::{Packed, assert_close, config, logits, random_bert, train_pass};
use lottery::model::{LayerShape, Pass, Workspace};

#[test]
fn packed_batches_equal_one_sequence_batches() {
    let config = config(3, 40, 5, 52);
    let thin = vec![
        LayerShape { heads: vec![1, 4], ffn: true.into() },
        LayerShape { heads: vec![], ffn: false.into() },
        LayerShape { heads: vec![0], ffn: true.into() },
    ];
    let mut workspace = Workspace::default();
    for (shape, labels) in [(config.full_shape(), 3), (thin, 1)] {
        let bert = random_bert(config.clone(), shape, labels, 1);
        let packed = Packed::random(&config, &[3, 1, 64, 17, 160, 2, 9], labels, 2);
        let together = logits(&bert, &packed, &Pass::default());
        let (loss, gradient) = train_pass(&bert, &packed, &Pass::default(), &mut workspace);
        let n = packed.sequences();
        let mut total_loss = 0.0;
        let mut sum = vec![0f32; gradient.len()];
        for s in 0..n {
            let one = packed.alone(s);
            assert_close(
                &logits(&bert, &one, &Pass::default()),
                &together[s * labels..(s + 1) * labels],
                1e-5,
                "logits",
            );
            let (loss, gradient) = train_pass(&bert, &one, &Pass::default(), &mut workspace);
            total_loss += loss / n as f64;
            sum.iter_mut().zip(gradient).for_each(|(s, g)| *s += g / n as f32);
        }
        assert!((loss - total_loss).abs() < 1e-5);
        assert_close(&sum, &gradient, 2e-5, "gradient");
    }
}

#[test]
fn keeping_activations_for_a_backward_pass_does_not_change_the_logits() {
    let config = config(4, 32, 2, 48);
    let bert = random_bert(config.clone(), config.full_shape(), 2, 1);
    let packed = Packed::random(&config, &[30, 1, 8], 2, 2);
    let plain = logits(&bert, &packed, &Pass::default());
    assert_eq!(plain, logits(&bert, &packed, &Pass { keep: true, ..Pass::default() }));
    assert_eq!(plain, logits(&bert, &packed, &Pass { keep: true, gate_gradients: true, ..Pass::default() }));
}
