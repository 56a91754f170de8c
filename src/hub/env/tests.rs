use std::{collections::HashMap, fs};

use serde_json::Value;

use super::*;

const GOLDEN: &str = include_str!("../../../tests/golden/hub_env.json");

/// `golden/hub_env.py` says what the folder holds.
#[test]
fn an_environment_means_what_it_means_to_huggingface_hub() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    fs::create_dir_all(home.join(".cache/huggingface")).unwrap();
    fs::write(home.join(".cache/huggingface/token"), "hf_home\n").unwrap();
    fs::write(home.join("value.txt"), "hf_file \n").unwrap();
    let golden: Value = serde_json::from_str(&GOLDEN.replace("{home}", home.to_str().unwrap())).unwrap();
    let variables =
        |value: &Value| -> HashMap<String, String> { serde_json::from_value(value.clone()).unwrap() };
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 30);
    for case in cases {
        let mut given = variables(&golden["others"]);
        given.extend(variables(&case["env"]));
        let lookup = |name: &str| given.get(name).map(OsString::from);
        let found = HubSettings::from_lookup(lookup, Some(home.to_owned()));
        let read = &case["read"];
        assert_eq!(found.cache.as_deref(), Some(Path::new(read["cache"].as_str().unwrap())), "{case}");
        assert_eq!(found.endpoint, read["endpoint"].as_str().unwrap(), "{case}");
        assert_eq!(found.offline, read["offline"].as_bool().unwrap(), "{case}");
        assert_eq!(found.token, read["token"].as_str().and_then(|token| Token::parse(token, "")), "{case}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let settings = HubSettings::from_lookup(|_| Some(OsString::new()), Some("/home/me".into()));
    assert_eq!(settings.cache.unwrap(), Path::new("/home/me/.cache/huggingface/hub"));
    assert_eq!(settings.endpoint, "https://huggingface.co");
    assert!(!settings.offline && settings.token.is_none());
}

#[test]
fn settings_are_shown_without_the_token() {
    let lookup = |name: &str| (name == "HF_TOKEN").then(|| OsString::from("hf_secret"));
    let shown = format!("{:?}", HubSettings::from_lookup(lookup, None));
    assert!(shown.contains("hidden") && !shown.contains("secret"), "{shown}");
}

/// What is no Unicode in a path stays as it is; in a token it leads to an error later on.
#[cfg(unix)]
#[test]
fn values_that_are_no_unicode_are_not_lost() {
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(b"/x/\xff".to_vec());
    let lookup = |name: &str| matches!(name, "HF_HOME" | "HF_TOKEN").then(|| value.clone());
    let settings = HubSettings::from_lookup(lookup, None);
    assert_eq!(settings.cache.unwrap(), PathBuf::from(&value).join("hub"));
    assert!(settings.token.unwrap().header().is_err());
}
