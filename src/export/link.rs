//! Links, signed and checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::reasons::{EXPORT_CLIENT_MISSING, EXPORT_LOCATION, EXPORT_METHOD, EXPORT_NOT_BOUND};
use super::{Answering, Key, place};
use crate::base::refusal::Refusal;
use crate::fhir::{Api, Level, Release, ResourceType};
use crate::forward::Edit;
use crate::policy::Exported;
use crate::request::{Head, MAX_TARGET, Method};
use crate::token::Claims;

/// The parameter that holds the signature.
const PARAMETER: &str = "_phiward";

/// A request that says it follows a link of an export. Not proven.
#[derive(Debug)]
pub struct Claimed {
    of: Exported,
    target: String,
    method: Method,
    code: [u8; 32],
}

/// Proof that a request follows a link that was given to this caller. Made by [`Links::open`] only.
#[derive(Debug)]
pub struct Bound {
    of: Exported,
    target: String,
    method: Method,
}

/// Signs and checks the links of one caller.
#[derive(Debug, Clone)]
pub struct Links {
    key: Key,
    issuer: String,
    client: String,
    hosts: Vec<String>,
    pub(super) api: Api,
}

/// The link that a request says it follows; `None`: it says nothing of the kind. Asked before the
/// request is taken for FHIR.
///
/// # Errors
///
/// It has such a parameter, but not once and last, or with a method that a link doesn't take.
pub fn claimed(head: &Head, release: Release) -> Result<Option<Claimed>, Refusal> {
    let params = head.query().params();
    let mut ours = params.iter().filter(|param| param.name.eq_ignore_ascii_case(PARAMETER));
    if ours.next().is_none() {
        return Ok(None);
    }
    let claimed = Claimed::read(head, release).filter(|_| ours.next().is_none());
    let claimed = claimed.ok_or_else(|| Refusal::new(&EXPORT_NOT_BOUND))?;
    match (claimed.of, claimed.method) {
        (Exported::Status, Method::Get | Method::Delete) => Ok(Some(claimed)),
        (Exported::Status, _) => Err(Refusal::new(&EXPORT_METHOD).allow("GET, DELETE")),
        (_, Method::Get | Method::Head) => Ok(Some(claimed)),
        _ => Err(Refusal::new(&EXPORT_METHOD).allow("GET, HEAD")),
    }
}

impl Claimed {
    /// Where it stands among the operations, for the audit record: a file of one type with that type.
    pub fn level(&self) -> Level {
        match self.of {
            Exported::Type(resource) => Level::Type(resource),
            Exported::Status | Exported::Outcomes | Exported::AllTypes => Level::System,
        }
    }

    fn read(head: &Head, release: Release) -> Option<Claimed> {
        let (target, last) = head.raw_target().rsplit_once(['?', '&'])?;
        let (name, signature) = last.split_once('=')?;
        let (label, code) = signature.split_once('.')?;
        let (of, method) = (of(label, release)?, head.method());
        let code = BASE64.decode(code).ok()?.try_into().ok()?;
        (name == PARAMETER).then_some(Claimed { of, target: target.to_owned(), method, code })
    }
}

impl Bound {
    /// What it leads to.
    pub fn of(&self) -> Exported {
        self.of
    }

    /// What its answer must be judged as; `None`: it is no status.
    pub fn answering(&self) -> Option<Answering> {
        let asks = self.of == Exported::Status && self.method == Method::Get;
        asks.then_some(Answering::Status)
    }

    /// What changes before the request goes on: the target is the server's own again, and what is
    /// judged, a status always and a file if `judged`, comes whole and in a format that can be.
    pub fn edits(&self, judged: bool) -> Vec<Edit> {
        let mut edits = vec![Edit::Set(":path".to_owned(), self.target.clone())];
        let format = match self.of {
            Exported::Status => "application/json",
            _ if judged => "application/fhir+ndjson",
            _ => return edits,
        };
        edits.extend(PARTIAL.iter().map(|name| Edit::Remove((*name).to_owned())));
        edits.push(Edit::Set("accept".to_owned(), format.to_owned()));
        edits
    }
}

