//! The answers that hold links: of a kick-off, and of a status.

use serde_json::{Map, Value};

use super::Links;
use super::reasons::{
    EXPORT_KICKOFF, EXPORT_LOCATION, EXPORT_MANIFEST, EXPORT_OUTPUT_UNCOVERED, EXPORT_STATUS,
};
use crate::base::json;
use crate::base::refusal::Refusal;
use crate::fhir::{Release, ResourceType};
use crate::policy::Exported;
use crate::request::Headers;

/// What an answer that may hold links answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// The start of an export.
    Kickoff,
    /// How far it is.
    Status,
}

/// What becomes of such an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Course {
    /// It passes as it is.
    Pass,
    /// It passes with this `Content-Location`.
    Locate(String),
    /// It is a manifest: hold it and give its body to [`Links::manifest`].
    Hold,
    /// It must not pass.
    Refuse(Refusal),
}

impl Links {
    /// Judges an answer by its head.
    pub fn head(&self, answering: Answering, status: u16, headers: &Headers) -> Course {
        match (answering, status) {
            (Answering::Status, 200) => Course::Hold,
            (_, 202) => self.accepted(answering, headers).unwrap_or_else(Course::Refuse),
            (_, 400..=599) => Course::Pass,
            (Answering::Kickoff, _) => Course::Refuse(Refusal::new(&EXPORT_KICKOFF)),
            (Answering::Status, _) => Course::Refuse(Refusal::new(&EXPORT_STATUS)),
        }
    }

    /// The kick-off tells where the status is; a status may repeat it.
    fn accepted(&self, answering: Answering, headers: &Headers) -> Result<Course, Refusal> {
        let location = headers.single("content-location").map_err(|_| &EXPORT_LOCATION)?;
        let Some(location) = location else {
            return match answering {
                Answering::Kickoff => Err(Refusal::new(&EXPORT_KICKOFF)),
                Answering::Status => Ok(Course::Pass),
            };
        };
        let url = core::str::from_utf8(location).map_err(|_| &EXPORT_LOCATION)?;
        Ok(Course::Locate(self.sign(url, Exported::Status)?))
    }

    /// Judges a manifest
    /// (<https://hl7.org/fhir/uv/bulkdata/export.html#response---complete-status>): the token must
    /// cover each file's type. Gives it with its links signed; as the files of this host need a
    /// token, it says so.
    ///
    /// # Errors
    ///
    /// [`EXPORT_MANIFEST`], [`EXPORT_OUTPUT_UNCOVERED`], [`EXPORT_LOCATION`].
    pub fn manifest(
        &self,
        body: &[u8],
        may_have: &dyn Fn(Exported) -> bool,
    ) -> Result<Vec<u8>, Refusal> {
        let mut manifest = json::parse(body).map_err(|_| &EXPORT_MANIFEST)?;
        let members = manifest.as_object_mut().filter(|members| is_manifest(members));
        let members = members.ok_or(&EXPORT_MANIFEST)?;
        let mut ours = false;
        for (name, value) in members.iter_mut() {
            let is_file = match name.as_str() {
                "output" | "deleted" | "error" => true,
                // More manifests, where one is not enough.
                "link" => false,
                _ => continue,
            };
            for item in value.as_array_mut().ok_or(&EXPORT_MANIFEST)? {
                let of = if is_file { of(item, self.api.release)? } else { Exported::Status };
                if !may_have(of) {
                    return Err(Refusal::new(&EXPORT_OUTPUT_UNCOVERED));
                }
                ours |= self.sign_in(item, of)?;
            }
        }
        if ours {
            members.insert("requiresAccessToken".to_owned(), Value::Bool(true));
        }
        serde_json::to_vec(&manifest).map_err(|_| Refusal::new(&EXPORT_MANIFEST))
    }

    /// Signs the URL of one file. Whether it is of this host.
    fn sign_in(&self, item: &mut Value, of: Exported) -> Result<bool, Refusal> {
        let Some(Value::String(url)) = item.get_mut("url") else {
            return Err(Refusal::new(&EXPORT_MANIFEST));
        };
        let signed = self.sign(url, of)?;
        let ours = signed != *url;
        *url = signed;
        Ok(ours)
    }
}

/// Whether it is no resource, nor anything else that the link of a status might have led to.
fn is_manifest(members: &Map<String, Value>) -> bool {
    members.contains_key("transactionTime") && !members.contains_key("resourceType")
}

/// What is in a file. Without `type` (organised by patient, say) it may be anything.
fn of(item: &Value, release: Release) -> Result<Exported, Refusal> {
    let members = item.as_object().ok_or(&EXPORT_MANIFEST)?;
    match members.get("type") {
        None => Ok(Exported::AllTypes),
        Some(Value::String(name)) if name == "OperationOutcome" => Ok(Exported::Outcomes),
        Some(Value::String(name)) => {
            let resource = ResourceType::parse(release, name).ok_or(&EXPORT_MANIFEST)?;
            Ok(Exported::Type(resource))
        }
        Some(_) => Err(Refusal::new(&EXPORT_MANIFEST)),
    }
}
