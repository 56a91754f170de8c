//! The cache is that of Python's huggingface_hub: `golden/hub_cache.py` writes what that makes of the same repository,
//! and checks the other direction: with `LOTTERY_HUB_CACHE` naming a new folder, the first test leaves its cache there.

use std::{collections::BTreeMap, fs};

use super::world::{COMMIT, MODEL, REPO, SMALL, World, sha256, weights};

fn golden() -> BTreeMap<String, String> {
    serde_json::from_str(include_str!("../golden/hub_cache.json")).unwrap()
}

#[cfg(unix)]
#[test]
fn the_cache_is_laid_out_as_huggingface_hub_lays_it_out() {
    let mut world = World::usual();
    if let Some(folder) = std::env::var_os("LOTTERY_HUB_CACHE") {
        world.settings.cache = Some(folder.into());
        world.succeed();
        return;
    }
    world.succeed();
    let root = world.home.path().join("hub");
    let content = |file: &str| match fs::read_link(root.join(file)) {
        Ok(target) => format!("-> {}", target.display()),
        Err(_) => sha256(&fs::read(root.join(file)).unwrap()),
    };
    let files = world.files().into_iter().map(|file| file.strip_prefix("hub/").unwrap().to_owned());
    let without_locks = |file: &String| !file.starts_with(".locks/");
    let ours: BTreeMap<_, _> =
        files.filter(without_locks).map(|file| (file.clone(), content(&file))).collect();
    let theirs: BTreeMap<_, _> = golden().into_iter().filter(|(file, _)| without_locks(file)).collect();
    assert_eq!(ours, theirs);
}

/// The cache that Python made.
fn filled(world: &World) {
    let root = world.home.path().join("hub");
    let contents = SMALL.iter().map(|(_, text)| text.as_bytes().to_vec());
    let contents: BTreeMap<_, _> =
        contents.chain([weights(), COMMIT.into()]).map(|content| (sha256(&content), content)).collect();
    for (file, what) in golden() {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match what.strip_prefix("-> ") {
            #[cfg(unix)]
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            #[cfg(not(unix))]
            Some(target) => drop(fs::copy(path.parent().unwrap().join(target), path).unwrap()),
            None => fs::write(path, &contents[&what]).unwrap(),
        }
    }
}

#[test]
fn a_cache_that_huggingface_hub_filled_is_used_without_a_request() {
    let mut world = World::usual();
    filled(&world);
    world.settings.offline = true;
    world.succeed();
    let snapshot = world.home.path().join(REPO).join("snapshots").join(COMMIT);
    for name in [MODEL.to_owned(), format!("{MODEL}@{COMMIT}")] {
        assert_eq!(world.resolve_named(&name).unwrap().dir, snapshot);
    }
    assert_eq!(world.hub.requests().len() + world.cdn.requests().len(), 0);
}

#[test]
fn of_a_cache_that_huggingface_hub_filled_in_part_only_the_rest_is_fetched() {
    let world = World::usual();
    filled(&world);
    let snapshot = world.home.path().join(REPO).join("snapshots").join(COMMIT);
    fs::remove_file(snapshot.join("model.safetensors")).unwrap();
    let blob = world.home.path().join(REPO).join("blobs").join(sha256(&weights()));
    fs::remove_file(blob).unwrap();
    world.succeed();
    assert_eq!(world.cdn.count("GET", "model.safetensors"), 1);
    assert!(
        world
            .hub
            .requests()
            .iter()
            .all(|request| request.method == "HEAD" || request.is("GET", "model.safetensors"))
    );
}
