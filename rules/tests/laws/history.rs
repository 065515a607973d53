//! Random histories of one account: raw steps become entries while a first play shows what there is to act on.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rules::{
    Action, CancelWhen, Component, DAY, DailyState, Kind, Micros, Mode, NewAccount, Order, OrderChange, Outage, Plan,
    Policy, PriceList, ReceiptKind, Refusal, Rest, Service, Stage, SuspendReason, TermState, Tier, Timestamp,
    TrialPolicy, Unsettleable, due_seconds,
};

use crate::world::{Books, Cards, World, at, credit, micros, mixed, void, write_off};

/// What happens at a second.
#[derive(Clone, Debug)]
pub enum Verb {
    Act(Action),
    Receive(ReceiptKind, Micros),
    SetPrices(PriceList),
    /// A list takes effect that is known already.
    Publish,
    /// Nobody was alive from then to this entry.
    Outage(Timestamp),
    /// Some of the charges without an answer have succeeded after all.
    LateSuccesses,
    /// Everything is settled.
    Pass,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub at: Timestamp,
    pub verb: Verb,
}

/// A history that was played once, with all that it starts from.
#[derive(Clone, Debug)]
pub struct History {
    pub setup: Setup,
    pub entries: Vec<Entry>,
}

/// Numbers that a history is made of; each shrinks by itself.
#[derive(Clone, Debug)]
pub struct Raw {
    setup: [u16; 4],
    steps: Vec<(u8, u8, u16, u16)>,
}

#[derive(Clone, Debug)]
pub struct Setup {
    pub new: NewAccount,
    pub policy: Policy,
    pub cards: Cards,
}

/// What histories of up to so many steps are made of. They are made in the test, so that one that fails there
/// shrinks as well.
pub fn raws(steps: usize) -> impl Strategy<Value = Raw> {
    let step = (any::<u8>(), any::<u8>(), any::<u16>(), any::<u16>());
    let setup = any::<[u16; 4]>();
    (setup, prop::collection::vec(step, 1..steps)).prop_map(|(setup, steps)| Raw { setup, steps })
}

const START: &str = "2027-01-31T09:30:00Z";

/// Longer histories only repeat themselves, midnight after midnight.
const LONGEST: i64 = 500 * DAY;

impl Setup {
    fn of(raw: [u16; 4]) -> Self {
        let [flags, policy, days, cards] = raw;
        let bit = |bit: u16| flags >> bit & 1 == 1;
        let currency = [None, None, Some("JPY"), Some("KWD")][usize::from(flags >> 8 & 3)];
        let new = NewAccount {
            name: "ann".to_owned(),
            currency: currency.and_then(rules::Currency::parse),
            trial: bit(0),
            resume_on_deposit: bit(1),
            card: (bit(2) || bit(3)).then(|| ("card".to_owned(), !bit(4) || bit(5))),
        };
        let defaults = Policy::default();
        let trial = TrialPolicy {
            days: u32::from(days % 45),
            server_worth: micros(["100", "10", "0"][usize::from(days >> 8) % 3]),
            traffic_included: micros(["1000", "5", "0"][usize::from(days >> 10) % 3]),
            ..defaults.trial.clone()
        };
        let policy = match policy % 4 {
            0 => Policy { trial, ..defaults },
            _ => Policy {
                trial,
                retention_days: u32::from(policy >> 2) % 28,
                grace_days: u32::from(policy >> 7) % 9,
                retry_days: [vec![1, 3, 5], vec![], vec![2], vec![1, 2, 3, 9]][usize::from(policy >> 11) % 4].clone(),
                outage_grace_hours: [24, 0, 240][usize::from(policy >> 13) % 3],
                ..defaults
            },
        };
        let cards = match cards % 4 {
            0 => Cards::Always(rules::Answer::Succeeded),
            1 => Cards::Always(rules::Answer::Failed),
            _ => Cards::ByKey(u64::from(cards)),
        };
        Self { new, policy, cards }
    }

    /// No trial, no card, and the rule book's numbers.
    pub fn plain() -> Self {
        Self::of([0, 0, 0, 0])
    }

    pub fn world(&self) -> World {
        let mut world = World::new(prices(100));
        world.policy = self.policy.clone();
        world.cards = self.cards.clone();
        world
    }
}

