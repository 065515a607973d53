//! Bringing in the accounts of a host that moves here, batch by batch.

use std::collections::BTreeMap;

use rules::{AccountId, Changes, PriceList, Timestamp};

use crate::cells::{Cells, Problem};
use crate::commit::{DueSeconds, Stamp};
use crate::details::DETAILS;
use crate::prices::insert as insert_list;
use crate::sql::{self, Row, Transaction, Work};
use crate::write::{self, Of};
use crate::{Result, Revision, Store, StoreError, accounts, closings, due};

/// An import, as far as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Import {
    /// Of the file's bytes.
    pub hash: String,
    pub file: String,
    pub author: String,
    /// The second as of which all its accounts are brought in.
    pub at: Timestamp,
    pub accounts: u64,
    /// Accounts of the file that are in the books.
    pub up_to: u64,
    pub finished_at: Option<Timestamp>,
    pub given_up: Option<GivenUp>,
}

impl Import {
    /// Whether accounts of it are still to come.
    pub const fn is_unfinished(&self) -> bool {
        self.finished_at.is_none() && self.given_up.is_none()
    }
}

/// That the rest of an import is not to come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GivenUp {
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

/// An account to bring in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArrivingAccount {
    pub changes: Changes,
    pub due: DueSeconds,
    /// Who the customer is, by column: email, person, company, address, tax_id, language, provider,
    /// provider_customer, payment_method.
    pub details: BTreeMap<&'static str, String>,
    /// Series, number and total of each invoice as it was printed.
    pub printed: Vec<(String, String, i64)>,
}

/// How a batch ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Brought {
    Written,
    /// Somebody else brought accounts in or gave it up, or price lists came or went meanwhile: look again.
    Moved,
    /// An account would be settled in a month that is closed, until this second.
    Closed(Timestamp),
}

macro_rules! select_imports {
    () => {
        "select hash, file, author, at, accounts, up_to, finished_at, given_up_at, given_up_by, given_up_reason
        from imports"
    };
}

const PRINTED_TAKEN: &str = "select b.series, b.printed
    from json_each($1) s join json_each($2) p on p.key = s.key
    join brought_in_invoices b on b.series = s.value and b.printed = p.value";

const PRINTED_TAKEN_UNNESTED: &str = "select b.series, b.printed
    from unnest($1::text[], $2::text[]) as asked (series, printed)
    join brought_in_invoices b on b.series = asked.series and b.printed = asked.printed";

impl Store {
    /// The import of a file with this hash, if it was begun.
    pub async fn import(&self, hash: &str) -> Result<Option<Import>> {
        let question = concat!(select_imports!(), " where hash = $1");
        let row = sql::query(question).bind(hash).fetch_optional(self.readers()).await?;
        row.as_ref().map(read_import).transpose()
    }

    /// All that were begun: a handful in the life of a host.
    pub async fn imports(&self) -> Result<Vec<Import>> {
        let question = concat!(select_imports!(), " order by at, hash");
        let rows = sql::query(question).fetch_all(self.readers()).await?;
        rows.iter().map(read_import).collect()
    }

    /// Has the rest of an import not come. What is in the books stays. False if it is finished, or was given up.
    pub async fn import_give_up(&self, hash: &str, given_up: &GivenUp) -> Result<bool> {
        let mut transaction = self.write().await?;
        let done = sql::query(
            "update imports set given_up_at = $2, given_up_by = $3, given_up_reason = $4
            where hash = $1 and finished_at is null and given_up_at is null",
        )
        .bind(hash)
        .bind(given_up.at.secs())
        .bind(&given_up.by)
        .bind(&given_up.reason)
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(done > 0)
    }

    /// Which of these series can't go on with these next numbers, with the one that comes next: a series goes on
    /// from any number until its first one is given, and never goes back.
    pub async fn series_that_count(&self, numbers: &BTreeMap<String, i64>) -> Result<Vec<(String, i64)>> {
        let mut reader = self.snapshot().await?;
        series_that_count(&mut reader, numbers).await
    }

