//! The three sample hosts, one to each example price list: a device-management platform that is paid by the
//! day, a seller of prepaid servers, a cloud that sends invoices.

use rules::{Action, CancelWhen, Currency, DAY, Micros, Order, Policy, PriceList, Timestamp};

use crate::demo::story::{Customer, Story, order, units};
use crate::input::{Scenario, ScriptedCard, Verb};

const SEED: u64 = 2026;
const ACCOUNTS: i64 = 40;

/// How a wallet fares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purse {
    Ample,
    /// It has not enough at the midnight that is played live.
    DryTonight,
    DryEarlier,
    /// Dry as well, but filled again some days later.
    Refilled,
}

/// What happened at the three hosts until just before the midnight `tonight`.
pub fn scenario(plans: PriceList, tonight: Timestamp) -> anyhow::Result<Scenario> {
    let mut story = Story::new(plans, tonight, SEED)?;
    for number in 1..=ACCOUNTS {
        devices(&mut story, number);
        prepaid(&mut story, number);
        cloud(&mut story, number);
    }
    Ok(story.finish())
}

/// A customer of the device-management platform.
fn devices(story: &mut Story, number: i64) {
    let account = format!("acs-{number:02}");
    let purse = purse(story, number);
    let at = story.someday(0, story.days() - 8);
    let resume_on_deposit = purse == Purse::Refilled;
    story.open(at, &account, Customer { resume_on_deposit, ..Customer::default() });
    let orders: Vec<Order> = (0..3 + story.dice.below(5)).map(|_| instance(story)).collect();
    let a_day = orders.iter().map(|order| story.price(order).get()).sum::<i64>();
    let amount = allowance(story, purse, at, a_day);
    story.deposit(at, &account, amount);
    if purse == Purse::Refilled {
        let later = story.someday((story.tonight.secs() - story.start.secs()) / DAY - 6, 4);
        story.deposit(later, &account, Micros::new(a_day * 9));
    }
    for (index, order) in orders.iter().enumerate() {
        let service = format!("{account}-{}", index + 1);
        story.order(at, &account, &service, order);
        if purse == Purse::Ample {
            instance_life(story, at, &service, order);
        }
    }
}

fn instance(story: &mut Story) -> Order {
    let options = *story.pick(&[&[] as &[&str], &["tr369"], &["vpn-access"], &["firmware-updates", "vpn-access"]]);
    match story.dice.below(10) {
        0 => order("acs-bench", &[("cpe", 5 + story.dice.below(4))], &[]),
        1 | 2 => order("acs-large", &[("cpe", 2_000 + 500 * story.dice.below(16))], options),
        _ => order("acs-small", &[("cpe", 100 + 25 * story.dice.below(12))], options),
    }
}

fn purse(story: &mut Story, number: i64) -> Purse {
    match number % 8 {
        3 => Purse::DryTonight,
        5 => Purse::DryEarlier,
        7 if story.dice.chance(70) => Purse::Refilled,
        _ => Purse::Ample,
    }
}

/// What to put into a wallet for so much a day from `at` on.
fn allowance(story: &mut Story, purse: Purse, at: Timestamp, a_day: i64) -> Micros {
    let nights = (story.tonight.secs() - at.next_midnight().secs()) / DAY;
    let paid_nights = match purse {
        Purse::Ample => return Micros::new(a_day * (nights + 12) * 2),
        Purse::DryTonight => nights,
        Purse::DryEarlier => 2 + story.dice.below(nights - 2),
        Purse::Refilled => 1 + story.dice.below(nights - 6),
    };
    // The rest of the first day, the nights, and a third of the one that it is not enough for.
    let first = i128::from(a_day) * i128::from(at.next_midnight().secs() - at.secs()) / i128::from(DAY);
    Micros::new(i64::try_from(first).unwrap_or_default() + a_day * paid_nights + a_day / 3)
}

fn instance_life(story: &mut Story, created: Timestamp, service: &str, order: &Order) {
    let later = |story: &mut Story, days: i64| {
        let day = created.plus_secs(DAY * (1 + story.dice.below(days)));
        story.hour(day)
    };
    if order.plan == "acs-small" && story.dice.chance(25) {
        let at = later(story, 12);
        let cpe = 100 + 25 * story.dice.below(16);
        story.change(at, service, "cpe", cpe);
    }
    if story.dice.chance(15) {
        let off = later(story, 9);
        story.act(off, service, Action::Disable { service: service.to_owned() });
        if story.dice.chance(60) {
            let on = story.hour(off.plus_secs(DAY * 2));
            story.act(on, service, Action::Enable { service: service.to_owned() });
        }
    }
}

