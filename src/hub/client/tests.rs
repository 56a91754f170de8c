use super::{super::name::MODEL, *};

fn client<'a>(endpoint: &str, network: &'a Network) -> Client<'a> {
    Client::new(endpoint, None, network).unwrap()
}

#[test]
fn a_file_has_one_address_below_the_endpoint() {
    let network = Network::default();
    for (endpoint, name, file, url) in [
        ("https://hub", "o/n", "config.json", "https://hub/o/n/resolve/main/config.json"),
        ("https://hub/a/b/", "o/n@v1.0", "a/b.txt", "https://hub/a/b/o/n/resolve/v1.0/a/b.txt"),
        ("http://hub:80", "o/n@refs/pr/1", "a b?#", "http://hub/o/n/resolve/refs%2Fpr%2F1/a%20b%3F%23"),
        ("https://me:pass@hub?x", "o/n", "x", "https://hub/o/n/resolve/main/x"),
    ] {
        let repo = Repo::parse(MODEL, name).unwrap();
        assert_eq!(client(endpoint, &network).url(&repo, repo.revision, file).as_str(), url);
    }
}

#[test]
fn an_endpoint_is_an_address_of_the_web() {
    for bad in ["", "hub", "ftp://hub", "file:///hub", "http://", "https://[", "http:hub:x"] {
        let failure = Client::new(bad, None, &Network::default()).err().unwrap();
        assert!(failure.to_string().contains("HF_ENDPOINT"), "{bad}");
    }
}

fn redirect(from: &str, location: &str) -> Result<Option<Url>, Failure> {
    let network = Network::default();
    let redirects = Redirects::new(&client(from, &network), &Url::parse(from).unwrap());
    let response = Response::builder().status(302).header("location", location);
    redirects.redirect(&response.body(Body::builder().data("")).unwrap())
}

#[test]
fn a_redirect_leads_to_the_web_and_never_out_of_encryption() {
    for (location, to) in [
        ("https://cdn/x?sign=1", "https://cdn/x?sign=1"),
        ("/x", "https://hub/x"),
        ("//cdn/x", "https://cdn/x"),
        ("https://user:pass@cdn/x#part", "https://cdn/x"),
    ] {
        assert_eq!(redirect("https://hub/a/b", location).unwrap().unwrap().as_str(), to);
    }
    assert!(redirect("http://hub", "https://hub").is_ok());
    for location in
        ["http://hub/a", "http://cdn/x", "file:///etc/passwd", "ftp://hub/x", "data:,x", "https://["]
    {
        assert!(redirect("https://hub/a/b", location).is_err(), "{location}");
    }
}

#[test]
fn the_token_is_for_one_scheme_host_and_port_and_never_comes_back() {
    let network = Network::default();
    let hub = Url::parse("https://hub/a").unwrap();
    for (next, with_token) in [
        ("https://hub/b", true),
        ("https://hub:443/b", true),
        ("https://hub:444/b", false),
        ("http://hub/b", false),
        ("https://cdn/b", false),
        ("https://hub.evil/b", false),
        ("https://HUB/b", true),
    ] {
        let mut redirects = Redirects::new(&client("https://hub", &network), &hub);
        redirects.follow(Url::parse(next).unwrap()).unwrap();
        assert_eq!(redirects.with_token, with_token, "{next}");
        redirects.follow(hub.clone()).unwrap();
        assert_eq!(redirects.with_token, with_token, "{next} and back");
    }
}

#[test]
fn a_range_goes_to_the_end_of_the_file() {
    assert_eq!(parse_range("bytes 100-199/200"), Some((100, Some(200))));
    assert_eq!(parse_range("bytes 0-1/*"), Some((0, None)));
    for bad in ["", "bytes", "bytes */200", "bytes 5-4/5", "bytes 0-1/3", "items 0-1/2", "bytes -1-1/2"] {
        assert_eq!(parse_range(bad), None, "{bad}");
    }
    assert_eq!(parse_range(&format!("bytes 0-{0}/{0}", u64::MAX)), None);
}
