use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who changes something: a function of Modloop, an operator, later a console's user or an API token.
///
/// Written as `KIND:NAME`, such as `function:retrain` or `local:alice`. An IAM identity is written as its ARN.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Actor(String);

/// Why a text does not name an [`Actor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not name an actor: expected KIND:NAME of 3 to 200 characters without white space, such as local:alice"
)]
pub struct ActorError(String);

const MAX_LENGTH: usize = 200;

impl Actor {
    /// One of Modloop's own functions.
    pub fn function(name: &'static str) -> Self {
        Self(format!("function:{name}"))
    }

    /// The user of this machine, where nothing checks who that is. Characters that a user's name should not
    /// have become `_`.
    pub fn local(user: &str) -> Self {
        let clean = |c: char| if c.is_alphanumeric() || "._-@".contains(c) { c } else { '_' };
        let user: String = user.chars().take(60).map(clean).collect();
        Self(format!("local:{}", if user.is_empty() { "unknown" } else { &user }))
    }

    /// As stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Actor {
    type Err = ActorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = text.split_once(':').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
        let fits = shape
            && text.chars().count() <= MAX_LENGTH
            && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if fits { Ok(Self(text.to_owned())) } else { Err(ActorError(text.chars().take(40).collect())) }
    }
}

impl TryFrom<String> for Actor {
    type Error = ActorError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn actors_have_a_kind_and_a_name() {
        for good in ["local:alice", "function:retrain", "arn:aws:iam::123456789012:user/alice"] {
            assert!(good.parse::<Actor>().is_ok(), "{good}");
        }
        for bad in ["", "alice", ":x", "x:", "local:a b", "local:a\n"] {
            assert!(bad.parse::<Actor>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_user_name_makes_an_actor(user in ".{0,80}") {
            let actor = Actor::local(&user);
            prop_assert_eq!(actor.as_str().parse(), Ok(actor.clone()));
        }
    }
}