/// A customer of the seller of prepaid servers.
fn prepaid(story: &mut Story, number: i64) {
    let account = format!("vps-{number:02}");
    // Some terms end at this very midnight.
    let renews_tonight = number % 5 == 2;
    let short = number % 4 == 3 || number % 10 == 7;
    let at = match (renews_tonight, short) {
        (true, _) => a_month_before(story.tonight),
        // Early enough for all that follows when the money does not last.
        (false, true) => story.someday(0, story.days() - 36),
        (false, false) => story.someday(0, story.days() - 4),
    };
    let in_yen = number % 13 == 6;
    let currency = in_yen.then(|| Currency::parse("JPY")).flatten();
    story.open(at, &account, Customer { currency, ..Customer::default() });
    let orders: Vec<Order> = (0..2 + story.dice.below(6)).map(|_| server(story, in_yen)).collect();
    let all = orders.iter().map(|order| story.price(order).get()).sum::<i64>();
    story.deposit(at, &account, Micros::new(if short { all + all / 4 } else { all * 5 }));
    for (index, order) in orders.iter().enumerate() {
        let service = format!("{account}-{}", index + 1);
        story.order(at, &account, &service, order);
        server_life(story, at, &service, short);
    }
    if short && number % 8 == 3 {
        let back = story.hour(at.plus_months(1).plus_secs(DAY));
        story.deposit(back, &account, Micros::new(all));
        for index in 1..=orders.len() {
            let service = format!("{account}-{index}");
            story.act(back, &service.clone(), Action::Extend { service });
        }
    }
}

/// The last second whose term of a month ends at `tonight`.
fn a_month_before(tonight: Timestamp) -> Timestamp {
    let mut first = tonight.month_start();
    loop {
        first = first.plus_secs(-1).month_start();
        let day = first.plus_secs(tonight.secs() - tonight.month_start().secs());
        // A month that has no such day is passed over: its last day would be another anchor.
        if day < first.plus_months(1) {
            return day;
        }
    }
}

fn server(story: &mut Story, in_yen: bool) -> Order {
    if in_yen {
        return order("vps-s-tokyo", &[("ram_gb", 2 + story.dice.below(4))], &["backup"]);
    }
    let options = *story.pick(&[&[] as &[&str], &["backup"], &["backup", "panel"]]);
    let dice = &mut story.dice;
    match dice.below(10) {
        0 => order("dedicated-16", &[("nvme_tb", 1 + dice.below(3))], &["remote-console"]),
        1 => order("vps-s-year", &[("ram_gb", 2 + dice.below(3))], options),
        2..=4 => order("vps-l", &[("ram_gb", 8 + 2 * dice.below(8)), ("disk_gb", 160 + 40 * dice.below(4))], options),
        _ => order("vps-s", &[("ram_gb", 2 + dice.below(4)), ("disk_gb", 20 + 10 * dice.below(6))], options),
    }
}

fn server_life(story: &mut Story, ordered: Timestamp, service: &str, short: bool) {
    if !short && story.dice.chance(15) {
        let day = ordered.plus_secs(DAY * (3 + story.dice.below(15)));
        let at = story.hour(day);
        let ram_gb = 4 + 2 * story.dice.below(6);
        story.change(at, service, "ram_gb", ram_gb);
    }
    if story.dice.chance(8) {
        let day = ordered.plus_secs(DAY * (5 + story.dice.below(15)));
        let at = story.hour(day);
        let when = if story.dice.chance(50) { CancelWhen::PeriodEnd } else { CancelWhen::Now };
        story.act(at, service, Action::Cancel { service: service.to_owned(), when });
    }
}

