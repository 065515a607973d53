//! Checking the books against themselves: what constraints cannot say, and once more what they do say.
//!
//! All of it is seen in one snapshot, beside a daemon that goes on writing. Accounts are checked by pages,
//! each question as one statement over the page.

mod accounts;
mod ages;
mod audit;
mod file;
mod invariants;
mod pages;
mod prices;
mod questions;
mod recompute;
mod revenue;
mod series;

use std::fmt;

pub use invariants::INVARIANTS;
use rules::{Account, AccountId, Context, Policy};

use crate::sql::{self, Transaction};
use crate::{Result, Scope, Store, load};
use prices::Prices;

/// Accounts that one statement looks at: their rows of years are sorted at once.
const PAGE: i64 = 256;

/// Something that should never be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub invariant: &'static str,
    /// None where it concerns the file as a whole.
    pub account: Option<AccountId>,
    /// The account's, if it can be read.
    pub name: Option<String>,
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.invariant)?;
        match (&self.name, self.account) {
            (Some(name), _) => write!(f, "account `{name}`: ")?,
            (None, Some(account)) => write!(f, "account {}: ", account.0)?,
            (None, None) => {}
        }
        f.write_str(&self.detail)
    }
}

impl Violation {
    const fn of(account: Option<AccountId>, invariant: &'static str, detail: String) -> Self {
        Self { invariant, account, name: None, detail }
    }
}

impl Store {
    /// Whatever is wrong with one account's books, or with all books and the file. The jobs find what is due when
    /// `policy` says.
    pub async fn verify(&self, of: Option<AccountId>, policy: &Policy) -> Result<Vec<Violation>> {
        // Before the snapshot, which may hold the only connection that reads.
        let (prices, outages) = (Prices::of(self.price_lists().await?)?, self.outages().await?);
        let cx = Context { prices: prices.book(), policy, outages: &outages };
        let mut snapshot = self.snapshot().await?;
        let mut found = Vec::new();
        let (mut after, last) = match of {
            Some(account) => (account.0 - 1, account.0),
            None => {
                file::check(&mut snapshot, &mut found).await?;
                series::check(&mut snapshot, &mut found).await?;
                audit::check(&mut snapshot, &mut found).await?;
                ages::check_runs(&mut snapshot, &mut found).await?;
                revenue::check(&mut snapshot, &mut found).await?;
                (i64::MIN, i64::MAX)
            }
        };
        loop {
            let ids: Vec<i64> =
                sql::query_scalar("select id from accounts where id > $1 and id <= $2 order by id limit $3")
                    .bind(after)
                    .bind(last)
                    .bind(PAGE)
                    .fetch_all(&mut snapshot)
                    .await?;
            let (Some(first), Some(end)) = (ids.first(), ids.last()) else { break };
            let range = (*first, *end);
            questions::check(&mut snapshot, range, &mut found).await?;
            ages::check(&mut snapshot, range, &mut found).await?;
            recompute::check(&mut snapshot, range, &prices, &mut found).await?;
            let loaded = loaded(&mut snapshot, &ids, &mut found).await?;
            accounts::check(&mut snapshot, range, &loaded, &mut found).await?;
            accounts::check_orders(&loaded, prices.book(), &mut found);
            accounts::check_due(&mut snapshot, range, &loaded, &cx, &mut found).await?;
            after = *end;
        }
        for violation in &mut found {
            let Some(account) = violation.account else { continue };
            let name = sql::query_scalar("select name from accounts where id = $1").bind(account.0);
            // A name that cannot be read is among what was found.
            violation.name = name.fetch_optional(&mut snapshot).await.ok().flatten();
        }
        Ok(found)
    }
}

/// The accounts that can be read.
async fn loaded(connection: &mut Transaction, ids: &[i64], found: &mut Vec<Violation>) -> Result<Vec<Account>> {
    let ids: Vec<AccountId> = ids.iter().copied().map(AccountId).collect();
    let mut loaded = Vec::with_capacity(ids.len());
    for account in load::accounts(connection, &ids, Scope::All).await? {
        match account {
            Ok(account) => loaded.push(account),
            Err(corrupt) => found.push(Violation::of(Some(corrupt.id), "account_is_readable", corrupt.problem)),
        }
    }
    Ok(loaded)
}