/// The plans of all histories, at so many hundredths of their prices.
fn prices(hundredths: i64) -> PriceList {
    let scaled = |price: &str| Micros::new(micros(price).get() * hundredths / 100);
    let tiers = |tiers: &[(Option<&str>, &str)]| -> Vec<Tier> {
        let tier = |(up_to, price): &(Option<&str>, &str)| Tier { up_to: up_to.map(micros), unit_price: scaled(price) };
        tiers.iter().map(tier).collect()
    };
    let component = |included: &str, prices: &[(Option<&str>, &str)], metered: bool, shrink_erases: bool| Component {
        included: micros(included),
        tiers: tiers(prices),
        metered,
        shrink_erases,
    };
    let traffic = || component("50", &[(Some("100"), "0.10"), (None, "0.05")], true, false);
    let seats = || component("2", &[(Some("10"), "0.333333"), (None, "0.10")], false, false);
    let disk = || component("20", &[(None, "0.05")], false, true);
    let plan = |mode: Mode, price: &str, months: u32, components: Vec<(&str, Component)>| Plan {
        mode,
        price: scaled(price),
        currency: None,
        term_months: months,
        components: components.into_iter().map(|(name, component)| (name.to_owned(), component)).collect(),
        options: [("backup".to_owned(), scaled("1.50"))].into(),
        private: false,
    };
    [
        ("day", plan(Mode::Daily, "2.40", 1, vec![("seats", seats())])),
        ("day-large", plan(Mode::Daily, "4.999999", 1, vec![("seats", seats()), ("disk", disk())])),
        ("term", plan(Mode::Term, "30", 1, vec![("disk", disk())])),
        ("term-large", plan(Mode::Term, "61.000007", 1, vec![("disk", disk()), ("seats", seats())])),
        ("quarter", plan(Mode::Term, "77.77", 3, vec![("disk", disk())])),
        ("cloud", plan(Mode::Monthly, "12", 1, vec![("traffic_gb", traffic()), ("seats", seats())])),
        ("cloud-large", plan(Mode::Monthly, "150", 1, vec![("traffic_gb", traffic())])),
        ("hour", plan(Mode::Hourly, "0.018", 1, vec![("traffic_gb", traffic()), ("seats", seats())])),
        ("hour-large", plan(Mode::Hourly, "0.25", 1, vec![("traffic_gb", traffic())])),
    ]
    .into_iter()
    .map(|(name, plan)| (name.to_owned(), plan))
    .collect()
}

const PLANS: [&str; 9] =
    ["day", "day-large", "term", "term-large", "quarter", "cloud", "cloud-large", "hour", "hour-large"];

impl History {
    pub fn of(raw: &Raw) -> Self {
        let setup = Setup::of(raw.setup);
        let mut writer = Writer::new(setup.clone());
        writer.fund(raw.setup[3] >> 8);
        for (verb, gap, a, b) in &raw.steps {
            writer.step(*verb, *gap, *a, *b);
            if writer.now.secs() - at(START).secs() > LONGEST {
                break;
            }
        }
        let end = writer.now.plus_days(40);
        let _ = writer.play(end, Verb::Pass);
        Self { setup, entries: writer.entries }
    }
}

/// Writes a history, playing it at the same time.
struct Writer {
    world: World,
    books: Books,
    now: Timestamp,
    entries: Vec<Entry>,
    created: u32,
}

impl Writer {
    fn new(setup: Setup) -> Self {
        let world = setup.world();
        let now = at(START);
        let books = world.open(setup.new, now);
        Self { world, books, now, entries: Vec::new(), created: 0 }
    }

    fn fund(&mut self, how: u16) {
        if let amount @ 1.. = [0, 60, 400, 9000][usize::from(how % 4)] {
            self.try_now(Verb::Receive(ReceiptKind::Deposit, Micros::new(amount * 1_000_000)));
        }
    }

    fn play(&mut self, at: Timestamp, verb: Verb) -> Result<(), Refusal> {
        self.now = at;
        let entry = Entry { at, verb };
        let played = play(&mut self.world, &mut self.books, &entry).expect("histories stay within the range");
        self.entries.push(entry);
        played
    }

    fn act(&mut self, action: Action) -> Result<(), Refusal> {
        self.play(self.now, Verb::Act(action))
    }

    /// Something that happens now, whether it is refused or not.
    fn try_now(&mut self, verb: Verb) {
        let _ = self.play(self.now, verb);
    }

