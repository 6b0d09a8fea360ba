//! The keys that were in use, by their ids.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use crate::audit::seal::{Keys, MIN_SECRET};

/// Where a key is.
#[derive(Debug)]
pub(in crate::cli::audit) struct KeyFrom {
    id: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Environment(String),
}

impl KeyFrom {
    /// Reads `ID=FILE` or `ID=@VARIABLE`. What is neither is not repeated: it may be a key.
    pub(in crate::cli::audit) fn parse(text: &str) -> Result<KeyFrom, &'static str> {
        let expected = "`--key` takes `ID=FILE` or `ID=@VARIABLE`";
        let (id, source) = text.split_once('=').ok_or(expected)?;
        if id.is_empty() || source.is_empty() {
            return Err(expected);
        }
        let source = match source.strip_prefix('@') {
            Some(variable) => Source::Environment(variable.to_owned()),
            None => Source::File(source.into()),
        };
        Ok(KeyFrom { id: id.to_owned(), source })
    }
}

impl Source {
    /// The secret. Where it should be is not repeated either.
    fn secret(&self) -> Result<Vec<u8>, String> {
        match self {
            Source::Environment(variable) => std::env::var_os(variable)
                .map(std::ffi::OsString::into_encoded_bytes)
                .ok_or_else(|| "its environment variable is not set".to_owned()),
            Source::File(file) => {
                let mut secret = Vec::new();
                File::open(file)
                    .and_then(|file| file.take(MAX_SECRET).read_to_end(&mut secret))
                    .map_err(|error| format!("its file can't be read: {error}"))?;
                for end in [b'\n', b'\r'] {
                    secret.pop_if(|last| *last == end);
                }
                Ok(secret)
            }
        }
    }
}

/// Several keys.
pub(super) struct Ring(Vec<(String, Keys)>);

impl Ring {
    /// Reads every key.
    ///
    /// # Errors
    ///
    /// There is none, one can't be had or is too short, or two have the same id.
    pub(super) fn read(keys: &[KeyFrom]) -> Result<Ring, String> {
        let mut ring = Ring(Vec::new());
        for KeyFrom { id, source } in keys {
            let wrong = |problem: String| format!("the key `{id}`: {problem}");
            let secret = source.secret().map_err(wrong)?;
            if secret.len() < MIN_SECRET {
                return Err(wrong(format!("it has fewer than {MIN_SECRET} bytes")));
            }
            if ring.find(id).is_some() {
                return Err(wrong("it is given twice".to_owned()));
            }
            ring.0.push((id.clone(), Keys::derive(&secret, id)));
        }
        Ok(ring)
    }

    /// A key and its place.
    pub(super) fn find(&self, id: &str) -> Option<(usize, &Keys)> {
        let place = self.0.iter().position(|(known, _)| known == id)?;
        self.0.get(place).map(|(_, keys)| (place, keys))
    }

    /// The id of the key at this place.
    pub(super) fn id(&self, place: usize) -> &str {
        self.0.get(place).map_or("", |(id, _)| id)
    }
}

/// Most bytes of a secret that are read.
const MAX_SECRET: u64 = 64 << 10;
