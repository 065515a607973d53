//! Who may do what. Every operation says its access, and what no scope is named for here is refused.

use axum::http::StatusCode;
use rules::AccountId;
use store::{ApiKey, KeyScope};

use crate::http::problem::Problem;

/// What an operation needs of the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Customers look at what is theirs.
    Looks,
    /// Customers act on what is theirs.
    Acts,
    /// A panel opens accounts and makes keys for them.
    Serves,
    /// The control plane and panels report what machines did.
    Reports,
    /// Whoever looks for one of all accounts.
    Surveys,
    /// Whoever looks over the whole host.
    Oversees,
    /// Jobs and runs are looked at.
    Watches,
    /// Jobs and runs are moved.
    Operates,
    /// Money, prices and keys.
    Administers,
}

impl Access {
    pub const fn allows(self, scope: KeyScope) -> bool {
        use KeyScope::{Account, Admin, Operator, Panel, Read};
        matches!(
            (self, scope),
            (_, Admin)
                | (Self::Looks, Account | Panel | Read)
                | (Self::Acts, Account | Panel)
                | (Self::Serves | Self::Reports, Panel)
                | (Self::Surveys, Panel | Read)
                | (Self::Oversees, Read)
                | (Self::Watches, Operator | Read)
                | (Self::Operates, Operator)
        )
    }

    /// The scopes that are allowed, for the documents.
    pub fn scopes(self) -> Vec<&'static str> {
        KeyScope::ALL.into_iter().filter(|scope| self.allows(*scope)).map(KeyScope::name).collect()
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    pub key: ApiKey,
}

impl Caller {
    /// As audit and ledger name it.
    pub fn actor(&self) -> String {
        let whose = if self.is_customer() { "customer" } else { "key" };
        format!("{whose}:{}/{}", self.key.name, self.key.prefix)
    }

    /// Whether it sees what customers see, and no more.
    pub fn is_customer(&self) -> bool {
        self.key.scope == KeyScope::Account
    }

    /// Whether an account is the caller's to look at. What is another's looks as if it were not there.
    pub fn is_for(&self, account: AccountId) -> bool {
        self.key.account.is_none_or(|own| own == account)
    }

    pub fn refuse(&self, access: Access) -> Result<(), Problem> {
        match access.allows(self.key.scope) {
            true => Ok(()),
            false => {
                let (scope, scopes) = (self.key.scope.name(), access.scopes().join(", "));
                let detail = format!("a key with the scope {scope} may not do this; one of these may: {scopes}");
                Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
            }
        }
    }
}
