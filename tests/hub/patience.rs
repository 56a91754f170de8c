//! Servers that are busy, slow or not there.

use std::time::Duration;

use super::{
    server::{End, Reply, Server},
    world::World,
};

#[test]
fn a_busy_server_is_asked_again_when_it_wants_to_be() {
    let busy = |header: &'static str| {
        World::new(move |ask| {
            let reply = Reply::new("429 Too Many Requests").with("Retry-After", header);
            (ask.hub("HEAD", "vocab.txt") && ask.nth == 0).then_some(reply)
        })
    };
    for (header, pause) in
        [("7", 7), ("0", 0), ("86400", 60), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 1), ("-1", 1)]
    {
        let world = busy(header);
        world.succeed();
        assert_eq!(world.pauses(), [pause], "{header}");
    }
}

#[test]
fn each_pause_is_longer_than_the_one_before() {
    for status in
        ["500 Internal Server Error", "502 Bad Gateway", "503 Unavailable", "504 Timeout", "408 Timeout"]
    {
        let failing = move |at_head: bool| {
            World::new(move |ask| {
                let asked = if at_head { ask.hub("HEAD", "config.json") } else { ask.cdn() };
                (asked && ask.nth < 2).then(|| Reply::new(status))
            })
        };
        for at_head in [true, false] {
            let world = failing(at_head);
            world.succeed();
            assert_eq!(world.pauses(), [1, 2], "{status}");
        }
    }
}

#[test]
fn a_server_that_stays_busy_is_named_with_the_file_the_status_and_both_ways_out() {
    let world = World::new(|ask| ask.cdn().then(|| Reply::new("503 Service Unavailable")));
    let cdn = world.cdn.url.clone();
    world.fail(&["model.safetensors", &cdn, "503", "tried 5 times", "hf download owner/name", "HF_HOME"]);
    assert_eq!(world.pauses(), [1, 2, 4, 8]);
    // What is there stays, and the next try needs only the rest.
    assert_eq!(world.cdn.requests().len(), 5);
}

#[test]
fn what_does_not_pass_is_not_tried_again() {
    for status in ["400 Bad Request", "410 Gone", "418 Teapot", "501 Not Implemented", "451 Unavailable"] {
        let world = World::new(move |ask| ask.hub("HEAD", "config.json").then(|| Reply::new(status)));
        world.fail(&["config.json", &status[..3]]);
        let tries = if status.starts_with('5') { 4 } else { 0 };
        assert_eq!(world.pauses().len(), tries, "{status}");
    }
}

#[test]
fn a_server_that_stops_in_the_middle_is_left_and_asked_for_the_rest() {
    let mut world =
        World::new(|ask| (ask.cdn() && ask.nth == 0).then(|| ask.usual.clone().cut(100_000, End::Stall)));
    world.settings.network.read_timeout = Duration::from_millis(300);
    world.succeed();
    assert_eq!(world.cdn.requests()[1].header("range"), Some("bytes=100000-"));
    assert_eq!(world.pauses(), [1]);
}

#[test]
fn a_server_that_does_not_answer_is_left() {
    let server = Server::start(|_| Reply::new("200 OK").cut(0, End::Silence));
    let mut world = World::usual();
    world.settings.endpoint.clone_from(&server.url);
    world.settings.network.read_timeout = Duration::from_millis(100);
    world.settings.network.tries = 2;
    world.fail(&["config.json", &server.url, "timeout", "tried 2 times"]);
}

#[test]
fn progress_is_worth_more_tries_than_none() {
    let world = World::new(|ask| ask.cdn().then(|| ask.usual.clone().cut(30_000, End::Close)));
    // Ten pieces of 30,000 bytes are too little progress for ten tries.
    world.fail(&["model.safetensors", "tried 5 times"]);
    assert_eq!(world.cdn.requests().len(), 5);
    // The next command goes on.
    let error = world.resolve().map(drop);
    assert!(error.is_ok(), "{error:?}");
    assert_eq!(world.cdn.requests().len(), 10);
}

#[test]
fn without_a_network_nothing_is_waited_for() {
    let mut world = World::usual();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for endpoint in [format!("http://{closed}"), "http://no-such-host.invalid".into()] {
        world.settings.endpoint = endpoint;
        world.fail(&["config.json", &world.settings.endpoint, "hf download"]);
        assert_eq!(world.pauses(), [0; 0]);
    }
}
