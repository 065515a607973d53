//! Books to try things on: accounts, services and decisions made by hand.

use std::collections::{BTreeMap, BTreeSet};

use rules::{
    Account, AccountId, Changes, Currency, Daily, DailyState, DueKind, Kind, Micros, Order, Past, Period, Progress,
    Sequences, Service, Standing, Timestamp, Transfer, TransferKind,
};
use store::{Commit, DueSeconds, Opening, Outcome, Revision, Scope, Stamp, Store};
use tempfile::TempDir;

pub const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
pub const STAMP: Stamp = Stamp { recorded_at: NOW, run: None, revision: Revision::FIRST };
pub const NOTHING_DUE: DueSeconds = [
    (DueKind::Daily, None),
    (DueKind::Term, None),
    (DueKind::Retention, None),
    (DueKind::Invoice, None),
    (DueKind::Collection, None),
    (DueKind::Trial, None),
];

pub struct Books {
    pub store: Store,
    url: String,
    /// Removes an SQLite file in the end.
    _directory: TempDir,
}

impl Books {
    pub async fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let url = match crate::ON_POSTGRES {
            true => crate::servers::new_database(),
            false => format!("sqlite:{}", directory.path().join("books.db").display()),
        };
        let store = Store::open(&url, Opening::serving(NOW).named("w1")).await.expect("open");
        Self { store, url, _directory: directory }
    }

    /// The same books in another database.
    pub async fn copy(&self) -> Self {
        let directory = TempDir::new().expect("a directory");
        let url = match crate::ON_POSTGRES {
            true => crate::servers::copy_database(&self.url),
            false => {
                let path = directory.path().join("copy.db");
                self.try_sql(&format!("vacuum into '{}'", path.display())).await.expect("copy");
                format!("sqlite:{}", path.display())
            }
        };
        let store = Store::open(&url, Opening::scratch(NOW)).await.expect("open");
        Self { store, url, _directory: directory }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// An account as opened.
    pub async fn open_account(&self, name: &str) -> Account {
        let id = self.store.account_insert(&account(name), &NOTHING_DUE, NOW).await.expect("insert");
        self.load(id).await
    }

    pub async fn load(&self, id: AccountId) -> Account {
        self.load_with(id, Scope::All).await
    }

    pub async fn load_with(&self, id: AccountId, scope: Scope<'_>) -> Account {
        let mut loaded = self.store.accounts_load(&[id], scope).await.expect("load");
        loaded.pop().expect("the account").expect("readable")
    }

    /// Commits one account's changes, which must be fresh.
    pub async fn commit(&self, changes: Changes) -> Account {
        let id = changes.id();
        let batch = [Commit { changes, due: NOTHING_DUE }];
        let outcomes = self.store.commit(&batch, STAMP, None).await.expect("commit");
        assert_eq!(outcomes, [Outcome::Written]);
        self.load(id).await
    }

    /// Commits what must be refused; the name of the constraint.
    pub async fn refused(&self, changes: Changes) -> String {
        let batch = [Commit { changes, due: NOTHING_DUE }];
        match self.store.commit(&batch, STAMP, None).await {
            Err(store::StoreError::Constraint { name }) => name,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Does to the books what the store would not, past their constraints and triggers.
    pub async fn tamper(&self, sql: &str) {
        match crate::ON_POSTGRES {
            true => postgres::tamper(&self.url, sql).await,
            false => sqlite::tamper(&self.url, sql).await,
        }
    }

    /// As any program with the database could, under the schema's own guard.
    pub async fn try_sql(&self, sql: &str) -> Result<(), String> {
        match crate::ON_POSTGRES {
            true => postgres::run(&mut postgres::connection(&self.url).await, sql).await,
            false => sqlite::run(&mut sqlite::connection(&self.url, true).await, sql).await,
        }
    }

    /// All rows of all tables, as text.
    pub async fn dump(&self) -> String {
        match crate::ON_POSTGRES {
            true => postgres::dump(&self.url).await,
            false => sqlite::dump(&self.url).await,
        }
    }
}

mod sqlite {
    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

    pub async fn tamper(url: &str, sql: &str) {
        let mut connection = connection(url, false).await;
        let triggers: Vec<(String, String)> =
            sqlx::query_as("select name, sql from sqlite_schema where type = 'trigger'")
                .fetch_all(&mut connection)
                .await
                .expect("triggers");
        run(&mut connection, "pragma ignore_check_constraints = on").await.expect("pragma");
        for (name, _) in &triggers {
            run(&mut connection, &format!("drop trigger {name}")).await.expect("drop");
        }
        run(&mut connection, sql).await.expect(sql);
        for (_, trigger) in &triggers {
            run(&mut connection, trigger).await.expect("restore");
        }
        connection.close().await.expect("close");
    }

    pub async fn dump(url: &str) -> String {
        let mut connection = connection(url, true).await;
        let tables: Vec<String> =
            sqlx::query_scalar("select name from sqlite_schema where type = 'table' order by name")
                .fetch_all(&mut connection)
                .await
                .expect("tables");
        let mut dump = String::new();
        for table in tables {
            let columns: Vec<String> = sqlx::query_scalar("select 'quote(' || name || ')' from pragma_table_info($1)")
                .bind(&table)
                .fetch_all(&mut connection)
                .await
                .expect("columns");
            let rows = AssertSqlSafe(format!("select {} from {table} order by 1", columns.join("||'|'||")));
            let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(&mut connection).await.expect("rows");
            dump.push_str(&format!("{table}\n{}\n", rows.join("\n")));
        }
        dump
    }

    pub async fn connection(url: &str, guarded: bool) -> SqliteConnection {
        let path = url.strip_prefix("sqlite:").expect("a file");
        let options = SqliteConnectOptions::new().filename(path).foreign_keys(guarded);
        options.connect().await.expect("a connection")
    }

    pub async fn run(connection: &mut SqliteConnection, sql: &str) -> Result<(), String> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
        done.map(|_| ()).map_err(|error| error.to_string())
    }
}

mod postgres {
    use sqlx::{AssertSqlSafe, Connection, PgConnection};

    const CHECKS: &str = "select format('alter table %s drop constraint %I', conrelid::regclass, conname)
        from pg_constraint where contype = 'c' and connamespace = 'public'::regnamespace
        union all
        select format('alter table %s alter column %I drop not null', attrelid::regclass, attname)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and attnotnull and attnum > 0
            and not exists (select 1 from pg_constraint p
                where p.conrelid = c.oid and p.contype = 'p' and attnum = any(p.conkey))";

    pub async fn tamper(url: &str, sql: &str) {
        let mut connection = connection(url).await;
        let checks: Vec<String> = sqlx::query_scalar(CHECKS).fetch_all(&mut connection).await.expect("checks");
        // Without its triggers, those of foreign keys among them.
        run(&mut connection, "set session_replication_role = replica").await.expect("set");
        run(&mut connection, &checks.join(";")).await.expect("dropped");
        run(&mut connection, sql).await.expect(sql);
        connection.close().await.expect("close");
    }

    pub async fn dump(url: &str) -> String {
        let mut connection = connection(url).await;
        let tables = "select tablename::text from pg_tables where schemaname = 'public' order by 1";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.expect("tables");
        let mut dump = String::new();
        for table in tables {
            let rows = AssertSqlSafe(format!("select t::text from {table} t order by 1"));
            let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(&mut connection).await.expect("rows");
            dump.push_str(&format!("{table}\n{}\n", rows.join("\n")));
        }
        dump
    }

    pub async fn connection(url: &str) -> PgConnection {
        PgConnection::connect(url).await.expect("a connection")
    }

    pub async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), String> {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
        done.map(|_| ()).map_err(|error| error.to_string())
    }
}

