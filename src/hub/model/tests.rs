use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread,
};

use super::*;
use crate::hub::Network;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const ALL: [&str; 5] = [CONFIG, "model.safetensors", TOKENIZERS[0], TOKENIZERS[1], TOKENIZER_EXTRAS[1]];

fn hub(home: &Path, endpoint: &str, offline: &str) -> HubSettings {
    let lookup = |name: &str| match name {
        "HF_HOME" => Some(home.as_os_str().to_owned()),
        "HF_ENDPOINT" => Some(endpoint.into()),
        "HF_HUB_OFFLINE" => Some(offline.into()),
        "HF_TOKEN" => Some("secret".into()),
        _ => None,
    };
    let network = Network { pause: Arc::new(|_| {}), proxy: false, ..Network::default() };
    HubSettings { network, ..HubSettings::from_lookup(lookup, None) }
}

fn fill_cache(home: &Path, files: &[&str]) -> PathBuf {
    let repo = home.join("hub/models--owner--name");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    for file in files {
        fs::write(snapshot.join(file), "{}").unwrap();
    }
    snapshot
}

/// A port of this machine at which nobody listens.
fn closed_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_folder_is_used_as_it_is_and_known_by_its_own_name() {
    let home = tempfile::tempdir().unwrap();
    let hub = hub(home.path(), &closed_endpoint(), "");
    let dir = home.path().join("all-MiniLM-L6-v2");
    fs::create_dir_all(dir.join("sub")).unwrap();
    for given in [dir.clone(), dir.join("sub/..")] {
        let found = resolve_model_with(given.to_str().unwrap(), &hub).unwrap();
        assert_eq!(found, ModelFolder { dir: given, name: "all-MiniLM-L6-v2".into(), revision: None });
    }
    let file = dir.join("model.safetensors");
    fs::write(&file, "").unwrap();
    let error = resolve_model_with(file.to_str().unwrap(), &hub).unwrap_err();
    assert!(error.to_string().contains("is a file"), "{error}");
}

#[test]
fn what_is_neither_a_folder_nor_a_hub_name_is_refused_by_name_and_without_network() {
    let home = tempfile::tempdir().unwrap();
    let hub = hub(home.path(), &closed_endpoint(), "");
    for wrong in [
        "",
        "bert-base-uncased",
        "./missing/model",
        "../shared/model",
        "/no/such/folder",
        "models/bert/base",
        "owner/..",
        "../name",
        "owner/name@../../x",
        "owner/name@",
        "owner/",
        "~/model",
        "owner/na me",
        "https://hub/owner/name",
    ] {
        let error = resolve_model_with(wrong, &hub).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let message = error.to_string();
        assert!(message.contains(&format!("no model folder {wrong}")), "{message}");
    }
}

#[test]
fn a_cached_model_is_found_without_a_network() {
    let home = tempfile::tempdir().unwrap();
    let snapshot = fill_cache(home.path(), &ALL);
    let settings = [hub(home.path(), &closed_endpoint(), "0"), hub(home.path(), &closed_endpoint(), "1")];
    for hub in &settings {
        let at_commit = format!("owner/name@{COMMIT}");
        for (given, name) in
            [("owner/name", "owner/name"), ("owner/name@main", "owner/name@main"), (&at_commit, "owner/name")]
        {
            let found = resolve_model_with(given, hub).unwrap();
            let name = name.to_owned();
            assert_eq!(found, ModelFolder { dir: snapshot.clone(), name, revision: Some(COMMIT.into()) });
        }
    }
}

#[test]
fn without_a_network_the_error_says_how_to_get_the_files() {
    let home = tempfile::tempdir().unwrap();
    fill_cache(home.path(), &["config.json", "tokenizer.json"]);
    let endpoint = closed_endpoint();
    for (offline, why) in [("1", "HF_HUB_OFFLINE"), ("TRUE", "HF_HUB_OFFLINE"), ("", endpoint.as_str())] {
        let error = resolve_model_with("owner/name", &hub(home.path(), &endpoint, offline)).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let message = error.to_string();
        assert!(message.contains(why), "{message}");
        assert!(message.contains("hf download owner/name") && message.contains("HF_HOME"), "{message}");
    }
}

#[test]
fn without_any_home_a_place_for_the_cache_is_asked_for() {
    let hub = HubSettings::from_lookup(|_| None, None);
    assert_eq!(hub.endpoint, "https://huggingface.co");
    let error = resolve_model_with("owner/name", &hub).unwrap_err();
    assert!(error.to_string().contains("HF_HOME"), "{error}");
    let hub = HubSettings::from_lookup(|_| None, Some("/home/me".into()));
    assert_eq!(hub.cache.unwrap(), Path::new("/home/me/.cache/huggingface/hub"));
}

#[test]
fn a_hub_that_does_not_speak_tls_is_an_error_and_no_panic() {
    let home = tempfile::tempdir().unwrap();
    let (endpoint, _asked) = serve(&[]);
    for endpoint in [endpoint.replace("http:", "https:"), "no address".into()] {
        let error = resolve_model_with("owner/name", &hub(home.path(), &endpoint, "")).unwrap_err();
        assert!(error.to_string().contains("hf download owner/name"), "{error}");
    }
}