    fn try_act(&mut self, action: Action) {
        self.try_now(Verb::Act(action));
    }

    fn step(&mut self, verb: u8, gap: u8, a: u16, b: u16) {
        self.now = self.later(gap, a);
        let amount = |cents: u16| Micros::new(i64::from(cents) * 1_000_000);
        match verb {
            0..=1 => self.try_now(Verb::Pass),
            2..=3 => self.on(a, is_paid_for, |service| void(&service)),
            4..=7 => self.correct_invoice(a, b),
            8..=29 => self.deposit(a, b),
            30..=37 => self.adjust(Micros::new(i64::from(a) * 10_007)),
            38..=41 => self.adjust(Micros::new(-i64::from(a) * 5_003)),
            42..=46 => self.try_now(Verb::Receive(ReceiptKind::Dispute, amount(1 + a % 90))),
            47..=97 => self.create(a, b),
            98..=110 => self.on(a, is_disabled, |service| Action::Enable { service }),
            111..=121 => {
                self.on(a, is_enabled, |service| Action::Disable { service });
                if b.is_multiple_of(2) {
                    self.now = self.now.plus_secs(i64::from(b));
                    self.on(a, is_disabled, |service| Action::Enable { service });
                }
            }
            122..=149 => self.change(a, b),
            150..=164 => self.on(a, in_retention, |service| Action::Extend { service }),
            165..=170 => self.cancel(a, CancelWhen::Now, |_| true),
            171..=177 => self.cancel(a, CancelWhen::PeriodEnd, |kind| matches!(kind, Kind::Term(_))),
            178..=181 => self.on(a, ends_with_period, |service| Action::Uncancel { service }),
            182..=188 => self.on(a, is_queued, |service| Action::Removed { service }),
            189..=206 => self.on(a, is_server, |service| {
                let quantity = amount(b % 400);
                Action::Usage { service, component: "traffic_gb".to_owned(), quantity }
            }),
            207..=210 => {
                self.try_act(Action::SuspendAccount { reason: reason(a) });
                if b.is_multiple_of(2) {
                    self.now = self.now.plus_secs(i64::from(b));
                    self.restore();
                }
            }
            211..=222 => self.restore(),
            223 => self.try_act(Action::CloseAccount { rest: rest(a) }),
            224..=227 => self.wind_up(a),
            228..=235 => {
                self.try_act(Action::SaveCard { card: format!("card-{}", a % 3), authorised: !b.is_multiple_of(4) })
            }
            236..=238 => self.try_act(Action::RemoveCard),
            239..=244 => self.set_prices(a, b),
            245..=249 => self.outage(a, b),
            250..=255 => self.try_now(Verb::LateSuccesses),
        }
    }

    /// When the next step is: often at the very second at which something else is due.
    fn later(&self, gap: u8, a: u16) -> Timestamp {
        let (now, secs) = (self.now, i64::from(a));
        match gap % 16 {
            0 => now,
            1 => now.plus_secs(1),
            2..=4 => now.plus_secs(secs % DAY + 1),
            5 | 6 => now.plus_secs(secs * 13),
            7 => now.plus_secs(DAY),
            8 => now.next_midnight(),
            9 => now.next_month_start(),
            10 => now.next_month_start().plus_secs(secs),
            11..=13 => self.next_due().filter(|due| *due > now).unwrap_or(now.next_midnight()),
            14 => self.next_due().filter(|due| *due > now).unwrap_or(now).plus_secs(secs * 3),
            _ => now.plus_secs(25 * DAY + secs * 13),
        }
    }

    fn next_due(&self) -> Option<Timestamp> {
        let due = due_seconds(&self.books.account(), &self.world.context());
        due.into_iter().filter_map(|(_, at)| at).filter(|at| *at > self.now).min()
    }

    fn deposit(&mut self, a: u16, b: u16) {
        self.try_now(Verb::Pass);
        let open = self.books.account().open_total().expect("a total");
        let amount = match b % 8 {
            0 | 1 if open.is_positive() => open,
            0..=2 => micros("10"),
            3..=5 => Micros::new(i64::from(a % 100) * 1_000_000),
            _ => micros("500"),
        };
        if amount.is_positive() && (b % 16 == 15 || self.act(Action::StartDeposit { amount }).is_ok()) {
            self.try_now(Verb::Receive(ReceiptKind::Deposit, amount));
        }
    }

