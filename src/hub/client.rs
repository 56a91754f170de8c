//! Requests to the hub. Redirects are followed here, hop by hop, so that the token is sent only to the hub itself.

use std::{
    cell::Cell,
    io::{self, Read},
    time::SystemTime,
};

use ureq::{
    Agent, Body, Proxy,
    http::{HeaderValue, Response, header},
};
use url::Url;

use super::{
    backoff::{Network, retry_after},
    failure::{Failure, FailureKind},
    name::{Commit, Etag, Repo},
};

/// The hub's metadata of a file.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) commit: Commit,
    pub(super) etag: Etag,
    pub(super) size: Option<u64>,
}

/// A file's bytes from `from` on.
pub(super) struct Content {
    pub(super) from: u64,
    /// The size of the whole file, if the response states it.
    pub(super) total: Option<u64>,
    /// The length of the response's body, if stated.
    pub(super) length: Option<u64>,
    pub(super) reader: Box<dyn Read>,
}

pub(super) struct Client<'a> {
    agent: Agent,
    endpoint: Url,
    token: Option<HeaderValue>,
    pub(super) network: &'a Network,
    /// Whether some host has answered, so that the network is up.
    reached: Cell<bool>,
}

#[derive(Clone, Copy)]
enum Method {
    Head,
    Get,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        endpoint: &str,
        token: Option<HeaderValue>,
        network: &'a Network,
    ) -> Result<Self, Failure> {
        let valid = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let Some(mut endpoint) = Url::parse(endpoint).ok().filter(valid) else {
            return Err(Failure::permanent("HF_ENDPOINT is not a URL such as https://huggingface.co"));
        };
        endpoint.set_query(None);
        strip_credentials(&mut endpoint);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(Some(network.connect_timeout))
            .timeout_connect(Some(network.connect_timeout))
            .timeout_send_request(Some(network.read_timeout))
            .timeout_recv_response(Some(network.read_timeout))
            .timeout_per_read(Some(network.read_timeout))
            .proxy(if network.proxy { Proxy::try_from_env() } else { None })
            .user_agent(concat!("lottery/", env!("CARGO_PKG_VERSION")));
        Ok(Self { agent: config.build().into(), endpoint, token, network, reached: Cell::new(false) })
    }

    /// For messages: without the path, which may contain a signature.
    pub(super) fn host(&self) -> String {
        host(&self.endpoint)
    }

    /// The URL of a file on the hub. The names have been checked by [`Repo::parse`] and `file_parts`.
    pub(super) fn url(&self, repo: &Repo, revision: &str, file: &str) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(repo.kind.url_prefix);
            path.extend([repo.owner, repo.name, "resolve", revision]).extend(file.split('/'));
        }
        url
    }

    /// Whether the hub answers at all, with whatever status.
    pub(super) fn reach(&self) -> Result<(), Failure> {
        let answer = self.agent.head(self.endpoint.as_str()).call();
        answer.map(drop).map_err(|error| self.broken(&self.endpoint, error))
    }

    /// The metadata of a file.
    pub(super) fn metadata(&self, url: &Url) -> Result<Metadata, Failure> {
        let mut redirects = Redirects::new(self, url);
        let (mut commit, mut etag, mut size) = (None, None, None);
        let etag = loop {
            let response = self.send(Method::Head, &redirects, 0)?;
            let header = |name| text(&response, name);
            commit = commit.or(header("x-repo-commit"));
            etag = etag.or(header("x-linked-etag"));
            size = size.or(header("x-linked-size").and_then(|size| size.parse().ok()));
            match redirects.redirect(&response)? {
                // A redirect to the content's location; the metadata comes from the hub itself.
                Some(next) if commit.is_some() && next.origin() != redirects.url.origin() => {
                    break etag.or(header("etag"));
                }
                Some(next) => redirects.follow(next)?,
                None => {
                    redirects.refuse_page(&response)?;
                    let length = header("content-length").filter(|_| !is_encoded(&response));
                    size = size.or(length.and_then(|length| length.parse().ok()));
                    break etag.or(header("etag"));
                }
            }
        };
        let Some(commit) = commit else {
            return Err(redirects.refused(
                "sends no commit (X-Repo-Commit), so it is not a Hugging Face hub; check HF_ENDPOINT and the proxy",
            ));
        };
        let commit = Commit::parse(&commit)
            .ok_or_else(|| redirects.refused("sends an invalid commit (X-Repo-Commit)"))?;
        let etag = etag.ok_or_else(|| redirects.refused("sends no ETag"))?;
        let etag = Etag::parse(&etag).ok_or_else(|| redirects.refused("sends an invalid ETag"))?;
        Ok(Metadata { commit, etag, size })
    }

    /// The content from `start` on, or all of it if the server does not support ranges.
    pub(super) fn content(&self, url: &Url, start: u64) -> Result<Content, Failure> {
        let mut redirects = Redirects::new(self, url);
        loop {
            let response = self.send(Method::Get, &redirects, start)?;
            if let Some(next) = redirects.redirect(&response)? {
                redirects.follow(next)?;
                continue;
            }
            redirects.refuse_page(&response)?;
            let length = text(&response, "content-length").and_then(|length| length.parse().ok());
            let (from, total) = match (response.status().as_u16(), text(&response, "content-range")) {
                (206, Some(range)) => parse_range(&range).ok_or_else(|| redirects.wrong_range())?,
                (206, None) => return Err(redirects.wrong_range()),
                _ => (0, None),
            };
            let encoding = text(&response, "content-encoding").filter(|_| is_encoded(&response));
            let reader = response.into_body().into_reader();
            return match encoding.as_deref() {
                None => Ok(Content { from, total, length, reader: Box::new(reader) }),
                // Not requested, but some proxies do it. A range of a compressed file is useless.
                Some("gzip") if from == 0 => {
                    let reader = Box::new(flate2::read::MultiGzDecoder::new(reader));
                    Ok(Content { from, total: None, length: None, reader })
                }
                Some("gzip") => Err(redirects.wrong_range()),
                Some(_) => Err(redirects.refused("compresses the file in a way that was not requested")),
            };
        }
    }

    fn send(&self, method: Method, redirects: &Redirects, start: u64) -> Result<Response<Body>, Failure> {
        let request = match method {
            Method::Head => self.agent.head(redirects.url.as_str()),
            Method::Get => self.agent.get(redirects.url.as_str()),
        };
        let mut request = request.header(header::ACCEPT_ENCODING, "identity");
        if let (Some(token), true) = (&self.token, redirects.with_token) {
            request = request.header(header::AUTHORIZATION, token);
        }
        if start > 0 {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        let response = request.call().map_err(|error| self.broken(&redirects.url, error))?;
        self.reached.set(true);
        let status = response.status();
        let kind = match status.as_u16() {
            200 | 206 | 301 | 302 | 303 | 307 | 308 => return Ok(response),
            // On another host, a signature has expired.
            401 | 403 if redirects.url.origin() == self.endpoint.origin() => FailureKind::Denied,
            404 => FailureKind::NotFound,
            408 | 429 | 500..=599 => {
                let pause = text(&response, "retry-after");
                let retry_after = pause.and_then(|pause| retry_after(&pause, SystemTime::now()));
                FailureKind::Transient { retry_after }
            }
            // The file has fewer bytes than before: it has changed.
            416 if start > 0 => return Err(redirects.wrong_range()),
            _ => FailureKind::Permanent,
        };
        let what = format!("{} answers with status {status}", host(&redirects.url));
        Err(Failure { what, kind, tries: 1 })
    }

    fn broken(&self, url: &Url, error: ureq::Error) -> Failure {
        use ureq::{Error, Timeout};
        let what = match &error {
            Error::BadUri(_) | Error::Http(_) => {
                format!("{} redirects to an invalid URL", host(url))
            }
            error => format!("{}: {error}", host(url)),
        };
        let permanent = match &error {
            Error::Timeout(Timeout::Resolve | Timeout::Connect)
            | Error::HostNotFound
            | Error::ConnectionFailed => !self.reached.get(),
            Error::Timeout(_) => false,
            Error::Io(error) => match error.kind() {
                // A certificate, say.
                io::ErrorKind::InvalidData => true,
                io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::TimedOut
                | io::ErrorKind::UnexpectedEof => false,
                // Without a network, waiting is useless; a host that has answered before may come back.
                _ => !self.reached.get(),
            },
            _ => true,
        };
        if permanent { Failure::permanent(what) } else { Failure::transient(what) }
    }
}

