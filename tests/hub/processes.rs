//! What other processes do to the cache: the real program, killed or beside itself.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
};

use super::{
    server::{End, Reply, Server},
    world::{MODEL, REPO, SMALL, World, sha256, weights},
};

/// The program with the world's hub and cache. The model that it fetches is none, so that it ends after fetching.
fn lottery(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lottery"));
    command
        .args(["run", "--task", "rte", "--model", MODEL, "--data", ".", "--store", "runs"])
        .current_dir(world.home.path())
        .env_clear()
        .env("HF_HOME", world.home.path())
        .env("HF_ENDPOINT", &world.hub.url)
        .env("HF_TOKEN", super::server::TOKEN)
        .stderr(Stdio::piped())
        .stdout(Stdio::null());
    command
}

fn ended(child: Child) -> String {
    String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()
}

fn assert_complete(world: &World) {
    let snapshot = world.home.path().join(REPO).join("snapshots").join(super::world::COMMIT);
    for (file, text) in SMALL {
        assert_eq!(fs::read_to_string(snapshot.join(file)).unwrap(), text);
    }
    assert!(fs::read(snapshot.join("model.safetensors")).unwrap() == weights());
}

#[test]
fn a_killed_process_leaves_what_the_next_one_continues() {
    let world =
        World::new(|ask| (ask.cdn() && ask.nth == 0).then(|| ask.usual.clone().cut(100_000, End::Stall)));
    let [blob, part] = world.blob(&sha256(&weights()));
    let mut first = lottery(&world).spawn().unwrap();
    while !fs::metadata(&part).is_ok_and(|part| part.len() == 100_000) {
        assert!(first.try_wait().unwrap().is_none(), "{}", ended(first));
        std::thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(!blob.exists() && part.exists());
    assert!(!world.files().iter().any(|file| file.contains("snapshots")));

    let told = ended(lottery(&world).spawn().unwrap());
    assert!(!told.contains("cannot be downloaded"), "{told}");
    assert_complete(&world);
    assert_eq!(world.cdn.requests()[1].header("range"), Some("bytes=100000-"));
    // What the first one had is not fetched again.
    for (file, text) in SMALL {
        assert_eq!(world.hub.count("GET", file), usize::from(!text.is_empty()), "{file}");
    }
}

#[test]
fn two_processes_fetch_once() {
    // The content of the configuration waits until both have asked for the file.
    let gate = Arc::new((Mutex::new(0), Condvar::new()));
    let world = World::new(move |ask| {
        let (asked, changed) = &*gate;
        if ask.hub("HEAD", "/main/config.json") {
            *asked.lock().unwrap() += 1;
            changed.notify_all();
        }
        if ask.hub("GET", "config.json") {
            drop(changed.wait_while(asked.lock().unwrap(), |asked| *asked < 2).unwrap());
        }
        None
    });
    let both = [lottery(&world).spawn().unwrap(), lottery(&world).spawn().unwrap()];
    for child in both {
        let told = ended(child);
        assert!(!told.contains("cannot be downloaded"), "{told}");
    }
    assert_complete(&world);
    for (file, text) in SMALL {
        assert_eq!(world.hub.count("GET", file), usize::from(!text.is_empty()), "{file}");
    }
    assert_eq!(world.cdn.count("GET", "model.safetensors"), 1);
}

/// What a proxy is told, everybody on the way can read.
#[test]
fn a_proxy_from_the_environment_is_used_and_gets_no_token() {
    let proxy = Server::start(|_| Reply::new("502 Bad Gateway"));
    let world = World::usual();
    let through = |name: &str| ended(lottery(&world).env(name, &proxy.url).spawn().unwrap());
    let told = through("HTTP_PROXY");
    assert!(told.contains("hf download"), "{told}");
    assert_eq!(world.hub.requests().len(), 0);
    assert!(!proxy.requests().is_empty());
    for request in proxy.requests() {
        assert!(request.method == "CONNECT" && !request.has_token(), "{}", request.head);
    }
    let seen = proxy.requests().len();
    let told =
        ended(lottery(&world).env("HTTP_PROXY", &proxy.url).env("NO_PROXY", "127.0.0.1").spawn().unwrap());
    assert!(!told.contains("cannot be downloaded"), "{told}");
    assert_eq!(proxy.requests().len(), seen);
    assert_complete(&world);
}
