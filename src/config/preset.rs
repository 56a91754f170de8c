//! Named recipes, embedded from `configs/`.

use crate::error::{Error, Result, nearest};

/// A recipe by name: TOML that lies above the defaults and below the user's file and flags. What stands under `tasks.NAME`
/// is for that task alone.
#[derive(Debug)]
pub struct Preset {
    pub name: &'static str,
    pub about: &'static str,
    pub toml: &'static str,
}

impl Preset {
    /// The model of a run that names none.
    pub fn model(&self) -> Option<String> {
        Some(self.toml.parse::<toml::Table>().ok()?.get("model")?.as_str()?.to_owned())
    }
}

/// The preset of a run that names none.
pub const DEFAULT_PRESET: &str = "prasanna2020";

/// The preset of a run of the embedded model that names none.
pub const EMBEDDED_PRESET: &str = "tiny";

const PRESETS: &[Preset] = &[
    Preset {
        name: DEFAULT_PRESET,
        about: "the protocol of Prasanna et al. 2020 with the paper's importance formula",
        toml: include_str!("../../configs/prasanna2020.toml"),
    },
    Preset {
        name: "prasanna2020-code",
        about: "the same as their published code computes it, for parity with their masks",
        toml: include_str!("../../configs/prasanna2020-code.toml"),
    },
    Preset {
        name: "liang2021",
        about: "the single-task training recipe and importance of Liang et al. 2021",
        toml: include_str!("../../configs/liang2021.toml"),
    },
    Preset {
        name: "liang2021-code",
        about: "the same as their published code computes it",
        toml: include_str!("../../configs/liang2021-code.toml"),
    },
    Preset {
        name: "liang2021-mt",
        about: "their recipe for several tasks on one encoder, with --with",
        toml: include_str!("../../configs/liang2021-mt.toml"),
    },
    Preset {
        name: "small",
        about: "a recipe for models of MiniLM's size, otherwise prasanna2020",
        toml: include_str!("../../configs/small.toml"),
    },
    Preset {
        name: EMBEDDED_PRESET,
        about: "a recipe for the embedded model on the demo task, otherwise prasanna2020",
        toml: include_str!("../../configs/tiny.toml"),
    },
];

/// All presets, the default first.
pub fn presets() -> &'static [Preset] {
    PRESETS
}

/// The preset of this name; an unknown one is a usage error with the nearest name and the list.
pub fn preset(name: &str) -> Result<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let names = || PRESETS.iter().map(|preset| preset.name);
        let hint = nearest(name, names()).map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
        let list = names().collect::<Vec<_>>().join(", ");
        Error::usage(format!("there is no preset {name:?}.{hint} Presets: {list}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_preset_is_answered_with_the_nearest_name_and_the_list() {
        let message = preset("prasana2020").unwrap_err().to_string();
        assert!(message.contains("Did you mean prasanna2020?"), "{message}");
        assert!(
            message.contains(
                "prasanna2020, prasanna2020-code, liang2021, liang2021-code, liang2021-mt, small, tiny"
            ),
            "{message}"
        );
        assert!(!preset("qqqq").unwrap_err().to_string().contains("Did you mean"));
    }
}
