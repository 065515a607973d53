//! Asks cards for what is open, goes up the dunning ladder, suspends who does not pay (rules 6.8, 6.9, 11.7).
//!
//! Wakes   each five minutes, and on a nudge after a commit that wants a card asked.
//! Due     accounts with a card try, a retry or an overdue second that came, with a charge unanswered, or with
//!         money that came and is not in the books.
//! Work    settles each of them, asks the cards that this needs, and settles on with the answers.
//! Twice   a charge is asked under the key it was committed with; its first answer stands.

use rules::{AccountId, DueKind, Timestamp};
use store::ShardProgress;

use crate::error::JobError;
use crate::job::{Job, Wakes};
use crate::office::Office;
use crate::tally::Tally;

pub struct CollectPayments;

impl Job for CollectPayments {
    const NAME: &'static str = "collect_payments";
    const CRON: &'static str = "0 */5 * * * *";
    const WAKES: Wakes = Wakes::Sweep;
    const DUE_KIND: Option<DueKind> = Some(DueKind::Collection);

    async fn due(
        office: &Office,
        now: Timestamp,
        after: AccountId,
        last: AccountId,
        limit: u32,
    ) -> Result<Vec<AccountId>, JobError> {
        let mut due = office.store.accounts_due(DueKind::Collection, now, after, last, limit).await?;
        due.extend(office.store.accounts_with_receipts_due(now, after, last, limit).await?);
        due.sort_unstable();
        due.dedup();
        due.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(due)
    }

    async fn due_count(office: &Office, now: Timestamp) -> Result<u64, JobError> {
        let received = office.store.accounts_with_receipts_due_count(now).await?;
        Ok(received + office.store.accounts_due_count(DueKind::Collection, now).await?)
    }

    async fn work(
        office: &Office,
        accounts: &[AccountId],
        now: Timestamp,
        progress: Option<&mut ShardProgress>,
    ) -> Result<Tally, JobError> {
        collect(office, accounts, (now, now), progress).await
    }
}

