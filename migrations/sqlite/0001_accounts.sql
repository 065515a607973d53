-- Who is billed and for what. An account's row holds all that fixes what happens to it next, with its
-- balances and its own sequences, so that one conditional update both books a decision and refuses a
-- stale one. Services lie clustered by account: a batch of accounts reads and writes neighbouring pages.
-- Tables are STRICT: a value of another type is refused when it is written, not found when it is read.

create table accounts (
    id integer not null primary key,
    name text not null constraint account_name_is_free unique,
    currency text not null constraint account_currency_is_a_code check (length(currency) = 3),
    opened_at integer not null,
    recorded_at integer not null,
    version integer not null constraint account_version_counts check (version >= 0),
    settled_at integer not null,
    state text not null constraint account_state_is_known check (state in ('active', 'suspended', 'closed')),
    suspended_for text constraint account_suspension_is_known check (suspended_for in ('unpaid', 'fraud', 'admin')),
    verified integer not null check (verified in (0, 1)),
    card text,
    resume_on_deposit integer not null check (resume_on_deposit in (0, 1)),
    wallet integer not null,
    -- Deposits and card credits less refunds and disputes; a bonus never leaves as cash (rule 3.4).
    brought_in integer not null,
    trial_ends_at integer,
    trial_ended integer check (trial_ended in (0, 1)),
    trial_traffic_used integer,
    -- In pico-units, beyond 64 bits: as text.
    trial_traffic_cost text,
    trial_traffic_charged integer,
    trial_traffic_due_after integer,
    daily_paid_until integer not null,
    invoiced_until integer not null,
    next_transfer integer not null check (next_transfer >= 0),
    next_event integer not null check (next_event >= 0),
    next_service integer not null check (next_service >= 0),
    next_invoice integer not null check (next_invoice >= 0),
    next_charge integer not null check (next_charge >= 0),
    -- An action that waits for a card's answer, as JSON.
    waiting text,
    -- When daily instances fall due: moved by every midnight, so it has no index and no row in `due`.
    daily_due_at integer,
    constraint account_reason_fits_state check ((state = 'suspended') = (suspended_for is not null)),
    constraint account_trial_is_whole check (
        case
            when trial_ends_at is null then
                coalesce(trial_ended, trial_traffic_used, trial_traffic_cost, trial_traffic_charged, trial_traffic_due_after) is null
            else
                trial_ended is not null and trial_traffic_used is not null and trial_traffic_cost is not null
                and trial_traffic_charged is not null and trial_traffic_due_after is not null
        end
    )
) strict;

-- For lists of accounts in a state; a name never changes, and a state seldom.
create index accounts_by_state on accounts (state, name);

create trigger account_name_stays before update of name, currency on accounts
when new.name <> old.name or new.currency <> old.currency
begin
    select raise(abort, 'account_name_stays');
end;

create table services (
    account_id integer not null references accounts (id),
    number integer not null,
    name text not null constraint service_name_is_free unique,
    created_at integer not null,
    plan text not null,
    -- JSON: quantities by component, and the chosen options.
    quantities text not null,
    options text not null,
    mode text not null constraint service_mode_is_known check (mode in ('daily', 'term', 'monthly', 'hourly')),
    state text not null,
    reason text constraint service_reason_is_known
        check (reason in ('insufficient_funds', 'customer', 'unpaid', 'fraud', 'admin')),
    -- When an instance was disabled or a server terminated.
    stopped_at integer,
    -- The last period paid one by one; an enabled instance follows accounts.daily_paid_until.
    paid_from integer,
    paid_to integer,
    term_months integer check (term_months between 1 and 120),
    anchor integer,
    ends_with_period integer check (ends_with_period in (0, 1)),
    -- Where a suspended term service stands: in its paid period, or in retention.
    stage text check (stage in ('paid', 'retention')),
    billable_from integer,
    -- JSON: what a server ran up and is not invoiced yet.
    meter text,
    -- Nothing can become of it by the passing of time: not read for settling.
    finished integer not null check (finished in (0, 1)),
    primary key (account_id, number),
    constraint service_state_fits_mode check (
        case mode
            when 'daily' then state in ('enabled', 'disabled', 'deleted')
            when 'term' then state in ('active', 'suspended', 'cancelled', 'removal_queued', 'removed')
            else state in ('active', 'suspended', 'terminated')
        end
    ),
    constraint service_reason_fits_state check ((state in ('disabled', 'suspended')) = (reason is not null)),
    constraint service_stop_fits_state check ((state in ('disabled', 'terminated')) = (stopped_at is not null)),
    constraint service_paid_fits_mode check (
        case when mode in ('daily', 'term')
            then paid_from is not null and paid_to is not null and paid_from <= paid_to
            else paid_from is null and paid_to is null
        end
    ),
    constraint service_term_fits_mode check (
        (mode = 'term') = (term_months is not null) and (mode = 'term') = (anchor is not null)
    ),
    constraint service_stage_fits_state check ((mode = 'term' and state = 'suspended') = (stage is not null)),
    constraint service_ending_fits_state check (
        (mode = 'term' and (state = 'active' or (state = 'suspended' and stage = 'paid'))) = (ends_with_period is not null)
    ),
    constraint service_meter_fits_mode check (
        (mode in ('monthly', 'hourly')) = (billable_from is not null)
        and (mode in ('monthly', 'hourly')) = (meter is not null)
    )
) strict, without rowid;

-- Who has what a price list names.
create index services_of_plan on services (plan);
