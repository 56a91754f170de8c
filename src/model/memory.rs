//! Whether a model's parameters can be in memory at all.

use super::{
    config::BertConfig,
    params::{Head, Layout},
    shape::LayerShape,
};
use crate::error::{Error, Result};

/// Bytes of one parameter, as f32.
pub const HELD: usize = 4;

/// Bytes of one parameter in training: weight, gradient and AdamW's two moments, each as f32.
pub const TRAINED: usize = 16;

/// Refuses a shape whose parameters, of so many bytes each, take more memory than this machine has; `whose` is for the
/// message.
pub fn check(config: &BertConfig, shape: &[LayerShape], head: Head, bytes: usize, whose: &str) -> Result<()> {
    let parameters = Layout::new(config, shape, head).len;
    let (needed, there) = (parameters.saturating_mul(bytes) as f64, total().unwrap_or(isize::MAX as f64));
    if needed <= there {
        return Ok(());
    }
    Err(Error::data(format!(
        "{whose}: {} a model of this shape takes {:.0} GB of memory for {:.1e} parameters, and this machine has {:.0} GB. \
         Lower hidden_size, intermediate_size, num_hidden_layers or vocab_size in config.json, or choose another model.",
        if bytes == TRAINED { "training" } else { "holding" },
        needed / 1e9,
        parameters as f64,
        there / 1e9
    )))
}

/// The machine's memory in bytes; `None` where the system does not say.
fn total() -> Option<f64> {
    let about = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = about.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_sizes_of_every_key_are_refused_and_the_published_ones_are_not() {
        let published = BertConfig::of_shape(2, 128, 2, 512);
        let refused = |config: &BertConfig| {
            check(config, &config.full_shape(), Head::MaskedLm, TRAINED, "it").map_err(|e| e.to_string())
        };
        assert_eq!(refused(&published), Ok(()));
        let most = 1 << 24;
        let config = BertConfig { hidden_size: most, intermediate_size: most, ..published.clone() };
        assert!(refused(&config).unwrap_err().contains("GB of memory"), "{:?}", refused(&config));
        // The sum is more than a usize holds.
        let config = BertConfig { num_hidden_layers: 1 << 12, vocab_size: most, ..config };
        assert!(refused(&config).is_err());
        // A table of segments counts too.
        let config =
            BertConfig { hidden_size: 1 << 20, type_vocab_size: most, num_hidden_layers: 1, ..published };
        assert!(refused(&config).is_err());
    }
}