/// Settles accounts up to `until`, and asks their cards at `now` for what that needs.
pub async fn collect(
    office: &Office,
    accounts: &[AccountId],
    (until, now): (Timestamp, Timestamp),
    mut progress: Option<&mut ShardProgress>,
) -> Result<Tally, JobError> {
    let mut tally = office.settle(accounts, until, progress.as_deref_mut()).await?;
    let mut awaiting = std::mem::take(&mut tally.awaiting);
    while !awaiting.is_empty() {
        let answered = office.ask_cards(&awaiting, now).await?;
        let mut settled = office.settle(&answered, until, progress.as_deref_mut()).await?;
        awaiting = std::mem::take(&mut settled.awaiting);
        // The accounts were counted when they were settled first.
        let again = std::mem::take(&mut settled.done);
        if let Some(progress) = &mut progress {
            progress.done = progress.done.saturating_sub(again);
        }
        tally.merge(settled);
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use providers::{CardCharge, CardScript, Cards, NoCards};
    use rules::{Answer, Currency, Policy};
    use store::{Answered, NewFence, StoreError};

    use super::*;
    use crate::issue_invoices::IssueInvoices;
    use crate::testing::{Bench, at, counts, named, units};
    use crate::{Scheduler, open_sweep, work_run};

    const NAME: &str = CollectPayments::NAME;
    const ISSUED: &str = "2026-04-01T00:00:00Z";

    /// 20.00 is open of an account's first invoice, and no card was asked yet.
    async fn invoiced() -> (Bench, AccountId) {
        let bench = Bench::at("2026-03-01T00:00:00Z").await;
        let ann = bench.customer("ann", "monthly", 0).await;
        bench.advance(ISSUED);
        bench.run(IssueInvoices::NAME).await;
        (bench, ann)
    }

    #[tokio::test]
    async fn none_due() {
        let bench = Bench::at("2026-03-01T00:00:00Z").await;
        bench.customer("ann", "monthly", 20).await;
        bench.advance("2026-03-31T23:59:59Z");
        assert_eq!((bench.due(NAME).await, bench.run(NAME).await), (vec![], None));
        // Paid from the wallet at issue: there is nothing to collect.
        bench.advance(ISSUED);
        bench.run(IssueInvoices::NAME).await;
        assert_eq!((bench.due(NAME).await, bench.run(NAME).await), (vec![], None));
        assert_eq!(bench.cards.keys(), [""; 0]);
    }

    #[tokio::test]
    async fn some_due() {
        let (bench, ann) = invoiced().await;
        assert_eq!(bench.due(NAME).await, [ann]);
        let tally = bench.run(NAME).await.expect("a run");
        assert_eq!((tally.done, counts(&tally)), (1, vec![("invoice.paid", 1), ("invoice_paid_by_card", 1)]));
        assert_eq!((bench.cards.keys(), bench.cards.taken()), (vec![format!("{}/invoice/0/1", ann.0)], units(20)));
        assert_eq!(bench.run(NAME).await, None);
        bench.verified().await;
    }

    #[tokio::test]
    async fn run_twice_changes_nothing() {
        let (bench, _) = invoiced().await;
        let poor = bench.customer("poor", "monthly", 0).await;
        bench.cards.script("poor", CardScript::Fails);
        bench.advance("2026-05-01T00:00:00Z");
        bench.run(NAME).await;
        bench.run(IssueInvoices::NAME).await;
        bench.run(NAME).await;
        assert_eq!(bench.due(NAME).await, []);
        let (before, asked) = (bench.books().await, bench.cards.keys());
        bench.run_again(NAME).await;
        assert_eq!(bench.books().await, before);
        assert_eq!(bench.cards.keys(), asked);
        assert!(asked.contains(&format!("{}/invoice/0/1", poor.0)));
    }

    /// Failures, retries and the suspension each at its second, however seldom anybody looks.
    #[tokio::test]
    async fn who_does_not_pay_is_suspended() {
        let mut outcomes = Vec::new();
        for looks in [&["2026-04-01T00:05:00Z", "2026-04-02T00:00:00Z", "2026-04-06T07:00:00Z"][..], &[]] {
            let (bench, ann) = invoiced().await;
            bench.cards.script("ann", CardScript::Fails);
            for look in looks {
                bench.advance(look);
                bench.run(NAME).await;
            }
            bench.advance("2026-04-08T00:00:00Z");
            bench.run(NAME).await;
            let keys: Vec<String> = (1..=4).map(|attempt| format!("{}/invoice/0/{attempt}", ann.0)).collect();
            assert_eq!((bench.cards.keys(), bench.cards.taken()), (keys, units(0)));
            let events = bench.books().await.events;
            let failed: Vec<Timestamp> =
                events.iter().filter(|event| event.kind == "payment.failed").map(|event| event.at).collect();
            assert_eq!(failed, [1, 2, 4, 6].map(|day| at("2026-03-31T00:00:00Z").plus_days(day)));
            assert!(events.iter().any(|event| event.kind == "account.suspended" && event.at == bench.now()));
            outcomes.push(bench.books().await);
        }
        assert_eq!(outcomes[0], outcomes[1]);
    }

    /// The intent is in the books, and whoever committed it died, before the call or after it.
    #[tokio::test]
    async fn a_crash_between_intent_and_answer_charges_once() {
        for called in [false, true] {
            let (bench, ann) = invoiced().await;
            let open = bench.office.store.intents_open(10).await.expect("intents");
            let [intent] = open.as_slice() else { panic!("{open:?}") };
            if called {
                let charge = CardCharge {
                    key: intent.intent.key.clone(),
                    card: intent.intent.card.clone(),
                    amount: intent.intent.amount,
                    currency: Currency::USD,
                };
                assert_eq!(bench.cards.charge(&charge).await, Ok(Answer::Succeeded));
                // Would it be another charge, it would fail now.
                bench.cards.script("ann", CardScript::Fails);
            }
            bench.advance("2026-04-01T06:00:00Z");
            let other = bench.another_office().await;
            let run = open_sweep(&other, named(NAME), bench.now()).await.expect("opened").expect("a run");
            work_run(&other, named(NAME), &run, "other").await.expect("worked off");
            let keys = bench.cards.keys();
            assert!(keys.iter().all(|key| *key == intent.intent.key) && keys.len() == 1 + usize::from(called));
            assert_eq!(bench.cards.taken(), units(20));
            let invoices = bench.office.store.invoices(Some(ann)).await.expect("invoices");
            assert_eq!(invoices[0].paid_at, Some(at(ISSUED)));
            bench.verified().await;
        }
    }

    #[tokio::test]
    async fn a_provider_that_is_silent_for_two_minutes_holds_up_nothing() {
        let (bench, ann) = invoiced().await;
        bench.cards.fall_silent(true);
        for (now, awaits) in
            [("2026-04-01T00:00:30Z", true), ("2026-04-01T00:01:59Z", true), ("2026-04-01T00:02:00Z", false)]
        {
            bench.advance(now);
            bench.run(NAME).await;
            assert_eq!(bench.due(NAME).await == [ann], awaits, "{now}");
        }
        let key = format!("{}/invoice/0/1", ann.0);
        assert_eq!(bench.cards.keys(), [key.as_str(); 3]);
        // The books go on, with neither a failure nor a new try.
        bench.cards.fall_silent(false);
        bench.advance("2026-04-08T00:00:00Z");
        bench.run(NAME).await;
        let books = bench.books().await;
        assert!(books.events.iter().all(|event| event.kind != "payment.failed"));
        assert!(books.events.iter().any(|event| event.kind == "account.suspended"));
        assert_eq!(bench.cards.keys().len(), 3);
        // What it says at last is money that comes, once.
        for (answer, answered) in [
            (Answer::Pending, Answered::Known),
            (Answer::Succeeded, Answered::Late),
            (Answer::Succeeded, Answered::Known),
        ] {
            let told = bench.office.store.intent_answer(ann, &key, answer, bench.now()).await;
            assert_eq!(told.expect("stored"), answered);
        }
        bench.advance("2026-04-08T00:05:00Z");
        let tally = bench.run(NAME).await.expect("a run");
        let paid = [
            ("account.restored", 1),
            ("card_credit", 1),
            ("invoice.paid", 1),
            ("invoice_paid_by_wallet", 1),
            ("service.resumed", 1),
        ];
        assert_eq!(counts(&tally), paid);
        let paid_at = bench.books().await.invoices[0].paid_at;
        assert_eq!(paid_at, Some(at("2026-04-08T00:00:00Z")), "the second of its proof");
        bench.verified().await;
    }

    /// Settled to a second that is long gone, a card is still asked now: its answer has its two minutes from here.
    #[tokio::test]
    async fn a_card_is_asked_by_the_clock_however_far_back_the_books_are() {
        let bench = Bench::at("2026-03-01T00:00:00Z").await;
        let ann = bench.customer("ann", "monthly", 0).await;
        bench.cards.fall_silent(true);
        bench.advance("2026-04-09T00:00:00Z");
        let until = at(ISSUED);
        let settle =
            async || bench.office.settle_and_collect_until(&[ann], until, bench.now()).await.expect("no fault");
        settle().await;
        let open = bench.office.store.intents_open(10).await.expect("intents");
        let [waiting] = open.as_slice() else { panic!("{open:?}") };
        assert_eq!((waiting.intent.due_at, waiting.recorded_at), (until, at("2026-04-09T00:00:00Z")));
        bench.advance("2026-04-09T00:01:59Z");
        settle().await;
        assert_eq!(bench.office.store.intents_open(10).await.expect("intents").len(), 1);
        bench.advance("2026-04-09T00:02:00Z");
        settle().await;
        assert_eq!(bench.office.store.intents_open(10).await.expect("intents"), []);
        assert_eq!(bench.books().await.accounts[0].name, "ann");
        bench.verified().await;
    }

    #[tokio::test]
    async fn without_a_provider_nothing_is_known_of_a_charge() {
        let (bench, ann) = invoiced().await;
        let office = &bench.office;
        let none = Office::open(office.store.clone(), office.clock.clone(), Policy::default(), Arc::new(NoCards)).await;
        let none = none.expect("an office");
        let tally = none.settle_and_collect(&[ann], bench.now()).await.expect("no fault");
        assert_eq!((tally.done, tally.awaiting), (1, vec![]));
        assert_eq!(bench.office.store.intents_open(10).await.expect("intents").len(), 1);
        // Whoever has one goes on.
        bench.run(NAME).await;
        assert_eq!(bench.cards.taken(), units(20));
    }

    /// A copy has the same charges without an answer: the original asks for them, or has asked.
    #[tokio::test]
    async fn a_copy_asks_no_card_until_its_fence_is_down() {
        let (bench, ann) = invoiced().await;
        let (store, now) = (&bench.office.store, bench.now());
        let fence = NewFence { taken_at: None, at: now, by: "test", reason: "a copy" };
        assert!(store.fence_raise(fence).await.expect("raised"));
        assert!(!store.fence_raise(fence).await.expect("it stands"));
        for refused in [
            bench.office.ask_cards(&[ann], now).await.err(),
            bench.office.settle_and_collect(&[ann], now).await.err(),
            bench.office.authorise("ann").await.err(),
        ] {
            assert!(matches!(refused, Some(JobError::Store(StoreError::Fenced { .. }))), "{refused:?}");
        }
        assert_eq!(bench.cards.keys(), [""; 0]);
        assert!(store.fence_lift(now, "test", "the original is gone").await.expect("lifted"));
        bench.run(NAME).await;
        assert_eq!((bench.cards.keys(), bench.cards.taken()), (vec![format!("{}/invoice/0/1", ann.0)], units(20)));
        bench.verified().await;
    }

    #[tokio::test]
    async fn a_nudge_collects_at_once() {
        let (bench, _) = invoiced().await;
        let mut scheduler = Scheduler::new("test", bench.now());
        scheduler.tick(&bench.office, bench.now()).await;
        bench.give_up_runs().await;
        bench.advance("2026-04-01T00:00:07Z");
        assert_eq!(scheduler.tick(&bench.office, bench.now()).await.opened, []);
        scheduler.nudge();
        let opened = scheduler.tick(&bench.office, bench.now()).await.opened;
        let [run] = opened.as_slice() else { panic!("{opened:?}") };
        assert_eq!(run.job, NAME);
        work_run(&bench.office, named(NAME), run, "test").await.expect("worked off");
        assert_eq!(bench.cards.taken(), units(20));
    }

    #[tokio::test]
    async fn money_that_came_is_taken_in() {
        let (bench, ann) = invoiced().await;
        bench.cards.script("ann", CardScript::Fails);
        bench.advance("2026-04-02T12:00:00Z");
        bench.run(NAME).await;
        bench.receive(ann, "p1", 15).await;
        bench.receive(ann, "p1", 15).await;
        bench.advance("2026-04-02T12:05:00Z");
        assert_eq!(bench.due(NAME).await, [ann]);
        let tally = bench.run(NAME).await.expect("a run");
        assert_eq!(counts(&tally), [("deposit", 1), ("invoice_paid_by_wallet", 1)]);
        let books = bench.books().await;
        assert_eq!(books.ledger.last().map(|row| row.effective_at), Some(at("2026-04-02T12:00:00Z")));
        assert_eq!(bench.run(NAME).await, None);
    }
}
