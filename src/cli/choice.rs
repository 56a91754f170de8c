//! Arguments that are one of a few names.

use crate::choice::Choice;
use clap::{
    Arg, Command,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};
use std::ffi::OsStr;

/// Shows the names in help and completions, and takes any word: the configuration reads it, with those of files and
/// `--set`.
#[derive(Clone)]
pub struct OneOf(Vec<(&'static str, &'static str)>);

/// The names of a choice.
pub fn one_of<T: Choice>() -> OneOf {
    OneOf(T::described())
}

/// The names of a choice, and others that stand for several of them.
pub fn one_of_or<T: Choice>(groups: &[(&'static str, &'static str)]) -> OneOf {
    OneOf(T::described().into_iter().chain(groups.iter().copied()).collect())
}

/// The presets.
pub fn presets() -> OneOf {
    OneOf(crate::config::presets().iter().map(|preset| (preset.name, preset.about)).collect())
}

impl TypedValueParser for OneOf {
    type Value = String;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, word: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, word)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(|(name, about)| PossibleValue::new(*name).help(*about))))
    }
}
