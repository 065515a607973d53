//! Statements whose text is put together.

use std::borrow::Cow;

use super::{Statement, Value};

/// A statement in the making; what is bound takes the next `$n`.
pub struct Builder<'v> {
    text: String,
    values: Vec<Value<'v>>,
}

impl<'v> Builder<'v> {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: Vec::new() }
    }

    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub fn push_bind(&mut self, value: impl Into<Value<'v>>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// Writes `= any($n)` of a set.
    pub fn push_set(&mut self, set: impl Into<Value<'v>>) -> &mut Self {
        self.push(" = any(").push_bind(set).push(")")
    }

    pub fn build(self) -> Statement<'v> {
        Statement { text: Cow::Owned(self.text), values: self.values }
    }
}
