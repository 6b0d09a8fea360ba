//! One entry of a Bundle.

use core::marker::PhantomData;

use serde::de::DeserializeSeed;

use super::strict::{Skim, Strict};
use super::walk::{Fault, Span, Walk};
use crate::base::node::Node;

/// An entry of a Bundle.
#[derive(Debug)]
pub(super) struct Entry<'a, R> {
    /// Where it stands.
    pub(super) span: Span,
    /// Its members besides `resource`, as an object. An entry that is none: [`Node::Null`].
    pub(super) fields: Node<'a>,
    /// Its resource and where that stands.
    pub(super) resource: Option<(Span, R)>,
}

impl<'a, R> Entry<'a, R> {
    /// Reads the next entry, its `resource` as `resource` says.
    pub(super) fn read<S: DeserializeSeed<'a, Value = R> + Copy>(
        walk: &mut Walk<'a>,
        seed: S,
    ) -> Result<Entry<'a, R>, Fault> {
        let (start, sign) = walk.next()?;
        if sign != b'{' {
            let (span, _) = walk.value(Skim(&mut Strict::default()))?;
            return Ok(Entry { span, fields: Node::Null, resource: None });
        }
        let mut resource = None;
        let members = walk.object(|walk, name| {
            if name == "resource" {
                resource = Some(walk.value(seed)?);
                return Ok(None);
            }
            let (_, value) = walk.value(PhantomData::<Node<'a>>)?;
            Ok(Some((name.clone(), value)))
        })?;
        let fields = members.into_iter().filter_map(|(_, field)| field).collect();
        Ok(Entry { span: walk.since(start), fields: Node::Object(fields), resource })
    }
}
