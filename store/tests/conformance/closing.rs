//! Months: what was billed and earned in them, and closing them.

use std::collections::BTreeMap;

use rules::{AccountId, Period, RevenueMoves, TransferKind};
use store::{CannotClose, Closing, InTheWay, NewRun, RevenueKey};

use crate::living::{at, half_a_year};

fn month(start: &str) -> Period {
    Period::month_of(at(start))
}

/// As of the first second at which it can be: when something was written before or after is not for clocks to tell.
fn closing(start: &str) -> Closing {
    let month = month(start);
    Closing { month, closed_at: month.to, author: "admin".into() }
}

#[tokio::test]
async fn months_follow_from_each_other_and_come_to_the_sales() {
    let life = half_a_year().await;
    let store = &life.books.store;
    let mut time = month("2026-01-01T00:00:00Z");
    let mut open: BTreeMap<RevenueKey, i128> = BTreeMap::new();
    let mut billed: i128 = 0;
    let mut whole: BTreeMap<RevenueKey, RevenueMoves> = BTreeMap::new();
    while time.from < at("2026-08-01T00:00:00Z") {
        let revenue = store.revenue(time).await.expect("revenue");
        for (key, moves) in &revenue {
            assert!(moves.ties(), "{key:?}: {moves:?}");
            assert_eq!(moves.opening(), open.remove(key).unwrap_or_default(), "{key:?} in {time:?}");
            billed += moves.billed;
            whole.entry(key.clone()).or_default().add(moves);
        }
        assert!(open.values().all(|open| *open == 0), "{open:?} is forgotten in {time:?}");
        open = revenue.into_iter().map(|(key, moves)| (key, moves.closing())).collect();
        time = Period::month_of(time.to);
    }
    assert!(open.values().all(|open| *open == 0), "all is earned by then: {open:?}");
    // The months are the whole, and the whole is what the ledger says of sales.
    let at_once = Period::new(at("2026-01-01T00:00:00Z"), at("2026-08-01T00:00:00Z"));
    for (key, moves) in store.revenue(at_once).await.expect("revenue") {
        assert_eq!((moves.billed, moves.earned), (whole[&key].billed, whole[&key].earned), "{key:?}");
    }
    let sales: i128 = store
        .ledger(None)
        .await
        .expect("a ledger")
        .iter()
        .map(|row| match row.kind {
            TransferKind::Period | TransferKind::Upgrade | TransferKind::Charge | TransferKind::InvoiceIssued => 1,
            TransferKind::Downgrade | TransferKind::Reversal | TransferKind::InvoiceCredited => -1,
            _ => 0,
        } * i128::from(row.amount.get()))
        .sum();
    assert_eq!(billed, sales);
}