/// The redirects followed so far.
struct Redirects {
    url: Url,
    /// Whether only the hub itself has been contacted.
    with_token: bool,
    hops: u32,
}

const MAX_HOPS: u32 = 10;

impl Redirects {
    fn new(client: &Client, url: &Url) -> Self {
        Self { url: url.clone(), with_token: url.origin() == client.endpoint.origin(), hops: 0 }
    }

    /// The target of a redirect; `None` for any other response.
    fn redirect(&self, response: &Response<Body>) -> Result<Option<Url>, Failure> {
        if !response.status().is_redirection() {
            return Ok(None);
        }
        let Some(location) = response.headers().get(header::LOCATION) else {
            return Err(self.refused("redirects without a target (Location)"));
        };
        let location = location.to_str().ok().and_then(|location| self.url.join(location).ok());
        let mut next = location.ok_or_else(|| self.refused("redirects to an invalid URL"))?;
        if !matches!(next.scheme(), "http" | "https") || !next.has_host() {
            return Err(self.refused("redirects to a URL that is neither http nor https"));
        }
        if self.url.scheme() == "https" && next.scheme() == "http" {
            return Err(self.refused("redirects from https to insecure http"));
        }
        strip_credentials(&mut next);
        Ok(Some(next))
    }

    fn follow(&mut self, next: Url) -> Result<(), Failure> {
        self.hops += 1;
        if self.hops > MAX_HOPS {
            return Err(self.refused(&format!("redirects more than {MAX_HOPS} times")));
        }
        self.with_token &= next.origin() == self.url.origin();
        self.url = next;
        Ok(())
    }

