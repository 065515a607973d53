//! Imports that are cut short say what stands, and the same again goes on behind it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use jobs::{Clock, Office};
use providers::NoCards;
use rules::{Mode, Plan, Policy, Timestamp};
use store::{GivenUp, Opening, Store, Withdrawal};
use tempfile::TempDir;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_776_000_000);

/// Two batches and a half.
const ACCOUNTS: u64 = 250;

struct Desk {
    office: Office,
    file: PathBuf,
    _folder: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("books.db").display());
        let store = Store::open(&url, Opening::scratch(NOW)).await.expect("books");
        let clock = Clock::simulated(NOW);
        let office = Office::open(store, clock, Policy::default(), Arc::new(NoCards)).await.expect("an office");
        let account = |index| format!("{{\"kind\": \"account\", \"name\": \"a{index}\", \"opened_at\": \"{NOW}\"}}\n");
        let mut lines: String = (0..ACCOUNTS).map(account).collect();
        lines += &format!("{{\"kind\": \"totals\", \"accounts\": {ACCOUNTS}}}\n");
        let file = folder.path().join("move.jsonl");
        fs::write(&file, lines).expect("written");
        Self { office, file, _folder: folder }
    }

    /// As the command does; after each batch `told` hears how many accounts are there.
    async fn import(&self, told: impl Fn(u64)) -> anyhow::Result<u64> {
        let source = Source::of(&self.file)?;
        let Looked::Fine(checked) = look(&self.office, &source, None).await? else { panic!("the file is fine") };
        let there = checked.begun.as_ref().map_or(0, |import| import.up_to);
        bring_in(&self.office, &source, *checked, "test".to_owned(), told).await?;
        Ok(there)
    }
}

#[tokio::test]
async fn what_stands_is_told_and_the_same_command_goes_on() {
    let desk = Desk::new().await;
    let cut = desk
        .import(|up_to| {
            if up_to == 100 {
                desk.office.store.cut_after(2)
            }
        })
        .await
        .expect_err("cut off");
    let told = cut.to_string();
    assert!(told.starts_with("cut short: 100 of 250 accounts are in the books, each whole, and stay there."), "{told}");
    assert!(told.ends_with("The same command goes on with them, or says why not."), "{told}");
    assert_eq!(desk.import(|_| ()).await.expect("brought in"), 100);
    let source = Source::of(&desk.file).expect("the file");
    assert!(matches!(look(&desk.office, &source, None).await, Ok(Looked::Done(import)) if import.up_to == ACCOUNTS));
    assert!(desk.office.store.verify(None, &desk.office.policy()).await.expect("verified").is_empty());
}

#[tokio::test]
async fn of_two_who_bring_it_in_one_goes_on_and_the_other_is_told_to_try_again() {
    let desk = Desk::new().await;
    let cut = |up_to| {
        if up_to == 100 {
            desk.office.store.cut_after(2)
        }
    };
    desk.import(cut).await.expect_err("cut off");
    let source = Source::of(&desk.file).expect("the file");
    let Ok(Looked::Fine(checked)) = look(&desk.office, &source, None).await else { panic!("it is fine") };
    assert_eq!(desk.import(|_| ()).await.expect("brought in"), 100);
    let late = bring_in(&desk.office, &source, *checked, "test".to_owned(), |_| ()).await.expect_err("late");
    assert!(late.is::<Contended>(), "{late}");
}

#[tokio::test]
async fn a_file_that_is_changed_under_way_is_not_read_on() {
    let desk = Desk::new().await;
    let before = fs::read(&desk.file).expect("the file");
    let change = |up_to| {
        if up_to == 100 {
            fs::write(&desk.file, b"{}").expect("written");
        }
    };
    let cut = desk.import(change).await.expect_err("cut short").to_string();
    assert!(cut.contains("100 of 250 accounts") && cut.contains("was changed after it was checked"), "{cut}");
    fs::write(&desk.file, before).expect("put back");
    assert_eq!(desk.import(|_| ()).await.expect("brought in"), 100);
}

/// Given up, it goes on no more, not even where it is under way; what did not come comes by a file of its own.
#[tokio::test]
async fn one_that_is_given_up_stops_where_it_is() {
    let desk = Desk::new().await;
    let store = &desk.office.store;
    desk.import(|up_to| {
        if up_to == 100 {
            store.cut_after(2)
        }
    })
    .await
    .expect_err("cut off");
    let source = Source::of(&desk.file).expect("the file");
    let Ok(Looked::Fine(checked)) = look(&desk.office, &source, None).await else { panic!("it can go on") };
    let given_up = GivenUp { at: NOW, by: "ann".to_owned(), reason: "a slip".to_owned() };
    assert!(store.import_give_up(&source.hash, &given_up).await.expect("asked"));
    let stopped = bring_in(&desk.office, &source, *checked, "test".to_owned(), |_| ()).await.expect_err("given up");
    let told = stopped.to_string();
    assert!(told.contains("100 of 250 accounts") && told.contains("given up meanwhile by ann: a slip"), "{told}");
    let line = match look(&desk.office, &source, None).await.expect("looked") {
        Looked::GivenUp { import, line, .. } if import.up_to == 100 => line,
        _ => panic!("it is given up"),
    };
    let lines = fs::read_to_string(&desk.file).expect("the file");
    let rest: Vec<&str> = lines.lines().skip(line - 1).collect();
    assert_eq!(rest.len(), 151);
    fs::write(&desk.file, rest.join("\n").replace("\"accounts\": 250", "\"accounts\": 150")).expect("written");
    desk.import(|_| ()).await.expect("brought in");
    assert!(store.verify(None, &desk.office.policy()).await.expect("verified").is_empty());
}

