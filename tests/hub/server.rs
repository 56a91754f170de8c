//! An HTTP server that keeps every request and answers as it is told to.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

pub const TOKEN: &str = "hf_secret";

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// The request line and all headers.
    pub head: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let named =
            |line: &'_ str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| named(line)).and_then(|line| Some(line.split_once(':')?.1.trim()))
    }

    /// Whether it is for this file, or for a path that ends like this.
    pub fn is(&self, method: &str, file: &str) -> bool {
        self.method == method && self.is_for(file)
    }

    pub fn is_for(&self, file: &str) -> bool {
        let path = self.path.split('?').next().unwrap();
        path.strip_suffix(file).is_some_and(|rest| file.starts_with('/') || rest.ends_with('/'))
    }

    pub fn has_token(&self) -> bool {
        self.head.contains(TOKEN)
    }
}

/// What to do after the body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Close,
    /// Say nothing at all.
    Silence,
    /// Say no more until the client is gone.
    Stall,
}

#[derive(Clone)]
pub struct Reply {
    status: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    end: End,
}

impl Reply {
    pub fn new(status: &str) -> Self {
        Self { status: status.into(), headers: Vec::new(), body: Vec::new(), end: End::Close }
    }

    pub fn status(mut self, status: &str) -> Self {
        self.status = status.into();
        self
    }

    /// In the place of the header of this name, or as another one.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self = self.without(name);
        self.headers.push((name.into(), value.to_string()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    /// A body with its length.
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.with("Content-Length", body.len())
    }

    /// Only so much of the body, whatever was announced.
    pub fn cut(mut self, length: usize, end: End) -> Self {
        self.body.truncate(length);
        self.end = end;
        self
    }

    fn send(&self, method: &str, mut stream: &TcpStream) -> std::io::Result<()> {
        if self.end == End::Silence {
            stream.read_to_end(&mut Vec::new())?;
            return Ok(());
        }
        let headers: String = self.headers.iter().map(|(key, value)| format!("{key}: {value}\r\n")).collect();
        write!(stream, "HTTP/1.1 {}\r\n{headers}Connection: close\r\n\r\n", self.status)?;
        if method != "HEAD" {
            stream.write_all(&self.body)?;
        }
        if self.end == End::Stall {
            stream.flush()?;
            // Until the client hangs up.
            stream.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    }
}

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer, stream) = (Arc::clone(&kept), Arc::clone(&answer), stream.unwrap());
                thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    kept.lock().unwrap().push(request.clone());
                    // The client may hang up at any time.
                    let _ = answer(&request).send(&request.method, &stream);
                });
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How often this was asked for.
    pub fn count(&self, method: &str, file: &str) -> usize {
        self.requests().iter().filter(|request| request.is(method, file)).count()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let lines: Vec<_> = lines.collect();
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Request { method, path, head: lines.join("\n") })
}