    fn adjust(&mut self, amount: Micros) {
        self.try_act(Action::Adjust { amount, author: "admin".to_owned(), reason: "test".to_owned() });
    }

    fn create(&mut self, a: u16, b: u16) {
        let plan = PLANS[usize::from(a) % PLANS.len()];
        let Order { quantities, options, .. } = self.order(plan, b);
        self.created += 1;
        let service = format!("s{:02}", self.created);
        self.try_act(Action::CreateService { service, plan: plan.to_owned(), quantities, options });
    }

    /// Some quantities and options that the plan has; now and then ones that it hasn't.
    fn order(&self, plan: &str, b: u16) -> Order {
        let mut quantities = BTreeMap::new();
        let mut options = BTreeSet::new();
        let given = |name: &str| b % 32 == 31 || prices(100)[plan].settable(name).is_some();
        for (name, units, set) in [("seats", b >> 5 & 15, b & 1 == 1), ("disk", b >> 6 & 63, b & 2 == 2)] {
            if set && given(name) {
                quantities.insert(name.to_owned(), Micros::new(i64::from(units) * 1_250_000));
            }
        }
        if b & 4 == 4 {
            options.insert("backup".to_owned());
        }
        Order { plan: plan.to_owned(), quantities, options }
    }

    fn change(&mut self, a: u16, b: u16) {
        self.try_now(Verb::Pass);
        let Some(service) = self.pick(a, |service| service.is_living()) else { return };
        let mode = service.mode();
        let same: Vec<&str> = PLANS.into_iter().filter(|plan| prices(100)[*plan].mode == mode).collect();
        let plan = same[usize::from(b >> 8) % same.len()];
        let Order { quantities, options, .. } = self.order(plan, b);
        let change = match b >> 3 & 3 {
            0 => OrderChange { plan: Some(plan.to_owned()), ..OrderChange::default() },
            1 => OrderChange { plan: Some(plan.to_owned()), quantities: Some(quantities), options: None },
            2 => OrderChange { plan: None, quantities: None, options: Some(options) },
            _ => OrderChange { plan: Some(plan.to_owned()), quantities: Some(quantities), options: Some(options) },
        };
        let (service, confirm_data_loss) = (service.name, a % 8 != 7);
        self.try_act(Action::Change { service, change, confirm_data_loss });
    }

    /// Corrects an invoice: an open one rather than a paid one, and none that is not there.
    fn correct_invoice(&mut self, a: u16, b: u16) {
        self.try_now(Verb::Pass);
        let open: Vec<i64> = self.books.account().invoices.iter().map(|invoice| invoice.number).collect();
        let all: Vec<i64> = self.books.invoices.keys().copied().collect();
        let from = if open.is_empty() || b.is_multiple_of(3) { all } else { open };
        let Some(invoice) = from.get(usize::from(a) % from.len().max(1)) else { return };
        self.try_act(match b % 4 {
            0 => write_off(*invoice),
            1 => credit(*invoice, None),
            _ => credit(*invoice, Some(&[("company", "Example AG")])),
        });
    }

    /// An action on a service of which `wanted` holds; if there is none, on any.
    fn on(&mut self, a: u16, wanted: impl Fn(&Kind) -> bool, action: impl FnOnce(String) -> Action) {
        self.try_now(Verb::Pass);
        let Some(service) = self.pick(a, |service| wanted(&service.kind)) else { return };
        self.try_act(action(service.name));
    }

    fn cancel(&mut self, a: u16, when: CancelWhen, wanted: impl Fn(&Kind) -> bool) {
        self.on(a, wanted, |service| Action::Cancel { service, when });
    }

    fn pick(&self, a: u16, wanted: impl Fn(&Service) -> bool) -> Option<Service> {
        let services = self.books.account().services;
        let fitting: Vec<&Service> = services.iter().filter(|service| wanted(service)).collect();
        let from = if fitting.is_empty() { services.iter().collect() } else { fitting };
        from.get(usize::from(a) % from.len().max(1)).map(|service| (*service).clone())
    }

    fn restore(&mut self) {
        self.try_now(Verb::Pass);
        if self.books.account().standing.is_suspended() {
            self.try_act(Action::RestoreAccount);
        }
    }