impl Links {
    /// The links of whoever holds this token, on the host that `head` asks for and those of
    /// `fhir.base_url`.
    ///
    /// # Errors
    ///
    /// [`EXPORT_CLIENT_MISSING`].
    pub fn of(key: Key, claims: &Claims, head: &Head, api: &Api) -> Result<Links, Refusal> {
        let client = claims.client.clone().filter(|client| !client.is_empty());
        let client = client.ok_or_else(|| Refusal::new(&EXPORT_CLIENT_MISSING))?;
        let mut hosts = vec![bare(head.authority(), ":443").to_owned()];
        hosts.extend(api.base_urls.iter().filter_map(|url| Some(split(url)?.0.to_owned())));
        Ok(Links { key, issuer: claims.issuer.clone(), client, hosts, api: api.clone() })
    }

    /// Proves that a link was given to this caller.
    ///
    /// # Errors
    ///
    /// [`EXPORT_NOT_BOUND`].
    pub fn open(&self, claimed: Claimed) -> Result<Bound, Refusal> {
        let Claimed { of, target, method, code } = claimed;
        if self.key.verifies(&self.texts(of, &target), &code) {
            Ok(Bound { of, target, method })
        } else {
            Err(Refusal::new(&EXPORT_NOT_BOUND))
        }
    }

    /// The URL as this caller gets it: signed when it is of this host.
    ///
    /// # Errors
    ///
    /// [`EXPORT_LOCATION`].
    pub(super) fn sign(&self, url: &str, of: Exported) -> Result<String, Refusal> {
        let Some(target) = self.target(url)? else { return Ok(url.to_owned()) };
        let code = BASE64.encode(self.key.code(&self.texts(of, target)));
        let joint = if target.contains('?') { '&' } else { '?' };
        let signature = format!("{joint}{PARAMETER}={}.{code}", label(of));
        let fits = target.len().saturating_add(signature.len()) <= MAX_TARGET;
        if !fits || !place::serves(target, of, &self.api) {
            return Err(Refusal::new(&EXPORT_LOCATION));
        }
        Ok(format!("{url}{signature}"))
    }

    /// The target of a URL of this host; `None` for one of another host.
    fn target<'u>(&self, url: &'u str) -> Result<Option<&'u str>, Refusal> {
        let (host, target) = match split(url) {
            Some((host, target)) if !url.starts_with('/') => (Some(host), target),
            _ => (None, url),
        };
        if host.is_some_and(|host| !self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))) {
            return Ok(None);
        }
        let fits = target.starts_with('/') && !target.starts_with("//");
        if fits { Ok(Some(target)) } else { Err(Refusal::new(&EXPORT_LOCATION)) }
    }

    fn texts<'t>(&'t self, of: Exported, target: &'t str) -> [&'t str; 4] {
        [label(of), &self.issuer, &self.client, target]
    }
}

/// Host and target of an absolute URL; the port that the scheme has anyway is left out.
fn split(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return Some((url, "")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(end)?;
    Some((bare(host, port), target))
}

fn bare<'h>(host: &'h str, port: &str) -> &'h str {
    host.strip_suffix(port).unwrap_or(host)
}

/// How a link says what it leads to. Types start with a capital.
fn label(of: Exported) -> &'static str {
    match of {
        Exported::Status => "status",
        Exported::Outcomes => "outcomes",
        Exported::AllTypes => "all",
        Exported::Type(resource) => resource.name(),
    }
}

fn of(label: &str, release: Release) -> Option<Exported> {
    match label {
        "status" => Some(Exported::Status),
        "outcomes" => Some(Exported::Outcomes),
        "all" => Some(Exported::AllTypes),
        name => ResourceType::parse(release, name).map(Exported::Type),
    }
}

/// Header fields by which a status or file would come in part or compressed.
const PARTIAL: [&str; 7] = [
    "accept-encoding",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];