#[tokio::test]
async fn months_close_in_order_and_once() {
    let life = half_a_year().await;
    let store = &life.books.store;
    let close = async |start: &str| store.close_month(&closing(start)).await.expect("an answer");
    let january = month("2026-01-01T00:00:00Z");
    assert_eq!(close("2026-02-01T00:00:00Z").await, Err(CannotClose::Before(january)));
    assert_eq!(close("2026-01-01T00:00:00Z").await, Ok(()));
    assert_eq!(close("2026-01-01T00:00:00Z").await, Err(CannotClose::Already(closing("2026-01-01T00:00:00Z"))));
    assert_eq!(close("2026-03-01T00:00:00Z").await, Err(CannotClose::Before(month("2026-02-01T00:00:00Z"))));
    for start in ["2026-02", "2026-03", "2026-04", "2026-05", "2026-06"] {
        assert_eq!(close(&format!("{start}-01T00:00:00Z")).await, Ok(()), "{start}");
    }
    // All are settled up to 1 July, and no further.
    let Err(CannotClose::InTheWay(reasons)) = close("2026-07-01T00:00:00Z").await else { panic!("nothing in the way") };
    let [reason] = reasons.as_slice() else { panic!("{reasons:?}") };
    assert_eq!((reason.what, reason.count), ("not settled to the month's end", 4));
    assert_eq!(reason.first, ["ann", "bob", "cid", "dan"]);
    let july = month("2026-07-01T00:00:00Z");
    let behind = store.accounts_behind(july.to, rules::AccountId(2), 10).await.expect("ids");
    assert_eq!(behind, [rules::AccountId(3), rules::AccountId(4)]);
    assert_eq!(store.closings().await.expect("closings").len(), 6);
    assert_eq!(life.faults().await, []);
    for (sql, wanted) in [
        ("insert into closings values (0, 1, 1, 'ann')", "closing_follows_the_last"),
        ("insert into closings select max(month_to), max(month_to) + 9, max(month_to), 'ann' from closings", "closing_comes_after_its_month"),
        ("update closings set author = 'bob'", "closing_stays"),
        ("delete from closings", "closing_is_kept"),
        (
            "insert into transfers (account_id, number, kind, debit, credit, currency, amount, effective_at, recorded_at)
            values (1, 9999, 'deposit', 'cash:provider', 'wallet', 'USD', 1, 1782863999, 1793000000)",
            "transfer_is_of_an_open_month",
        ),
        (LATE, "transfer_is_of_an_open_month"),
        (
            "insert into invoice_lines (account_id, invoice, position, service, kind, period_from, period_to, amount, basis)
            select account_id, invoice, 99, service, 'usage', period_from, period_to, 1, basis from invoice_lines
            where account_id = 2 and invoice = 0 and position = 1",
            "line_is_of_an_open_month",
        ),
    ] {
        let tried = life.books.try_sql(sql).await;
        assert!(tried.as_ref().is_err_and(|error| error.contains(wanted)), "{sql}: {tried:?}");
    }
}