    /// The first number that was given in a series here, if any was, and the one that comes next.
    pub async fn series_reach(&self, series: &str) -> Result<(Option<i64>, i64)> {
        let question = "select coalesce(
                (select min(public_number) from invoices where series = $1),
                (select min(public_number) from credit_notes where series = $1)
            ), coalesce((select next from number_series where series = $1), 1)";
        sql::query_as(question).bind(series).fetch_one(self.readers()).await
    }

    /// Begins an import that was checked with what holds at `revision`: with its private plans and the next numbers
    /// of its series. False if somebody else began it, or its series or price lists moved meanwhile.
    pub async fn import_begin(
        &self,
        import: &Import,
        plans: &PriceList,
        numbers: &BTreeMap<String, i64>,
        revision: Revision,
    ) -> Result<bool> {
        let mut transaction = self.write().await?;
        if crate::reference::current(&mut transaction).await? != revision {
            return Ok(false);
        }
        if !series_that_count(&mut transaction, numbers).await?.is_empty() {
            return Ok(false);
        }
        let begun = sql::query(
            "insert into imports (hash, file, author, at, accounts, up_to, finished_at)
            values ($1, $2, $3, $4, $5, 0, $6) on conflict (hash) do nothing",
        )
        .bind(&import.hash)
        .bind(&import.file)
        .bind(&import.author)
        .bind(import.at.secs())
        .bind(i64::try_from(import.accounts).unwrap_or(i64::MAX))
        .bind((import.accounts == 0).then_some(import.at.secs()))
        .execute(&mut transaction)
        .await?;
        if begun == 0 {
            return Ok(false);
        }
        if !plans.is_empty() {
            insert_list(&mut transaction, plans, Timestamp::BEGINNING, &import.author, import.at).await?;
        }
        let rows: Vec<(&String, &i64)> = numbers.iter().collect();
        let mut work = Work::new(&mut transaction, None);
        work.values(
            "insert into number_series (series, next) ",
            &rows,
            |cells, (series, next)| {
                cells.push_bind(*series).push_bind(**next);
            },
            " on conflict (series) do update set next = excluded.next",
        )
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Brings in the next accounts of an import that came to `from`, all of them or none.
    pub async fn import_batch(
        &self,
        import: &Import,
        from: u64,
        batch: &[ArrivingAccount],
        revision: Revision,
        now: Timestamp,
    ) -> Result<Brought> {
        let cut_after = self.take_cut();
        let mut transaction = self.write_beside().await?;
        if crate::reference::current(&mut transaction).await? != revision {
            return Ok(Brought::Moved);
        }
        let settled_to = batch.iter().map(|arriving| arriving.changes.account.settled_at).min();
        let open_from = closings::open_from(&mut transaction).await?;
        if let Some(open_from) = open_from.filter(|from| settled_to < Some(*from)) {
            return Ok(Brought::Closed(open_from));
        }
        let to = from + u64::try_from(batch.len()).unwrap_or_default();
        let moved = sql::query(
            "update imports set up_to = $3, finished_at = case when accounts = $3 then $4 end,
                begins_at = case when begins_at < $5 then begins_at else $5 end
            where hash = $1 and up_to = $2 and given_up_at is null",
        )
        .bind(&import.hash)
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .bind(i64::try_from(to).unwrap_or(i64::MAX))
        .bind(now.secs())
        .bind(settled_to.map(Timestamp::secs))
        .execute(&mut transaction)
        .await?;
        if moved == 0 {
            return Ok(Brought::Moved);
        }
        let mut work = Work::new(&mut transaction, cut_after);
        write_batch(&mut work, batch, open_from, Stamp { recorded_at: now, run: None, revision }).await?;
        transaction.commit().await?;
        Ok(Brought::Written)
    }

    /// Which of these names accounts and services have already.
    pub async fn names_taken(&self, accounts: &[String], services: &[String]) -> Result<(Vec<String>, Vec<String>)> {
        Ok((self.taken("accounts", accounts).await?, self.taken("services", services).await?))
    }

    /// Which of these series and printed numbers invoices that were brought in have already.
    pub async fn printed_taken(&self, printed: &[(String, String)]) -> Result<Vec<(String, String)>> {
        const AT_ONCE: usize = 512;
        let mut taken = Vec::new();
        for printed in printed.chunks(AT_ONCE) {
            let (series, numbers): (Vec<String>, Vec<String>) = printed.iter().cloned().unzip();
            let question = self.readers().dialect().pick(PRINTED_TAKEN, PRINTED_TAKEN_UNNESTED);
            let asked = sql::query_as(question).bind(series).bind(numbers);
            taken.extend(asked.fetch_all(self.readers()).await?);
        }
        Ok(taken)
    }

    async fn taken(&self, table: &'static str, names: &[String]) -> Result<Vec<String>> {
        const AT_ONCE: usize = 1_024;
        let mut taken = Vec::new();
        for names in names.chunks(AT_ONCE) {
            let question = format!("select name from {table} where name = any($1)");
            taken.extend(sql::query_scalar(question).bind(names.to_vec()).fetch_all(self.readers()).await?);
        }
        Ok(taken)
    }
}

