//! Masks: their text and the file of bits beside it.

use super::{bytes, harness, readers, seeds, tree::Seeds};
use lottery::prune::{Mask, MaskText};

#[test]
fn any_mask_is_read_or_refused() {
    let masks = seeds::masks();
    for (text, packed) in &masks {
        let text: MaskText = serde_json::from_slice(text).unwrap();
        let read = Mask::read(&text, packed.as_deref().map(|packed| ("m".as_ref(), packed))).unwrap();
        assert_eq!(MaskText::from(&read), text);
    }
    let texts = Seeds::json(masks.iter().map(|(text, _)| text.clone()).collect());
    harness::run("mask", 20, |random| {
        let nth = random.below(masks.len());
        let (text, packed) = &masks[nth];
        let text = if random.chance(60) { texts.mutated_of(nth, random) } else { text.clone() };
        let mut packed = packed.clone();
        if random.chance(60) {
            let other = masks[1].1.as_deref().unwrap();
            bytes::mutate(packed.get_or_insert_with(|| other.to_vec()), other, random);
        }
        readers::mask(&text, packed.as_deref());
    });
}