/// Each by itself keeps a month open, and is named with whom it concerns.
#[tokio::test]
async fn what_is_in_the_way_is_named() {
    let life = half_a_year().await;
    let store = &life.books.store;
    let (bob, now) = (AccountId(2), at("2026-07-10T00:00:00Z"));
    let january = "2026-01-01T00:00:00Z";
    let in_the_way = async || match store.close_month(&closing(january)).await.expect("an answer") {
        Err(CannotClose::InTheWay(reasons)) => {
            let told = |reason: InTheWay| (reason.what, reason.count, reason.first.join(", "));
            reasons.into_iter().map(told).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    store.park(bob, "corrupt", now, now).await.expect("parked");
    assert_eq!(in_the_way().await, [("parked", 1, "bob".to_owned())]);
    store.unpark(&[bob]).await.expect("unparked");

    // Kept now, money counts from the settled second: this is what an account that waits leaves behind.
    let receipt = "insert into receipts (provider, payment, kind, account_id, amount, received_at) values ";
    for (account, received_at) in [(1, 1_769_903_999), (2, 1_769_904_000)] {
        let sql = format!("{receipt} ('bank', 'late-{account}', 'deposit', {account}, 1, {received_at})");
        life.books.try_sql(&sql).await.expect("done");
    }
    assert_eq!(in_the_way().await, [("with money that came and is not in the books", 1, "ann".to_owned())]);
    let apply = "update receipts set applied_at = 1793000000, effective_at = received_at where payment = 'late-1'";
    life.books.try_sql(apply).await.expect("done");

    let due = at("2026-01-15T00:00:00Z").secs();
    let intent = "insert into intents (account_id, key, purpose, card, amount, due_at, recorded_at) values ";
    life.books.try_sql(&format!("{intent} (2, '2/9', '{{}}', 'pm_1', 1, {due}, {due})")).await.expect("done");
    assert_eq!(in_the_way().await, [("waiting for a card's answer", 1, "bob".to_owned())]);
    life.books.try_sql("delete from intents where key = '2/9'").await.expect("done");

    // What it has still to bring may be settled to this month, long before the second that its file is of.
    let import = "insert into imports (hash, file, author, at, begins_at, accounts, up_to) values ";
    let import = format!("{import} ('h', 'move.jsonl', 'ann', {}, {due}, 2, 1)", now.secs());
    life.books.try_sql(&import).await.expect("begun");
    assert_eq!(in_the_way().await, [("import that was cut off", 1, "move.jsonl".to_owned())]);
    let give_up = "update imports set given_up_at = 1793000000, given_up_by = 'ann', given_up_reason = 'lost'";
    life.books.try_sql(give_up).await.expect("given up");

    let new = NewRun {
        job: "bill_instances",
        due_kind: None,
        slot: Some(now),
        asked_by: "slot",
        starts_at: now,
        retry_of: None,
        one_at_a_time: false,
        covered: &[],
        preview: None,
        held_for: Some("twice as much"),
        shards: &[(AccountId(0), AccountId(9))],
        total: 4,
        now,
    };
    let run = store.run_open(&new).await.expect("opened").expect("a run");
    assert_eq!(in_the_way().await, [("in a run that is held", 1, format!("run {} of bill_instances", run.id.0))]);
    store.run_release(run.id, "ann", &[], now).await.expect("released");
    assert_eq!(store.close_month(&closing(january)).await.expect("an answer"), Ok(()));
}

/// Of ten days, half of them in a month that is closed: in the order of the columns, without where it is earned from.
const LATE: &str = "insert into transfers (account_id, number, kind, debit, credit, currency, amount, effective_at,
        recorded_at, service, period_from, period_to, basis)
    select account_id, 9999, 'upgrade', 'wallet', 'sales', currency, 10, 1783296000, 1783296000, service,
        1782432000, 1783296000, basis
    from transfers where account_id = 3 and kind = 'period' and number = (
        select min(number) from transfers where account_id = 3 and kind = 'period'
    )";

/// Whether something was written before its month was closed or after is not for clocks to tell: all closings here are
/// of the month's last second, and what is written then and reaches back earns in the open month alone.
#[tokio::test]
async fn what_reaches_back_into_closed_months_is_earned_in_the_open_one() {
    let life = half_a_year().await;
    let store = &life.books.store;
    let [june, july] = ["2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"].map(month);
    let before = [store.revenue(june).await.expect("revenue"), store.revenue(july).await.expect("revenue")];
    for start in ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06"] {
        assert_eq!(store.close_month(&closing(&format!("{start}-01T00:00:00Z"))).await.expect("an answer"), Ok(()));
    }
    assert_eq!([store.revenue(june).await.expect("revenue"), store.revenue(july).await.expect("revenue")], before);
    let earned_from = LATE.replace("period_to, basis)", "period_to, basis, earned_from)");
    let earned_from = earned_from.replace("1783296000, basis", &format!("1783296000, basis, {}", july.from.secs()));
    life.books.try_sql(&earned_from).await.expect("booked");
    assert_eq!(store.revenue(june).await.expect("revenue"), before[0]);
    let earned = |months: &BTreeMap<RevenueKey, RevenueMoves>| months.values().map(|moves| moves.earned).sum::<i128>();
    assert_eq!(earned(&store.revenue(july).await.expect("revenue")), earned(&before[1]) + 10);
}

#[tokio::test]
async fn what_comes_later_leaves_a_closed_month_as_it_was() {
    let life = half_a_year().await;
    let store = &life.books.store;
    let june = month("2026-06-01T00:00:00Z");
    for start in ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06"] {
        let closed = store.close_month(&closing(&format!("{start}-01T00:00:00Z"))).await.expect("an answer");
        assert_eq!(closed, Ok(()));
    }
    let before = store.revenue(june).await.expect("revenue");
    let (author, reason) = ("admin".to_owned(), "late".to_owned());
    let void = rules::Action::Void { service: "t3".into(), author, reason };
    life.act(rules::AccountId(3), "2026-07-05T00:00:00Z", void).await;
    assert_eq!(store.revenue(june).await.expect("revenue"), before);
    let july = store.revenue(month("2026-07-01T00:00:00Z")).await.expect("revenue");
    let vps = july.iter().find(|(key, _)| key.1.as_deref() == Some("vps")).expect("vps").1;
    assert_eq!((vps.billed, vps.closing()), (-6_000_000, 0));
    assert_eq!(life.faults().await, []);
}
