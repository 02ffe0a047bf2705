//! Names that come from people or from the network, checked once.

use std::fmt;

use super::TypeName;

/// A name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not `package/msg/Name` made of identifiers.
    #[error(
        "`{0}` is no message type; write it as `package/msg/Name`, for example `std_msgs/msg/String`"
    )]
    Type(String),
}

/// Longest part of a type name, bytes: what file systems take as a file name, with room for the
/// parts that a library's name adds.
const MAX_IDENTIFIER: usize = 128;

pub(crate) fn is_identifier(text: &str) -> bool {
    text.len() <= MAX_IDENTIFIER
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl TypeName {
    /// Reads `package/msg/Name`.
    ///
    /// # Errors
    /// [`NameError::Type`] for anything else.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let mut parts = text.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(package), Some("msg"), Some(name), None)
                if is_identifier(package) && is_identifier(name) =>
            {
                Ok(Self { package: package.to_owned(), name: name.to_owned() })
            }
            _ => Err(NameError::Type(text.chars().take(MAX_IDENTIFIER).collect())),
        }
    }

    /// The package.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The message's own name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/msg/{}", self.package, self.name)
    }
}

impl From<TypeName> for String {
    fn from(name: TypeName) -> Self {
        name.to_string()
    }
}

impl TryFrom<String> for TypeName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}