    /// Ends everything, pays all that is open and closes after the last invoice.
    fn wind_up(&mut self, a: u16) {
        for service in self.books.account().services {
            self.try_act(Action::Cancel { service: service.name, when: CancelWhen::Now });
        }
        self.try_now(Verb::Receive(ReceiptKind::Deposit, micros("20000.123456")));
        let trial_end = self.books.account().trial.map_or(self.now, |trial| trial.ends_at.max(self.now));
        let _ = self.play(trial_end.next_month_start().plus_secs(i64::from(a % 2)), Verb::Pass);
        self.try_act(Action::CloseAccount { rest: rest(a) });
    }

    fn set_prices(&mut self, a: u16, b: u16) {
        let hundredths = [0, 50, 90, 110, 133, 200][usize::from(a) % 6];
        let mut list = prices(hundredths);
        list.retain(|plan, _| b.is_multiple_of(3) || !mixed(u64::from(b), plan).is_multiple_of(3));
        let _ = self.play(self.now.plus_secs(1), Verb::SetPrices(list));
    }

    fn outage(&mut self, a: u16, b: u16) {
        let since = self.now.plus_secs(1 + i64::from(b));
        let hours = 12 + i64::from(a % 120);
        let _ = self.play(since.plus_secs(hours * 3600), Verb::Outage(since));
    }
}

/// Plays an entry; a refusal is its outcome. Cards that wait are answered.
pub fn play(world: &mut World, books: &mut Books, entry: &Entry) -> Result<Result<(), Refusal>, Unsettleable> {
    match &entry.verb {
        Verb::Act(action) => {
            return Ok(world.act(books, action, entry.at)?.expect("the cards of a history answer"));
        }
        Verb::Receive(kind, amount) => books.receive(*kind, *amount, entry.at),
        Verb::SetPrices(list) => world.prices.lay(entry.at, list.clone()).expect("a list that keeps what it must"),
        Verb::Outage(since) => world.outages.push(Outage::new(*since, entry.at)),
        Verb::Publish => {}
        Verb::LateSuccesses => {
            world.settle(books, entry.at)?;
            books.succeed_late(entry.at);
        }
        Verb::Pass => {
            world.settle(books, entry.at)?;
        }
    }
    Ok(Ok(()))
}

impl History {
    /// Plays it as it was written: settled only where something happens.
    pub fn play(&self) -> (World, Books, Vec<Result<(), Refusal>>) {
        self.play_with(|_, _, _| {})
    }

    /// Plays it with something more before each entry, which is told the entry.
    pub fn play_with(
        &self,
        mut before: impl FnMut(&mut World, &mut Books, &Entry),
    ) -> (World, Books, Vec<Result<(), Refusal>>) {
        let mut world = self.setup.world();
        let mut books = world.open(self.setup.new.clone(), at(START));
        let mut outcomes = Vec::new();
        for entry in &self.entries {
            before(&mut world, &mut books, entry);
            outcomes.push(play(&mut world, &mut books, entry).expect("histories stay within the range"));
        }
        (world, books, outcomes)
    }
}

fn is_paid_for(kind: &Kind) -> bool {
    matches!(kind, Kind::Daily(_) | Kind::Term(_))
}

fn is_disabled(kind: &Kind) -> bool {
    matches!(kind, Kind::Daily(daily) if matches!(daily.state, DailyState::Disabled { .. }))
}

fn is_enabled(kind: &Kind) -> bool {
    matches!(kind, Kind::Daily(daily) if daily.state == DailyState::Enabled)
}

fn in_retention(kind: &Kind) -> bool {
    matches!(kind, Kind::Term(term) if matches!(term.state, TermState::Suspended { stage: Stage::Retention, .. }))
}

fn ends_with_period(kind: &Kind) -> bool {
    matches!(kind, Kind::Term(term) if term.state == TermState::Active { ends_with_period: true })
}

fn is_queued(kind: &Kind) -> bool {
    matches!(kind, Kind::Term(term) if term.state == TermState::RemovalQueued)
}

fn is_server(kind: &Kind) -> bool {
    matches!(kind, Kind::Server(server) if server.is_living())
}

fn reason(a: u16) -> SuspendReason {
    if a.is_multiple_of(2) { SuspendReason::Admin } else { SuspendReason::Fraud }
}

fn rest(a: u16) -> Option<Rest> {
    [Some(Rest::Refund), Some(Rest::Waive), None][usize::from(a) % 3]
}