/// A hub on this machine that has these files for `owner/name`; it tells every request's first line.
fn serve(files: &'static [&'static str]) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let asked = answer(stream.unwrap(), files);
            if tell.send(asked).is_err() {
                break;
            }
        }
    });
    (endpoint, told)
}

const INDEX: &str =
    r#"{"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors", "c": "part-1.safetensors"}}"#;

fn answer(stream: TcpStream, files: &[&str]) -> String {
    // What is no text is no HTTP either (a TLS greeting): hang up.
    let mut lines = BufReader::new(&stream).lines().map_while(|line| Some(line.ok()?.to_lowercase()));
    let Some(asked) =
        lines.next().filter(|line| ["get ", "head "].iter().any(|method| line.starts_with(method)))
    else {
        return String::new();
    };
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let file = asked.split([' ', '/']).rfind(|part| part.contains(['.', '_']) && *part != "1.1").unwrap();
    let known = ["main", COMMIT].iter().any(|it| asked.contains(&format!("/owner/name/resolve/{it}/")))
        && files.contains(&file);
    let (status, body) = match headers.iter().any(|header| header == "authorization: bearer secret") {
        false => ("401 Unauthorized", ""),
        true if known && file.ends_with(".index.json") => ("200 OK", INDEX),
        true if known => ("200 OK", "{}"),
        true => ("404 Not Found", ""),
    };
    let sent = if asked.starts_with("head ") { "" } else { body };
    write!(
        &stream,
        "HTTP/1.1 {status}\r\nETag: \"{file}\"\r\nx-repo-commit: {COMMIT}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{sent}",
        body.len()
    )
    .unwrap();
    asked
}

#[test]
fn a_model_is_fetched_once_with_the_token_and_then_found_in_the_cache() {
    let home = tempfile::tempdir().unwrap();
    let (endpoint, asked) = serve(&["config.json", "model.safetensors", "vocab.txt"]);
    let settings = hub(home.path(), &endpoint, "");
    let first = resolve_model_with("owner/name", &settings).unwrap();
    assert_eq!(fs::read_to_string(first.dir.join("model.safetensors")).unwrap(), "{}");
    assert!(asked.try_iter().count() > 0);
    assert_eq!(resolve_model_with("owner/name", &settings).unwrap(), first);
    assert_eq!(asked.try_iter().count(), 0);
    assert_eq!(resolve_model_with("owner/name", &hub(home.path(), &endpoint, "1")).unwrap(), first);
}

#[test]
fn a_file_that_the_hub_does_not_have_is_named() {
    let (endpoint, _asked) = serve(&["config.json", "tokenizer.json"]);
    let home = tempfile::tempdir().unwrap();
    let message = resolve_model_with("owner/name", &hub(home.path(), &endpoint, "")).unwrap_err().to_string();
    assert!(message.contains("no file model.safetensors or pytorch_model.bin for owner/name"), "{message}");

    let (endpoint, _asked) = serve(&["config.json", "model.safetensors"]);
    let home = tempfile::tempdir().unwrap();
    let message = resolve_model_with("owner/name", &hub(home.path(), &endpoint, "")).unwrap_err().to_string();
    assert!(message.contains("tokenizer.json, vocab.txt or vocab.json"), "{message}");

    let private = HubSettings { token: None, ..hub(home.path(), &endpoint, "") };
    let message = resolve_model_with("owner/other", &private).unwrap_err().to_string();
    assert!(message.contains("HF_TOKEN"), "{message}");
}

#[test]
fn weights_in_several_files_or_of_torch_save_are_fetched_whole() {
    let several = &[
        "config.json",
        "vocab.json",
        "merges.txt",
        "model.safetensors.index.json",
        "part-1.safetensors",
        "part-2.safetensors",
    ];
    let older = &["config.json", "vocab.txt", "pytorch_model.bin"];
    for files in [&several[..], older] {
        let home = tempfile::tempdir().unwrap();
        let (endpoint, asked) = serve(files);
        let settings = hub(home.path(), &endpoint, "");
        let first = resolve_model_with("owner/name", &settings).unwrap();
        files.iter().for_each(|file| assert!(first.dir.join(file).is_file(), "{file}"));
        _ = asked.try_iter().count();
        assert_eq!(resolve_model_with("owner/name", &settings).unwrap(), first);
        assert_eq!(asked.try_iter().count(), 0);
        // Without one of them the cache is not complete.
        fs::remove_file(first.dir.join(files[files.len() - 1])).unwrap();
        assert!(resolve_model_with("owner/name", &hub(home.path(), &endpoint, "1")).is_err());
    }
    let (endpoint, _asked) = serve(&several[..5]);
    let home = tempfile::tempdir().unwrap();
    let message = resolve_model_with("owner/name", &hub(home.path(), &endpoint, "")).unwrap_err().to_string();
    assert!(message.contains("part-2.safetensors: model.safetensors.index.json lists it"), "{message}");
}
