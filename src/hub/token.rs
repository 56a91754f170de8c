//! The token for the hub, which is never printed.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use ureq::http::HeaderValue;

use crate::error::{Error, Result};

/// The user's token, or why the configured one cannot be used.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(std::result::Result<String, String>);

/// Far more than the about forty bytes of a token.
const MAX_BYTES: u64 = 4096;

impl Token {
    /// Parses a token without line ends and surrounding spaces; `None` if nothing is left. `source` is its origin, for messages.
    pub fn parse(text: &str, source: &str) -> Option<Self> {
        let text = text.replace(['\r', '\n'], "");
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let valid = text.len() as u64 <= MAX_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        Some(Self(if valid {
            Ok(text.to_owned())
        } else {
            Err(format!("{source} contains invalid characters, or too many"))
        }))
    }

    /// Reads the file that `hf auth login` writes; `None` if there is none.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| match file.metadata()?.is_file() {
            true => file.take(MAX_BYTES + 1).read_to_end(&mut bytes),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
        });
        match read {
            Ok(_) => {
                Self::parse(&String::from_utf8_lossy(&bytes), &format!("the token file {}", path.display()))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                None
            }
            Err(error) => {
                Some(Self(Err(format!("the token file {} cannot be read: {error}", path.display()))))
            }
        }
    }

    /// The value of the `Authorization` header, marked as sensitive so that it is not printed.
    pub(super) fn header(&self) -> Result<HeaderValue> {
        let unusable = |why: &str| {
            Error::data(format!(
                "the token for the Hugging Face hub cannot be used: {why}. Set HF_TOKEN to the token as the hub shows \
                 it (hf_ and letters and digits), or run `hf auth login`; HF_HUB_DISABLE_IMPLICIT_TOKEN=1 uses no token."
            ))
        };
        let token = self.0.as_ref().map_err(|why| unusable(why))?;
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| unusable("it is not a valid header value"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_stripped_and_never_printed() {
        let token = Token::parse(" hf_secret\r\n", "HF_TOKEN").unwrap();
        let header = token.header().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer hf_secret");
        for printed in [format!("{token:?}"), format!("{header:?}")] {
            assert!(!printed.contains("secret"), "{printed}");
        }
        assert_eq!(Token::parse(" \n", "HF_TOKEN"), None);
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_an_error_without_it() {
        let long = "x".repeat(5000);
        for bad in ["hf_secret\u{7}", "hf_secret hf_secret", "hf_secrét", "secret\u{fffd}", &long] {
            let error = Token::parse(bad, "HF_TOKEN").unwrap().header().unwrap_err().to_string();
            assert!(
                error.contains("HF_TOKEN") && !error.contains("secr") && !error.contains("xxx"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_token_file_is_read_where_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert_eq!(Token::read(&path), None);
        assert_eq!(Token::read(&path.join("below")), None);
        std::fs::write(&path, "hf_secret\n").unwrap();
        assert_eq!(Token::read(&path), Token::parse("hf_secret", ""));
        assert_eq!(Token::read(&path.join("below")), None);
        let error = Token::read(folder.path()).unwrap().header().unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}
