//! Contents that are not what was announced, and connections that end early.

use std::{fs, io::Write};

use super::{
    server::{End, Reply},
    world::{SMALL, World, content, git_hash, sha256, weights},
};

fn range_of(world: &World, nth: usize) -> Option<String> {
    world.cdn.requests()[nth].header("range").map(str::to_owned)
}

#[test]
fn a_wrong_length_is_refused_and_nothing_is_kept() {
    for length in [0, 299_999, 300_001, 1_000_000_000_000_u64] {
        let world =
            World::new(move |ask| ask.cdn().then(|| ask.usual.clone().with("Content-Length", length)));
        world.fail(&["model.safetensors", "300000"]);
        assert!(
            world
                .blob(&sha256(&weights()))
                .iter()
                .all(|path| !path.exists() || fs::metadata(path).unwrap().len() == 0)
        );
    }
}

#[test]
fn a_file_with_another_hash_is_removed() {
    let world = World::new(|ask| {
        let mut reply = ask.usual.clone();
        if ask.cdn() {
            reply.body[1000] ^= 1;
        }
        Some(reply)
    });
    world.fail(&["model.safetensors", "damaged", "SHA-256", "removed"]);
    assert!(world.blob(&sha256(&weights())).iter().all(|path| !path.exists()));

    let world = World::new(|ask| {
        let mut reply = ask.usual.clone();
        if ask.hub("GET", "vocab.txt") {
            reply.body[0] ^= 1;
        }
        Some(reply)
    });
    world.fail(&["vocab.txt", "damaged", "git hash", "removed"]);
    assert!(world.blob(&git_hash(SMALL[1].1.as_bytes())).iter().all(|path| !path.exists()));
}

#[test]
fn a_cut_connection_goes_on_where_it_was_cut() {
    let world =
        World::new(|ask| (ask.cdn() && ask.nth == 0).then(|| ask.usual.clone().cut(100_000, End::Close)));
    world.succeed();
    assert_eq!(world.cdn.requests().len(), 2);
    assert_eq!(range_of(&world, 1).unwrap(), "bytes=100000-");
    assert_eq!(world.pauses(), [1]);
}

#[test]
fn what_another_process_left_is_continued() {
    let world = World::usual();
    let [_, part] = world.blob(&sha256(&weights()));
    fs::write(&part, &weights()[..250_000]).unwrap();
    world.succeed();
    assert_eq!(world.cdn.requests().len(), 1);
    assert_eq!(range_of(&world, 0).unwrap(), "bytes=250000-");
}

#[test]
fn what_was_left_complete_is_not_asked_for() {
    let world = World::usual();
    let [_, part] = world.blob(&sha256(&weights()));
    fs::write(&part, weights()).unwrap();
    world.succeed();
    assert_eq!(world.cdn.requests().len(), 0);
}

#[test]
fn a_damaged_or_overlong_beginning_is_fetched_anew() {
    for (left, requests) in [(vec![7; 1000], 2), (vec![7; 300_000], 1), (vec![7; 400_000], 1)] {
        let world = World::usual();
        let [_, part] = world.blob(&sha256(&weights()));
        fs::write(&part, left).unwrap();
        world.succeed();
        assert_eq!(world.cdn.requests().len(), requests);
        assert_eq!(range_of(&world, requests - 1), None);
    }
}

#[test]
fn a_damaged_file_in_the_cache_is_fetched_anew_before_it_gets_a_name() {
    for left in [vec![7; 1000], vec![7; 300_000]] {
        let world = World::usual();
        let [blob, _] = world.blob(&sha256(&weights()));
        fs::write(&blob, left).unwrap();
        world.succeed();
        assert_eq!(world.cdn.requests().len(), 1);
    }
}

#[test]
fn a_server_without_ranges_sends_the_whole_file_again() {
    let whole = || Reply::new("200 OK").body(&weights());
    let elsewhere = || {
        let range = "bytes 5-299999/300000";
        Reply::new("206 Partial Content").with("Content-Range", range).body(&weights()[5..])
    };
    let another = || {
        let range = "bytes 100000-399999/400000";
        Reply::new("206 Partial Content").with("Content-Range", range).body(&[7; 300_000])
    };
    let unsaid = || Reply::new("206 Partial Content").body(&weights()[100_000..]);
    let none = || Reply::new("416 Range Not Satisfiable");
    let answers: [fn() -> Reply; 5] = [whole, elsewhere, another, unsaid, none];
    for answer in answers {
        let world = World::new(move |ask| match (ask.cdn(), ask.request.header("range")) {
            (true, Some(_)) => Some(answer()),
            (true, None) if ask.nth == 0 => Some(ask.usual.clone().cut(100_000, End::Close)),
            _ => None,
        });
        world.succeed();
    }
}

#[test]
fn a_part_that_nobody_asked_for_is_refused() {
    let world = World::new(|ask| {
        let range = "bytes 5-299999/300000";
        let reply = Reply::new("206 Partial Content").with("Content-Range", range).body(&weights()[5..]);
        ask.cdn().then_some(reply)
    });
    world.fail(&["model.safetensors", "another range", "tried 5 times"]);
}

