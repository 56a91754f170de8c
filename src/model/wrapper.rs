//! What training frameworks put before the names of a model's tensors.

/// Of DataParallel, of `torch.compile`, and of models that have the encoder as a part.
const WRAPPERS: [&str; 3] = ["module.", "_orig_mod.", "model."];

/// A tensor's name without them.
pub fn strip(mut name: &str) -> &str {
    while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = inner;
    }
    name
}

/// Those that some name begins with, each once.
pub fn found<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    let mut found = Vec::new();
    for mut name in names {
        while let Some(wrapper) = WRAPPERS.iter().find(|wrapper| name.starts_with(**wrapper)) {
            name = &name[wrapper.len()..];
            if !found.contains(wrapper) {
                found.push(wrapper);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_stripped_in_any_order_and_told_once() {
        let names = ["module._orig_mod.bert.x", "_orig_mod.bert.y", "bert.model.z", "model"];
        assert_eq!(names.map(strip), ["bert.x", "bert.y", "bert.model.z", "model"]);
        assert_eq!(found(names.into_iter()), ["module.", "_orig_mod."]);
    }
}