pub fn units(whole: i64) -> Micros {
    Micros::new(whole * 1_000_000)
}

pub fn account(name: &str) -> Account {
    Account {
        id: AccountId(0),
        name: name.to_owned(),
        currency: Currency::USD,
        opened_at: NOW,
        version: 0,
        settled_at: NOW,
        standing: Standing::Active,
        verified: true,
        card: None,
        resume_on_deposit: false,
        wallet: Micros::ZERO,
        brought_in: Micros::ZERO,
        trial: None,
        daily_paid_until: NOW,
        invoiced_until: NOW,
        next: Sequences::default(),
        waiting: None,
        services: Vec::new(),
        invoices: Vec::new(),
        intents: Vec::new(),
        receipts: Vec::new(),
        past: Past::default(),
    }
}

pub fn order(plan: &str) -> Order {
    Order { plan: plan.to_owned(), quantities: BTreeMap::new(), options: BTreeSet::new() }
}

pub fn changes(account: Account) -> Changes {
    Changes {
        account,
        transfers: Vec::new(),
        events: Vec::new(),
        lines: Vec::new(),
        services: Vec::new(),
        invoices: Vec::new(),
        credit_notes: Vec::new(),
        reissues: Vec::new(),
        new_intents: Vec::new(),
        used_intents: Vec::new(),
        used_receipts: Vec::new(),
        progress: Progress::Settled,
        outcome: None,
    }
}

/// A transfer of the account's next number, with its effect on the wallet.
pub fn book(changes: &mut Changes, kind: TransferKind, amount: Micros) {
    let account = &mut changes.account;
    let transfer = Transfer {
        number: account.next.transfer,
        effective_at: NOW,
        kind,
        amount,
        service: None,
        invoice: None,
        period: None,
        basis: None,
        author: None,
        reason: None,
        corrects: None,
    };
    account.next.transfer += 1;
    account.wallet = Micros::new(account.wallet.get() + kind.wallet_sign() * amount.get());
    if matches!(kind, TransferKind::Deposit | TransferKind::CardCredit) {
        account.brought_in = Micros::new(account.brought_in.get() + amount.get());
    }
    changes.transfers.push(transfer);
}

/// A new daily instance of the account.
pub fn add_daily(changes: &mut Changes, name: &str) -> i64 {
    let number = changes.account.next.service;
    changes.account.next.service += 1;
    changes.services.push(number);
    changes.account.services.push(Service {
        number,
        name: name.to_owned(),
        created_at: NOW,
        order: order("dms"),
        kind: Kind::Daily(Daily { state: DailyState::Enabled, paid: Period::new(NOW, NOW.next_midnight()) }),
    });
    number
}