    /// Login pages of networks and error pages of proxies often have status 200.
    fn refuse_page(&self, response: &Response<Body>) -> Result<(), Failure> {
        let kind = text(response, "content-type").unwrap_or_default().to_ascii_lowercase();
        if kind.starts_with("text/html") {
            return Err(self.refused("sends a web page instead of the file; check the proxy and HF_ENDPOINT"));
        }
        Ok(())
    }

    fn refused(&self, what: &str) -> Failure {
        Failure::permanent(format!("{} {what}", host(&self.url)))
    }

    fn wrong_range(&self) -> Failure {
        let what = format!("{} sends another range than was requested", host(&self.url));
        Failure { what, kind: FailureKind::Range, tries: 1 }
    }
}

/// Removes what must be neither sent nor shown.
fn strip_credentials(url: &mut Url) {
    // Both fail only for addresses without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
}

fn host(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn text(response: &Response<Body>, name: &str) -> Option<String> {
    // Invalid UTF-8 is kept recognisable as such.
    Some(String::from_utf8_lossy(response.headers().get(name)?.as_bytes()).trim().to_owned())
}

fn is_encoded(response: &Response<Body>) -> bool {
    text(response, "content-encoding").is_some_and(|encoding| !encoding.is_empty() && encoding != "identity")
}

/// `bytes 100-199/200` is `(100, Some(200))`.
fn parse_range(header: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    // It must extend to the end, as requested.
    (first <= last && total.is_none_or(|total| last.checked_add(1) == Some(total))).then_some((first, total))
}

#[cfg(test)]
mod tests;