/// Without a length the connection's end is the body's end.
#[test]
fn a_body_that_is_longer_than_announced_is_cut_off() {
    let world = World::new(|ask| {
        let mut longer = weights();
        longer.extend([7; 1000]);
        ask.cdn().then(|| Reply::new("200 OK").body(&longer).without("Content-Length"))
    });
    world.fail(&["model.safetensors", "more than 300000 bytes"]);
    assert!(world.blob(&sha256(&weights())).iter().all(|path| !path.exists()));
}

#[test]
fn a_body_without_any_length_is_limited() {
    let endless = |ask: &super::world::Ask, length: usize| {
        let reply = ask.usual.clone().with("ETag", "any");
        let reply = if ask.request.method == "GET" { reply.body(&vec![b' '; length]) } else { reply };
        ask.request.is_for("vocab.txt").then(|| reply.without("Content-Length"))
    };
    World::new(move |ask| endless(ask, (64 << 20) + 1)).fail(&["vocab.txt", "more than 67108864 bytes"]);
    let world = World::new(move |ask| endless(ask, 1000));
    let found = world.resolve().unwrap();
    assert_eq!(fs::metadata(found.dir.join("vocab.txt")).unwrap().len(), 1000);
}

#[test]
fn a_huge_announcement_is_refused_before_anything_is_fetched() {
    for (file, size) in [("config.json", 1_u64 << 40), ("model.safetensors", u64::MAX)] {
        let world = World::new(move |ask| {
            ask.hub("HEAD", file).then(|| ask.usual.clone().with("X-Linked-Size", size))
        });
        world.fail(&[file, &size.to_string()]);
        assert_eq!(world.hub.count("GET", file) + world.cdn.count("GET", file), 0);
    }
}

#[test]
fn a_huge_head_is_refused() {
    let world = World::new(|ask| {
        ask.hub("HEAD", "config.json").then(|| ask.usual.clone().with("X-Padding", "x".repeat(1 << 20)))
    });
    world.fail(&["config.json", "header"]);
    World::new(|ask| {
        let many = (0..1000).fold(ask.usual.clone(), |reply, nth| reply.with(&format!("X-{nth}"), "x"));
        ask.hub("HEAD", "config.json").then_some(many)
    })
    .fail(&["config.json"]);
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_a_proxy_compresses_is_decompressed_and_checked() {
    let world = World::new(|ask| {
        assert_eq!(ask.request.header("accept-encoding"), Some("identity"));
        let compressed = ask.usual.clone().with("Content-Encoding", "gzip");
        match SMALL.iter().find(|(file, _)| ask.request.is_for(file)) {
            Some((_, text)) => Some(compressed.body(&gzip(text.as_bytes()))),
            None => ask
                .cdn()
                .then(|| Reply::new("200 OK").with("Content-Encoding", "gzip").body(&gzip(&weights()))),
        }
    });
    world.succeed();

    let bomb = gzip(&vec![0; 10 << 20]);
    World::new(move |ask| ask.cdn().then(|| ask.usual.clone().with("Content-Encoding", "gzip").body(&bomb)))
        .fail(&["model.safetensors", "more than 300000 bytes"]);
    World::new(|ask| ask.cdn().then(|| ask.usual.clone().with("Content-Encoding", "br")))
        .fail(&["model.safetensors", "compresses"]);
}

#[test]
fn a_web_page_is_no_file() {
    let page = |reply: &Reply| {
        reply
            .clone()
            .status("200 OK")
            .with("Content-Type", "text/html; charset=utf-8")
            .body(b"<html>Log in</html>")
    };
    World::new(move |_| Some(page(&Reply::new("200 OK")))).fail(&["config.json", "web page", "proxy"]);
    World::new(move |ask| ask.hub("GET", "config.json").then(|| page(&ask.usual)))
        .fail(&["config.json", "web page"]);
    // It does not have to say that it is one.
    World::new(|ask| ask.hub("GET", "config.json").then(|| content(ask.request, b"<html>Log in</html>")))
        .fail(&["config.json"]);
}

#[test]
fn an_index_of_weights_that_is_none_is_refused() {
    let world = World::new(|ask| match ask.request.path.rsplit('/').next().unwrap() {
        "model.safetensors" => Some(Reply::new("404 Not Found")),
        "model.safetensors.index.json" => {
            let like = ask.usual.clone().status("200 OK").body(b"{}");
            Some(like.with("X-Repo-Commit", super::world::COMMIT).with("ETag", git_hash(b"{}")))
        }
        _ => None,
    });
    world.fail(&["no index of weights", "Fetch it again"]);
}

/// As long as the cache says that a model is there, it is there with all its files.
#[test]
fn files_get_their_names_when_all_of_them_are_there() {
    let world = World::new(|ask| ask.cdn().then(|| Reply::new("403 Forbidden")));
    let error = world.fail(&["model.safetensors", "403"]);
    assert!(!error.contains("HF_TOKEN"), "a signature ran out, not the token: {error}");
    assert!(!world.files().iter().any(|file| file.contains("refs")));
    let world = World::usual();
    world.succeed();
    let reference = world.home.path().join(super::world::REPO).join("refs/main");
    assert_eq!(fs::read_to_string(reference).unwrap(), super::world::COMMIT);
}
