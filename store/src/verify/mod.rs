//! Checking the books against themselves: what constraints cannot say, and once more what they do say.
//!
//! All of it is seen in one snapshot, beside a daemon that goes on writing. Accounts are checked by pages,
//! each question as one statement over the page.

mod accounts;
mod file;
mod questions;
mod recompute;
mod series;

use std::fmt;

use rules::{Account, AccountId, Context, Policy};

use crate::cells::Cells;
use crate::{Result, Scope, Store, StoreError, load};

/// Accounts that one statement looks at.
const PAGE: i64 = 2_000;

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
    /// Whatever is wrong with one account's books, or with all books and the file.
    pub async fn verify(&self, of: Option<AccountId>) -> Result<Vec<Violation>> {
        self.verify_as(of, None).await
    }

    /// The same, and that the jobs find what is due when `policy` says.
    pub async fn verify_with(&self, of: Option<AccountId>, policy: &Policy) -> Result<Vec<Violation>> {
        // Before the snapshot, which may hold the only connection that reads.
        let (prices, outages) = (self.price_book().await?, self.outages().await?);
        self.verify_as(of, Some(&Context { prices: &prices, policy, outages: &outages })).await
    }

    async fn verify_as(&self, of: Option<AccountId>, cx: Option<&Context<'_>>) -> Result<Vec<Violation>> {
        let mut snapshot = self.snapshot().await?;
        let mut found = Vec::new();
        let (mut after, last) = match of {
            Some(account) => (account.0 - 1, account.0),
            None => {
                file::check(&mut snapshot, &mut found).await?;
                series::check(&mut snapshot, &mut found).await?;
                (i64::MIN, i64::MAX)
            }
        };
        loop {
            let ids: Vec<i64> =
                sqlx::query_scalar("select id from accounts where id > $1 and id <= $2 order by id limit $3")
                    .bind(after)
                    .bind(last)
                    .bind(PAGE)
                    .fetch_all(&mut *snapshot)
                    .await?;
            let (Some(first), Some(end)) = (ids.first(), ids.last()) else { break };
            for (invariant, question) in questions::ALL {
                let rows = sqlx::query(*question).bind(first).bind(end).fetch_all(&mut *snapshot).await?;
                for row in &rows {
                    let mut cells = Cells::of(row);
                    let unreadable = |problem| StoreError::CorruptTable { table: "an answer of verify", problem };
                    let account = Some(AccountId(cells.int().map_err(unreadable)?));
                    let detail = cells.text().map_err(unreadable)?;
                    found.push(Violation::of(account, invariant, detail));
                }
            }
            recompute::check(&mut snapshot, (*first, *end), &mut found).await?;
            let accounts: Vec<AccountId> = ids.iter().copied().map(AccountId).collect();
            let mut loaded: Vec<Account> = Vec::with_capacity(accounts.len());
            for account in load::accounts(&mut snapshot, &accounts, Scope::All).await? {
                match account {
                    Ok(account) => loaded.push(account),
                    Err(corrupt) => {
                        found.push(Violation::of(Some(corrupt.id), "account_is_readable", corrupt.problem));
                    }
                }
            }
            accounts::check(&mut snapshot, (*first, *end), &loaded, &mut found).await?;
            if let Some(cx) = cx {
                accounts::check_due(&mut snapshot, (*first, *end), &loaded, cx, &mut found).await?;
            }
            after = *end;
        }
        for violation in &mut found {
            let Some(account) = violation.account else { continue };
            let name = sqlx::query_scalar("select name from accounts where id = $1").bind(account.0);
            // A name that cannot be read is among what was found.
            violation.name = name.fetch_optional(&mut *snapshot).await.ok().flatten();
        }
        Ok(found)
    }
}