/// What is due by now of who comes in, and the jobs that look for it at their slots alone.
#[tokio::test]
async fn what_waits_for_a_slot_is_told() {
    let desk = Desk::new().await;
    publish(&desk.office.store, "daily", Mode::Daily).await;
    publish(&desk.office.store, "hourly", Mode::Hourly).await;
    publish(&desk.office.store, "term", Mode::Term).await;
    let as_of = NOW.month_start().plus_secs(-rules::HOUR);
    let opened = as_of.plus_secs(-10 * rules::DAY);
    let account = |name: &str, plan: &str, paid_until: Timestamp| {
        format!(
            r#"{{"kind": "account", "name": "{name}", "opened_at": "{opened}"}}
            {{"kind": "service", "account": "{name}", "name": "{name}-1", "plan": "{plan}", "created_at": "{opened}", "paid_until": "{paid_until}"}}
            "#
        )
    };
    let slots = async |accounts: &[String]| {
        let (file, count) = (desk.file.with_file_name("due.jsonl"), accounts.len());
        let totals = format!(r#"{{"kind": "totals", "accounts": {count}, "services": {count}}}"#);
        fs::write(&file, accounts.concat() + &totals).expect("written");
        match look(&desk.office, &Source::of(&file).expect("the file"), Some(as_of)).await.expect("looked") {
            Looked::Fine(checked) => (checked.at_once.behind, checked.at_once.slots.into_iter().collect::<Vec<_>>()),
            Looked::Wrong(problems) => panic!("{problems}"),
            Looked::Done(_) | Looked::GivenUp { .. } => panic!("it ended"),
        }
    };
    let daily = account("ann", "daily", as_of.next_midnight());
    let hourly = account("bob", "hourly", as_of);
    // Its renewal is looked for each minute, one that comes later not at all.
    let term = account("cid", "term", opened.plus_months(1));
    assert_eq!(slots(std::slice::from_ref(&term)).await, (0, vec![]));
    assert_eq!(slots(&[daily, hourly, term]).await, (2, vec!["bill_instances", "issue_invoices"]));
}

/// A plan that is for sale from the beginning.
async fn publish(store: &Store, name: &str, mode: Mode) -> i64 {
    let (price, components, options) = (rules::Micros::new(30_000_000), Default::default(), Default::default());
    let plan = Plan { mode, price, currency: None, term_months: 1, components, options, private: false };
    let list = [(name.to_owned(), plan)].into();
    store.price_list_insert(&list, Timestamp::BEGINNING, "test", NOW).await.expect("a list");
    store.price_lists().await.expect("lists").last().expect("one").id
}

/// What was checked with a list is not brought in without it.
#[tokio::test]
async fn a_list_is_not_withdrawn_from_under_an_import() {
    let desk = Desk::new().await;
    let store = &desk.office.store;
    let first = publish(store, "first", Mode::Daily).await;
    let file = desk.file.with_file_name("first.jsonl");
    let lines = format!(
        r#"{{"kind": "account", "name": "ann", "opened_at": "{NOW}"}}
        {{"kind": "service", "account": "ann", "name": "one", "plan": "first", "created_at": "{NOW}", "paid_until": "{}"}}
        {{"kind": "totals", "accounts": 1, "services": 1}}"#,
        NOW.next_midnight()
    );
    fs::write(&file, lines).expect("written");
    let source = Source::of(&file).expect("the file");
    let checked = match look(&desk.office, &source, None).await.expect("looked") {
        Looked::Fine(checked) => checked,
        Looked::Wrong(problems) => panic!("{problems}"),
        Looked::Done(_) | Looked::GivenUp { .. } => panic!("it ended"),
    };
    let withdrawn = store.price_list_withdraw(first, "test", "a slip", NOW).await.expect("asked");
    assert_eq!(withdrawn, Withdrawal::Done);
    let refused = bring_in(&desk.office, &source, *checked, "test".to_owned(), |_| ()).await.expect_err("it moved");
    assert!(refused.is::<Contended>(), "{refused}");

    let second = publish(store, "second", Mode::Daily).await;
    desk.import(|up_to| {
        if up_to == 100 {
            store.cut_after(2)
        }
    })
    .await
    .expect_err("cut off");
    let refused = store.price_list_withdraw(second, "test", "a slip", NOW).await.expect("asked");
    assert!(matches!(&refused, Withdrawal::Importing(file) if file.ends_with("move.jsonl")), "{refused:?}");
    desk.import(|_| ()).await.expect("brought in");
    let withdrawn = store.price_list_withdraw(second, "test", "a slip", NOW).await.expect("asked");
    assert_eq!(withdrawn, Withdrawal::Done);
}
