//! Redirects, and where the token goes.

use super::{
    server::{Reply, TOKEN},
    world::{Ask, COMMIT, MODEL, World},
};

const MAIN: &str = "/resolve/main/config.json";

#[test]
fn the_token_goes_to_the_hub_and_to_no_other_host() {
    let world = World::usual();
    world.succeed();
    assert!(world.hub.requests().iter().all(|request| request.has_token()));
    assert_eq!(world.cdn.count("GET", "model.safetensors"), 1);
    assert!(world.cdn.requests().iter().all(|request| !request.has_token()));
}

#[test]
fn a_relative_redirect_stays_with_the_hub_and_keeps_the_token() {
    for status in
        ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let world = World::new(move |ask| {
            let to = format!("/{MODEL}/resolve/{COMMIT}/config.json");
            ask.hub("HEAD", MAIN).then(|| Reply::new(status).with("Location", to))
        });
        world.succeed();
        assert!(world.hub.requests().iter().all(|request| request.has_token()), "{status}");
    }
}

/// What the hub says about the configuration, without asking for a token.
fn open_config(ask: &Ask) -> Reply {
    let text = super::world::SMALL[0].1;
    super::world::content(ask.request, text.as_bytes())
        .with("X-Repo-Commit", COMMIT)
        .with("ETag", format!("\"{}\"", super::world::git_hash(text.as_bytes())))
}

#[test]
fn a_way_over_another_host_and_back_goes_on_without_the_token() {
    let world = World::new(|ask| match ask.request.path.as_str() {
        _ if ask.request.is_for("config.json") => {
            Some(Reply::new("302 Found").with("Location", format!("{}/away", ask.cdn)))
        }
        "/away" => Some(Reply::new("302 Found").with("Location", format!("{}/back", ask.hub))),
        "/back" => Some(open_config(ask)),
        _ => None,
    });
    world.succeed();
    let back: Vec<_> = world.hub.requests().into_iter().filter(|request| request.path == "/back").collect();
    assert_eq!(back.len(), 2);
    assert!(back.iter().all(|request| !request.has_token()));
}

#[test]
fn an_address_that_only_looks_like_the_hub_gets_no_token() {
    let ways: [fn(&Ask) -> String; 4] = [
        |ask| format!("{}/away", ask.cdn),
        |ask| format!("//{}/away", ask.cdn.strip_prefix("http://").unwrap()),
        |ask| format!("http://{}@{}/away", &ask.hub[7..], &ask.cdn[7..]),
        |ask| format!("http:\\\\{}\\away", &ask.cdn[7..]),
    ];
    for to in ways {
        let world = World::new(move |ask| match ask.request.path.as_str() {
            "/away" => Some(open_config(ask)),
            _ if ask.request.is_for("config.json") => Some(Reply::new("302 Found").with("Location", to(ask))),
            _ => None,
        });
        world.succeed();
        assert_eq!(world.cdn.count("HEAD", "/away"), 1);
        assert!(world.cdn.requests().iter().all(|request| request.header("authorization").is_none()));
    }
}

#[test]
fn a_redirect_that_leads_nowhere_is_an_error() {
    for (status, location, why) in [
        ("302 Found", "/again", "more than 10 times"),
        ("302 Found", "", "more than 10 times"),
        ("307 Temporary Redirect", "file:///etc/passwd", "neither http nor https"),
        ("302 Found", "ftp://127.0.0.1/x", "neither http nor https"),
        ("302 Found", "data:,x", "neither http nor https"),
        ("302 Found", "http://[", "invalid URL"),
        ("302 Found", "http://127.0.0.1:99999/", "invalid URL"),
        ("302 Found", "\u{ff}", "invalid URL"),
        ("304 Not Modified", "/x", "304"),
        ("300 Multiple Choices", "/x", "300"),
    ] {
        let world = World::new(move |ask| {
            let loops = ask.request.path == "/again" || ask.request.is_for(MAIN);
            loops.then(|| Reply::new(status).with("Location", location))
        });
        let message = world.fail(&["config.json", why]);
        assert!(message.contains(&world.hub.url), "{message}");
        assert_eq!(world.pauses(), [0; 0], "it does not help to try again");
    }
}

#[test]
fn a_redirect_without_an_address_and_an_unasked_304_are_errors() {
    for (status, why) in [("302 Found", "without a target"), ("304 Not Modified", "304")] {
        World::new(move |ask| ask.hub("HEAD", MAIN).then(|| Reply::new(status))).fail(&["config.json", why]);
        // And where the content should come.
        World::new(move |ask| ask.cdn().then(|| Reply::new(status))).fail(&["model.safetensors", why]);
    }
}

#[test]
fn a_token_that_no_header_can_carry_is_named_and_not_shown() {
    let mut world = World::usual();
    world.settings.token = lottery::hub::Token::parse(&format!("{TOKEN}\u{7}"), "HF_TOKEN");
    world.fail(&["HF_TOKEN"]);
    assert_eq!(world.hub.requests().len(), 0);
    assert!(!format!("{:?}", world.settings).contains(TOKEN));
}

#[test]
fn without_a_token_none_is_sent_and_the_error_says_how_to_set_one() {
    let mut world = World::usual();
    world.settings.token = None;
    world.fail(&["401", "HF_TOKEN"]);
    assert!(world.hub.requests().iter().all(|request| request.header("authorization").is_none()));
}
