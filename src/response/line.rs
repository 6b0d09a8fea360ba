//! A file of a bulk export (<https://hl7.org/fhir/uv/bulkdata/export.html#response---output-file>): a
//! resource on each line. It is not held, so each line is judged alone.

use super::judge::{Judge, is_bare_outcome};
use super::resource::AsResource;
use super::walk::Walk;
use crate::fhir::Api;
use crate::policy::{By, ExpectedFile, Exported, Smart};

/// Whether a line is one resource, read strictly, that this file may have and the client may see. One
/// that stands inside of another where FHIR has none, or in a Bundle, is judged by nobody: it needs a
/// token for every type.
pub fn line(file: &ExpectedFile, line: &[u8], api: &Api, smart: &Smart) -> bool {
    let judge = Judge { expected: &file.expected, api, smart };
    let Ok(mut walk) = Walk::new(line) else { return false };
    let Ok((_, mut resource)) = walk.value(AsResource(&judge)) else { return false };
    let shown = match file.of {
        Exported::Status => false,
        Exported::Outcomes => is_bare_outcome(&resource),
        Exported::Type(_) | Exported::AllTypes => {
            resource.strays &= !file.all;
            judge.sees(&resource, By::Read)
        }
    };
    shown && walk.is_at_end()
}
