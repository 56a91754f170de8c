//! Settings that are one of a few names. Each name stands once, at its variant, with a line that describes it: what reads,
//! writes, helps and suggests takes it from there.

use crate::error::{Error, none_of};

/// A setting that is one of a few names.
pub trait Choice: Copy + PartialEq + 'static {
    /// What is chosen, in messages.
    const WHAT: &'static str;

    /// In the order in which they are listed.
    fn all() -> &'static [Self];

    fn name(self) -> &'static str;

    /// One line for help and completions, without a full stop.
    fn about(self) -> &'static str;

    /// The spelling that names are compared in.
    fn plain(word: &str) -> String {
        word.to_lowercase()
    }

    fn find(word: &str) -> Option<Self> {
        let plain = Self::plain(word);
        Self::all().iter().copied().find(|choice| choice.name() == plain)
    }

    fn names() -> Vec<&'static str> {
        Self::all().iter().map(|choice| choice.name()).collect()
    }

    /// Names with their descriptions.
    fn described() -> Vec<(&'static str, &'static str)> {
        Self::all().iter().map(|choice| (choice.name(), choice.about())).collect()
    }

    /// The name as it is listed.
    fn canonical(word: &str) -> Option<&'static str> {
        Self::find(word).map(Self::name)
    }

    /// The choice of this name.
    ///
    /// # Errors
    /// `Usage` with all names and the nearest one.
    fn read(word: &str) -> Result<Self, Error> {
        Self::find(word).ok_or_else(|| none_of(&Self::plain(word), &Self::names()))
    }
}

/// A [`Choice`] without its type, for lists of settings.
#[derive(Clone, Copy)]
pub struct Names {
    pub all: fn() -> Vec<&'static str>,
    /// See [`Choice::described`].
    pub described: fn() -> Vec<(&'static str, &'static str)>,
    /// See [`Choice::canonical`].
    pub canonical: fn(&str) -> Option<&'static str>,
}

impl Names {
    pub const fn of<T: Choice>() -> Self {
        Self { all: T::names, described: T::described, canonical: T::canonical }
    }
}

/// An enum whose variants are the names of a setting: `Variant = "name"` below one doc comment, which is its line in help.
#[macro_export]
macro_rules! choices {
    (
        $(#[$meta:meta])*
        pub enum $choice:ident ($what:literal $(, default $default:ident)?) {
            $($(#[doc = $about:literal])+ $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $choice {
            $($(#[doc = $about])+ $variant,)+
        }

        impl $crate::choice::Choice for $choice {
            const WHAT: &'static str = $what;

            fn all() -> &'static [Self] {
                &[$(Self::$variant),+]
            }

            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($about),+).trim_ascii(),)+
                }
            }
        }

        $(
            impl Default for $choice {
                fn default() -> Self {
                    Self::$default
                }
            }
        )?

        $crate::choice::as_text!($choice);
    };
}
pub use choices;

/// `Display` and `FromStr` of a [`Choice`], by its name.
#[macro_export]
macro_rules! as_words {
    ($choice:ty) => {
        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::choice::Choice::name(*self))
            }
        }

        impl std::str::FromStr for $choice {
            type Err = $crate::error::Error;

            fn from_str(word: &str) -> $crate::error::Result<Self> {
                $crate::choice::Choice::read(word)
            }
        }
    };
}
pub use as_words;

/// The conversions from and to a `String` that serde's `try_from` and `into` ask for, by `FromStr` and `Display`.
#[macro_export]
macro_rules! as_string {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = $crate::error::Error;

            fn try_from(text: String) -> $crate::error::Result<Self> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}
pub use as_string;

/// `Display`, `FromStr` and serde of a [`Choice`], all by its name.
#[macro_export]
macro_rules! as_text {
    ($choice:ty) => {
        $crate::choice::as_words!($choice);

        impl serde::Serialize for $choice {
            fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
                to.serialize_str($crate::choice::Choice::name(*self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $choice {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
                let word = <std::borrow::Cow<str>>::deserialize(from)?;
                $crate::choice::Choice::read(&word).map_err(|error| {
                    let what = <$choice as $crate::choice::Choice>::WHAT;
                    serde::de::Error::custom(format!("{what} {:?}: {error}", $crate::error::excerpt(&word)))
                })
            }
        }
    };
}
pub use as_text;

#[cfg(test)]
mod tests {
    use super::*;

    choices! {
        /// What is asked for in this test.
        pub enum Fruit ("fruit") {
            /// grows on trees,
            /// also in winter
            Apple = "apple",
            /// grows on shrubs
            Currant = "red-currant",
        }
    }

    #[test]
    fn a_choice_is_read_in_any_case_and_written_by_its_name() {
        for (fruit, name) in [(Fruit::Apple, "apple"), (Fruit::Currant, "red-currant")] {
            assert_eq!(name.to_uppercase().parse::<Fruit>().unwrap(), fruit);
            assert_eq!(format!("{fruit:>12}"), format!("{name:>12}"));
            let json = serde_json::to_string(&fruit).unwrap();
            assert_eq!(json, format!("{name:?}"));
            assert_eq!(serde_json::from_str::<Fruit>(&json).unwrap(), fruit);
            assert_eq!(serde_json::from_value::<Fruit>(name.into()).unwrap(), fruit);
        }
        let described = [("apple", "grows on trees, also in winter"), ("red-currant", "grows on shrubs")];
        assert_eq!(Fruit::described(), described);
        assert_eq!((Names::of::<Fruit>().canonical)("Red-Currant"), Some("red-currant"));
    }

    #[test]
    fn a_slip_is_answered_with_all_names_and_the_nearest() {
        let error = "aple".parse::<Fruit>().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(error.to_string(), "expected apple or red-currant; did you mean apple?");
        let error = serde_json::from_str::<Fruit>("\"qqqq\"").unwrap_err().to_string();
        assert!(error.starts_with("fruit \"qqqq\": expected apple or red-currant"), "{error}");
    }
}
