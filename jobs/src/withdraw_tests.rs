//! What keeps a price list from being withdrawn: whatever was charged by it, or would lose its price.

use rules::{AccountId, Action, CancelWhen, Component, Micros, OrderChange, Plan, PriceList, Tier};
use store::{Published, Withdrawal};

use crate::testing::{Bench, at, change_plan, plan_of, units};

/// From here on the list of each case counts; since the 5th bob has a server, and ann an instance that is disabled.
const SINCE: &str = "2026-03-10T00:00:00Z";

/// The test's own plans are list 1.
const LIST: i64 = 2;

fn with_traffic(plan: Plan) -> Plan {
    let tiers = vec![Tier { up_to: None, unit_price: units(1) }];
    let traffic = Component { included: Micros::ZERO, tiers, metered: true, shrink_erases: false };
    Plan { components: [("traffic_gb".to_owned(), traffic)].into(), ..plan }
}

fn dearer(plan: Plan) -> Plan {
    Plan { price: units(40), ..plan }
}

async fn bench(list: PriceList) -> Bench {
    let bench = Bench::at("2026-03-05T00:00:00Z").await;
    bench.customer("bob", "monthly", 500).await;
    let ann = bench.customer("ann", "daily", 500).await;
    bench.act(ann, Action::Disable { service: "ann-1".to_owned() }).await;
    bench.office.store.price_list_insert(&list, at(SINCE), "test", bench.now()).await.expect("a list");
    bench.office.reload().await.expect("reloaded");
    bench.advance("2026-03-11T00:00:00Z");
    bench
}

fn list(plans: impl IntoIterator<Item = (&'static str, Plan)>) -> PriceList {
    plans.into_iter().map(|(name, plan)| (name.to_owned(), plan)).collect()
}

/// What stands against it; none, and it is withdrawn.
async fn stands_against(bench: &Bench) -> Option<String> {
    let ended = bench.office.store.price_list_withdraw(LIST, "test", "a slip", bench.now()).await.expect("asked");
    match ended {
        Withdrawal::Done => None,
        Withdrawal::Used(by) => Some(by),
        other => panic!("{other:?}"),
    }
}

async fn assert_used(bench: &Bench, told: &str) {
    let by = stands_against(bench).await.expect("it is used");
    assert!(by.contains(told), "{told}: {by}");
}

const WAITING: &str = "has lines priced by it that wait for their invoice";
const ALONE: &str = "is ordered as only this list has it";

async fn invoice(bench: &Bench) {
    bench.advance("2026-04-01T00:00:00Z");
    bench.run("issue_invoices").await.expect("a run");
    bench.verified().await;
}

async fn owner(bench: &Bench, service: &str) -> AccountId {
    bench.office.store.service_owner(service).await.expect("asked").expect("an owner")
}

async fn cancel(bench: &Bench, service: &str) {
    bench.act(owner(bench, service).await, Action::Cancel { service: service.to_owned(), when: CancelWhen::Now }).await;
}

#[tokio::test]
async fn what_nobody_used_is_withdrawn() {
    let bench = bench(list([("monthly", dearer(plan_of("monthly"))), ("large", dearer(plan_of("large")))])).await;
    assert_eq!(stands_against(&bench).await, None);
    invoice(&bench).await;
}

/// Bob's server keeps the old price for the month; only its upgrade is of the new list.
#[tokio::test]
async fn an_upgrade_stands_against_it() {
    let bench = bench(list([("large", dearer(plan_of("large")))])).await;
    let cid = bench.customer("cid", "monthly", 500).await;
    bench.advance("2026-03-15T00:00:00Z");
    bench.act(cid, change_plan("cid-1", "large")).await;
    assert_used(&bench, WAITING).await;
    bench.advance("2026-03-16T00:00:00Z");
    cancel(&bench, "cid-1").await;
    invoice(&bench).await;
    assert_used(&bench, "service `cid-1`: a line of invoice").await;
}

/// The line of its use begins before the list that alone has the component.
#[tokio::test]
async fn usage_stands_against_it() {
    let bench = bench(list([("monthly", with_traffic(plan_of("monthly")))])).await;
    let bob = owner(&bench, "bob-1").await;
    let (service, component) = ("bob-1".to_owned(), "traffic_gb".to_owned());
    bench.act(bob, Action::Usage { service, component, quantity: units(7) }).await;
    assert_used(&bench, WAITING).await;
    cancel(&bench, "bob-1").await;
    assert_used(&bench, WAITING).await;
    invoice(&bench).await;
    assert_used(&bench, "service `bob-1`: a line of invoice").await;
}

#[tokio::test]
async fn a_trial_stands_against_it() {
    // 31.00 above the cover is charged at once, by the first list; traffic above the allowance by the second.
    let bench = bench(list([("large", with_traffic(plan_of("large")))])).await;
    let eve = bench.open_in_trial("eve").await;
    bench.create(eve, "eve-1", "large").await;
    assert_used(&bench, "card_credit").await;
    let (service, component) = ("eve-1".to_owned(), "traffic_gb".to_owned());
    bench.act(eve, Action::Usage { service, component, quantity: units(1_100) }).await;
    cancel(&bench, "eve-1").await;
    bench.advance("2026-05-01T00:00:00Z");
    for job in ["end_trials", "issue_invoices", "collect_payments"] {
        bench.run(job).await;
    }
    bench.verified().await;
    assert_used(&bench, "service `eve-1`").await;
}

/// Nothing runs of it and nothing was charged by it: what is ordered as only it has it stands there all the same.
#[tokio::test]
async fn what_is_stopped_or_gone_stands_against_it() {
    let mut daily = plan_of("daily");
    daily.options.insert("backup".to_owned(), units(1));
    let bench = bench(list([("daily", daily)])).await;
    let ann = owner(&bench, "ann-1").await;
    let change = OrderChange { options: Some(["backup".to_owned()].into()), ..OrderChange::default() };
    bench.act(ann, Action::Change { service: "ann-1".to_owned(), change, confirm_data_loss: false }).await;
    assert_used(&bench, &format!("service `ann-1` {ALONE}")).await;
    cancel(&bench, "ann-1").await;
    assert_used(&bench, &format!("service `ann-1` {ALONE}")).await;
}

#[tokio::test]
async fn a_list_that_is_published_late_is_refused() {
    let bench = bench(PriceList::new()).await;
    let store = &bench.office.store;
    let seen = store.revision().await.expect("a revision");
    let dearer = list([("large", dearer(plan_of("large")))]);
    let now = bench.now().plus_secs(60);
    let late = store.price_list_publish(&dearer, now.plus_secs(-1), seen, "test", now).await.expect("asked");
    assert_eq!(late, Published::Past(now));
}
