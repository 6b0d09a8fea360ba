//! The `smart` section of the configuration.

use serde_json::{Value, json};

use super::operations::Listed;
use crate::config::section::{Section, excerpt};
use crate::config::setting::Setting;
use crate::fhir::membership::Membership;

crate::words! {
    /// What happens to a confined search that names no patient (`smart.search_without_patient`).
    pub enum SearchWithoutPatient {
        /// It is narrowed to the patient in context.
        Narrow = "narrow",
        /// It is refused.
        Refuse = "refuse",
    }
}

crate::words! {
    /// Whether answers to confined requests are judged (`smart.response_check`).
    pub enum ResponseCheck {
        /// Held until judged; what is not the patient's is removed or refused.
        Enforce = "enforce",
        /// Judged and written down, and passed on as it came.
        Report = "report",
        /// Not looked at; access by id, which can't be judged otherwise, is refused.
        Off = "off",
    }
}

crate::words! {
    /// What an encounter in the token's context does (`smart.encounter`).
    pub enum EncounterContext {
        /// Nothing: it tells an app where it was opened.
        Ignore = "ignore",
        /// It confines `patient/` scopes to that encounter.
        Confine = "confine",
    }
}

/// How SMART scopes and the patient context are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smart {
    /// What happens to a confined search that names no patient.
    pub search_without_patient: SearchWithoutPatient,
    /// What makes a resource a patient's.
    pub membership: Membership,
    /// What an encounter in the token's context does.
    pub encounter: EncounterContext,
    /// Types outside the patient compartment that a scope confined to a patient may read and search.
    pub shared_types: Vec<SharedType>,
    /// Operations that are let through besides those this gateway judges by itself.
    pub operations: Vec<Listed>,
    /// Whether answers to confined requests are judged.
    pub response_check: ResponseCheck,
}

/// The name of a type that holds no patient's data, for example `Practitioner`. A type of the
/// patient compartment is judged by the compartment even when it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedType(String);

impl Smart {
    /// Reads the section.
    pub fn read(section: &mut Section<'_>) -> Smart {
        Smart {
            search_without_patient: section.default(
                "search_without_patient",
                SearchWithoutPatient::Narrow,
                "what happens to a search under a patient scope that names no patient",
            ),
            membership: section.default(
                "membership",
                Membership::Subject,
                "what makes a resource a patient's: `subject`, whom it is about; `definition`, the whole \
                 CompartmentDefinition, with performers, authors and recipients",
            ),
            encounter: section.default(
                "encounter",
                EncounterContext::Ignore,
                "what an encounter in the token's context does: `ignore`, as SMART has it: it tells an app \
                 where it was opened, and grants or takes nothing; `confine` confines patient scopes to \
                 that encounter as well",
            ),
            shared_types: section.default(
                "shared_types",
                SHARED_TYPES.iter().map(|name| SharedType((*name).to_owned())).collect(),
                "types outside the patient compartment that patient scopes may read and search",
            ),
            operations: Listed::read(section),
            response_check: section.default(
                "response_check",
                ResponseCheck::Enforce,
                "`enforce` holds answers to patient scopes until every resource in them is proven to be \
                 the patient's, and judges each line of an exported file; `report` writes down what would \
                 be removed; `off` does not look",
            ),
        }
    }

    /// Whether the type is in `shared_types`.
    pub(super) fn shares(&self, name: &str) -> bool {
        self.shared_types.iter().any(|shared| shared.0 == name)
    }
}

impl Default for Smart {
    fn default() -> Smart {
        Smart {
            search_without_patient: SearchWithoutPatient::Narrow,
            membership: Membership::Subject,
            encounter: EncounterContext::Ignore,
            shared_types: SHARED_TYPES.iter().map(|name| SharedType((*name).to_owned())).collect(),
            operations: Vec::new(),
            response_check: ResponseCheck::Enforce,
        }
    }
}

impl Setting for SharedType {
    const EXPECTED: &'static str = "a resource type without patient data, such as `Practitioner`";

    fn parse(value: &Value) -> Result<SharedType, String> {
        let name = value.as_str().unwrap_or_default();
        if NEVER_SHARED.contains(&name) {
            return Err(format!("`{name}` holds the data of patients"));
        }
        let named = name.starts_with(|first: char| first.is_ascii_uppercase())
            && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !named {
            return Err(format!("`{}` is not a resource type", excerpt(value)));
        }
        Ok(SharedType(name.to_owned()))
    }

    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[A-Z][A-Za-z]*$", "not": {"enum": NEVER_SHARED}})
    }

    fn json(&self) -> Value {
        Value::from(self.0.as_str())
    }
}

const SHARED_TYPES: &[&str] = &[
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Location",
    "Medication",
    "HealthcareService",
    "Endpoint",
];

/// Types that carry any patient's data without being in the compartment by their own elements, in a
/// release or in all.
const NEVER_SHARED: &[&str] = &[
    "Patient",
    "Binary",
    "Bundle",
    "Parameters",
    "Contract",
    "Device",
    "DeviceDispense",
    "GuidanceResponse",
    "Linkage",
    "Task",
];