fn read_import(row: &Row) -> Result<Import> {
    let read = |cells: &mut Cells<'_>| -> std::result::Result<Import, Problem> {
        Ok(Import {
            hash: cells.text()?,
            file: cells.text()?,
            author: cells.text()?,
            at: cells.time()?,
            accounts: cells.int()?.unsigned_abs(),
            up_to: cells.int()?.unsigned_abs(),
            finished_at: cells.maybe_time()?,
            given_up: match (cells.maybe_time()?, cells.maybe_text()?, cells.maybe_text()?) {
                (Some(at), Some(by), Some(reason)) => Some(GivenUp { at, by, reason }),
                _ => None,
            },
        })
    };
    read(&mut Cells::of(row)).map_err(|problem| StoreError::CorruptTable { table: "imports", problem })
}

async fn series_that_count(
    connection: &mut Transaction,
    numbers: &BTreeMap<String, i64>,
) -> Result<Vec<(String, i64)>> {
    const AT_ONCE: usize = 1_024;
    let mut counting = Vec::new();
    let series: Vec<&String> = numbers.keys().collect();
    for series in series.chunks(AT_ONCE) {
        let question = sql::query_as(
            "select series, next, exists (select 1 from invoices i where i.series = s.series)
                or exists (select 1 from credit_notes c where c.series = s.series)
            from number_series s where series = any($1)",
        );
        let series: Vec<String> = series.iter().map(|series| (*series).clone()).collect();
        let given: Vec<(String, i64, bool)> = question.bind(series).fetch_all(&mut *connection).await?;
        for (series, next, is_given) in given {
            let wanted = numbers.get(&series).copied().unwrap_or(next);
            if wanted < next || (is_given && wanted != next) {
                counting.push((series, next));
            }
        }
    }
    Ok(counting)
}

async fn write_batch(
    work: &mut Work<'_>,
    batch: &[ArrivingAccount],
    open_from: Option<Timestamp>,
    stamp: Stamp,
) -> Result<()> {
    let accounts: Vec<_> = batch.iter().map(|arriving| (&arriving.changes.account, &arriving.due)).collect();
    let ids = accounts::insert_all(work, &accounts, stamp.recorded_at).await?;
    let (mut services, mut invoices, mut transfers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut events, mut details, mut printed, mut dues) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (id, arriving) in ids.into_iter().zip(batch) {
        let ArrivingAccount { changes, due, .. } = arriving;
        let currency = changes.account.currency.code();
        let finished = |service: &rules::Service| service.is_finished(changes.account.invoiced_until);
        services.extend(changes.account.services.iter().map(|what| (Of { account: id, what }, finished(what))));
        invoices.extend(changes.invoices.iter().map(|what| (Of { account: id, what }, None)));
        transfers.extend(changes.transfers.iter().map(|what| (Of { account: id, what }, currency)));
        events.extend(changes.events.iter().map(|what| Of { account: id, what }));
        details.push((id, &arriving.details));
        printed.extend((0_i64..).zip(&arriving.printed).map(|(number, one)| (id, number, one)));
        dues.push((id, due));
    }
    write::services(work, &services).await?;
    write::invoices(work, &invoices, None, stamp).await?;
    write::transfers(work, &transfers, open_from, stamp).await?;
    write::events(work, &events, stamp).await?;
    write_details(work, &details).await?;
    write_printed(work, &printed).await?;
    due::write_new(work, &dues).await
}

async fn write_details(work: &mut Work<'_>, rows: &[(AccountId, &BTreeMap<&'static str, String>)]) -> Result<()> {
    let columns = format!("account_id, {}", DETAILS.join(", "));
    work.insert("account_details", &columns, rows, |cells, (id, details)| {
        cells.push_bind(id.0);
        for column in DETAILS {
            cells.push_bind(details.get(column).map(String::as_str));
        }
    })
    .await
}

async fn write_printed(work: &mut Work<'_>, rows: &[(AccountId, i64, &(String, String, i64))]) -> Result<()> {
    let columns = "account_id, number, series, printed, printed_total";
    work.insert("brought_in_invoices", columns, rows, |cells, (id, number, (series, printed, total))| {
        cells.push_bind(id.0).push_bind(*number).push_bind(series).push_bind(printed).push_bind(*total);
    })
    .await
}
