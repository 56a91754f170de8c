//! Names from the server that would be paths.

use super::{
    server::Reply,
    world::{COMMIT, World},
};

/// Everything is below the cache's folder of this repository, in the places that there are.
fn assert_inside(world: &World) {
    let inside = ["hub/models--owner--name/blobs/", "hub/.locks/models--owner--name/"];
    for file in world.files() {
        let name = inside.iter().find_map(|folder| file.strip_prefix(folder));
        assert!(name.is_some_and(|name| !name.contains('/')), "{file}");
    }
}

#[test]
fn an_etag_that_leads_elsewhere_is_refused() {
    let sha = "a".repeat(64);
    for etag in [
        "../../../../outside".to_owned(),
        "\"../outside\"".into(),
        "/tmp/lottery-outside".into(),
        "..".into(),
        "\"\"".into(),
        "a/b".into(),
        "a\\b".into(),
        "C:x".into(),
        ".hidden".into(),
        format!("{sha}.incomplete"),
        format!("{sha}.lock"),
        "a".repeat(300),
        "\u{e9}".into(),
    ] {
        let plain = etag.clone();
        let world = World::new(move |ask| {
            let reply = ask.usual.clone().with("ETag", &plain);
            ask.request.is_for("config.json").then_some(reply)
        });
        world.fail(&["config.json", "ETag"]);
        assert_inside(&world);
        let world = World::new(move |ask| {
            let reply = ask.usual.clone().with("X-Linked-ETag", &etag);
            ask.hub("HEAD", "model.safetensors").then_some(reply)
        });
        world.fail(&["model.safetensors", "ETag"]);
        assert_inside(&world);
    }
    assert!(!std::path::Path::new("/tmp/lottery-outside").exists());
}

#[test]
fn a_commit_that_is_none_is_refused() {
    for commit in
        ["/tmp/lottery-outside", "../../../outside", "main", "", &COMMIT[1..], &COMMIT.to_uppercase()]
    {
        let commit = commit.to_owned();
        let world = World::new(move |ask| {
            let reply = ask.usual.clone().with("X-Repo-Commit", &commit);
            ask.request.is_for("config.json").then_some(reply)
        });
        world.fail(&["config.json", "commit"]);
        assert!(world.files().is_empty(), "{:?}", world.files());
    }
}

#[test]
fn another_commit_than_was_asked_for_is_refused() {
    let other = "f".repeat(40);
    let of_other = move |reply: &Reply| reply.clone().with("X-Repo-Commit", &other);
    let changed = of_other.clone();
    World::new(move |ask| ask.hub("HEAD", "vocab.txt").then(|| changed(&ask.usual)))
        .fail(&["vocab.txt", "another commit"]);
    let world = World::new(move |ask| ask.hub("HEAD", "config.json").then(|| of_other(&ask.usual)));
    let error = world.resolve_named(&format!("owner/name@{COMMIT}")).unwrap_err().to_string();
    assert!(error.contains("another commit"), "{error}");
}

#[test]
fn a_server_that_is_no_hub_is_told_by_what_it_does_not_say() {
    World::new(|ask| Some(ask.usual.clone().without("X-Repo-Commit")))
        .fail(&["X-Repo-Commit", "HF_ENDPOINT"]);
    World::new(|ask| Some(ask.usual.clone().without("ETag"))).fail(&["config.json", "ETag"]);
}

/// Servers beside the hub have other names for contents; then the length is what can be checked.
#[test]
fn an_etag_may_be_any_name_of_a_file() {
    for etag in ["W/\"v1-abc_2\"", "\"d41d8cd98f00b204e9800998ecf8427e\""] {
        let world = World::new(move |ask| {
            ask.request.is_for("vocab.txt").then(|| ask.usual.clone().with("ETag", etag))
        });
        world.succeed();
    }
}