/// A customer of the cloud.
fn cloud(story: &mut Story, number: i64) {
    let account = format!("cloud-{number:02}");
    let trial = number % 6 == 1;
    let card = trial || number % 4 != 2;
    let troubled = card && !trial && number % 7 == 4;
    // The day of a sign-up and thirty more: some trials end at this midnight, the others some days before.
    let at = match (trial, number % 12) {
        (true, 1) => story.hour(story.tonight.plus_secs(-31 * DAY)),
        (true, _) => story.someday(2, 6),
        // In time for whichever invoice it is that fails.
        (false, _) if troubled => story.someday(0, 8),
        (false, _) => story.someday(0, story.days() - 3),
    };
    story.open(at, &account, Customer { trial, card, ..Customer::default() });
    if !card {
        let amount = units(40 + 20 * story.dice.below(12));
        story.deposit(at, &account, amount);
    }
    let servers = if trial { 1 } else { 2 + story.dice.below(5) };
    for index in 1..=servers {
        let service = format!("{account}-{index}");
        let order = cloud_server(story, trial);
        story.order(at, &account, &service, &order);
        cloud_life(story, at, &service, trial);
    }
    if troubled {
        card_trouble(story, &account, number % 2 == 0);
    }
}

fn cloud_server(story: &mut Story, trial: bool) -> Order {
    let options = *story.pick(&[&[] as &[&str], &["backup"], &["backup", "monitoring"]]);
    let dice = &mut story.dice;
    let quantities =
        [("cpu", 2 + dice.below(6)), ("ram_gb", 4 + 2 * dice.below(6)), ("disk_gb", 80 + 20 * dice.below(6))];
    match dice.below(10) {
        0 if !trial => order("cloud-gpu-h", &[("gpu", 1 + dice.below(2))], &[]),
        1..=4 => order("cloud-h", &quantities, options),
        _ => order("cloud-m", &quantities, options),
    }
}

fn cloud_life(story: &mut Story, created: Timestamp, service: &str, trial: bool) {
    let reports = if trial || story.dice.chance(35) { 4 } else { 0 };
    for week in 1..=reports {
        let at = story.hour(created.plus_secs(DAY * 7 * week));
        let quantity = units(150 + 50 * story.dice.below(if trial { 8 } else { 60 }));
        let (service, component) = (service.to_owned(), "traffic_gb".to_owned());
        story.act(at, &service.clone(), Action::Usage { service, component, quantity });
    }
    if !trial && story.dice.chance(12) {
        let day = created.plus_secs(DAY * (2 + story.dice.below(20)));
        let at = story.hour(day);
        let cpu = 4 + story.dice.below(8);
        story.change(at, service, "cpu", cpu);
    }
    if !trial && story.dice.chance(10) {
        let day = created.plus_secs(DAY * (4 + story.dice.below(20)));
        let at = story.hour(day);
        story.act(at, service, Action::Cancel { service: service.to_owned(), when: CancelWhen::Now });
    }
}

/// The card stops working before an invoice whose grace is over tonight; some come with a new one after the suspension.
fn card_trouble(story: &mut Story, account: &str, mended: bool) {
    let account = account.to_owned();
    let grace = DAY * i64::from(Policy::default().grace_days);
    let failed = story.tonight.plus_secs(-grace - 1).month_start().plus_secs(-DAY);
    let at = story.hour(failed);
    story.enter(at, Verb::Card { account: account.clone(), card: Some(ScriptedCard::Fails), new: false });
    if mended {
        let at = story.hour(failed.plus_secs(10 * DAY));
        story.enter(at, Verb::Card { account, card: Some(ScriptedCard::Succeeds), new: true });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::price_lists;

    #[test]
    fn every_night_of_a_year_has_its_story_and_it_is_always_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let plans = price_lists(folder.path()).expect("the examples");
        for day in 0..366 {
            let tonight = Timestamp::parse("2028-01-01T00:00:00Z").expect("a time").plus_days(day);
            let story = scenario(plans.clone(), tonight).expect("a story");
            assert!(story.timeline.is_sorted_by_key(|entry| entry.at) && story.until < tonight);
            assert!((900..1200).contains(&story.timeline.len()), "{tonight}: {}", story.timeline.len());
            // Somebody's term ends at this very midnight.
            assert_eq!(
                a_month_before(tonight).civil().format("%d").to_string(),
                tonight.civil().format("%d").to_string()
            );
            assert!(story.timeline.iter().any(|entry| entry.at == a_month_before(tonight)), "{tonight}");
        }
        let twice = || scenario(plans.clone(), Timestamp::parse("2027-03-01T00:00:00Z").expect("a time"));
        assert_eq!(twice().ok(), twice().ok());
    }
}
