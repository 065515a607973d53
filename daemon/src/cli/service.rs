//! `bursar services`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Subcommand;
use rules::{Action, CancelWhen, Mode, OrderChange, Quantity, Timestamp, retention_end};
use serde_json::{Value, json};
use store::{ServiceFilter, ServiceRow, Store};

use crate::cli::act::act_or_preview;
use crate::cli::author::author;
use crate::cli::books::{self, Books};
use crate::cli::printed::Names;
use crate::cli::rows::{
    behind, entries_table, entry_json, event_json, events_table, more, service_json, service_line, services_table,
    written,
};
use crate::cli::{DONE, Format, LIMIT, LIMIT_MAX};
use crate::input::choices::{ServiceMode, ServiceState};
use crate::input::{BadInput, arguments};

#[derive(clap::Args)]
pub struct ServiceArgs {
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
    #[command(subcommand)]
    command: ServiceCommand,
}

#[derive(Subcommand)]
enum ServiceCommand {
    /// Create a service and pay what it costs at once
    ///
    /// Examples:
    ///   bursar services create ann web-1 --plan acs-small --quantity cpe=250 --option vpn-access
    ///   bursar services create ann web-1 --plan acs-small --preview
    #[command(verbatim_doc_comment)]
    Create(CreateArgs),
    /// Show a service with the last of its trail
    ///
    /// Example:
    ///   bursar services show web-1
    #[command(verbatim_doc_comment)]
    Show {
        name: String,
        /// How many entries and events at most, the newest
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
        last: u32,
    },
    /// List services by name, page by page
    ///
    /// Examples:
    ///   bursar services list --account ann
    ///   bursar services list --mode term --state suspended --format json
    #[command(verbatim_doc_comment)]
    List(ListArgs),
    /// Enable a daily instance: free while its day is paid
    ///
    /// Examples:
    ///   bursar services enable web-1 --preview
    ///   bursar services enable web-1
    #[command(verbatim_doc_comment)]
    Enable(Previewed),
    /// Disable a daily instance: from now on no day is charged
    ///
    /// Example:
    ///   bursar services disable web-1
    #[command(verbatim_doc_comment)]
    Disable { name: String },
    /// Extend a suspended term service before its retention ends
    ///
    /// Examples:
    ///   bursar services extend vps-7 --preview
    ///   bursar services extend vps-7
    #[command(verbatim_doc_comment)]
    Extend(Previewed),
    /// Take back a cancellation for the period's end
    ///
    /// Example:
    ///   bursar services uncancel vps-7
    #[command(verbatim_doc_comment)]
    Uncancel { name: String },
    /// Report that a machine queued for removal is gone
    ///
    /// Example:
    ///   bursar services removed vps-7
    #[command(verbatim_doc_comment)]
    Removed { name: String },
    /// Change plan, quantities or options
    ///
    /// What is given takes the whole place of the old: with --quantity, a component that is not named goes back
    /// to what its plan includes; with --option, an option that is not named goes.
    ///
    /// Examples:
    ///   bursar services change web-1 --quantity cpe=400 --preview
    ///   bursar services change web-1 --plan acs-large --no-options
    #[command(verbatim_doc_comment)]
    Change(ChangeArgs),
    /// Cancel a service at once, or a term service at its period's end
    ///
    /// Example:
    ///   bursar services cancel vps-7 --at-period-end
    #[command(verbatim_doc_comment)]
    Cancel {
        name: String,
        /// It runs to the end of what is paid
        #[arg(long)]
        at_period_end: bool,
    },
    /// Take the current period of a daily or term service back, whole: the wallet is credited, the service stops
    ///
    /// Examples:
    ///   bursar services void web-1 --reason "the host was down" --preview
    ///   bursar services void web-1 --reason "the host was down"
    #[command(verbatim_doc_comment)]
    Void {
        name: String,
        #[arg(long, value_parser = arguments::text)]
        reason: String,
        /// Only show what it would give back
        #[arg(long)]
        preview: bool,
    },
    /// Report what was used of a metered component since the last report
    ///
    /// Example:
    ///   bursar services usage cloud-3 traffic_gb 12.5
    #[command(verbatim_doc_comment)]
    Usage {
        name: String,
        component: String,
        #[arg(value_parser = arguments::quantity, allow_negative_numbers = true)]
        quantity: Quantity,
    },
}

#[derive(clap::Args)]
struct CreateArgs {
    account: String,
    #[arg(value_parser = arguments::name)]
    name: String,
    #[arg(long)]
    plan: String,
    /// How much of a component, like cpe=250; without it what the plan includes
    #[arg(long = "quantity", value_name = "COMPONENT=N", value_parser = arguments::component_quantity)]
    quantities: Vec<(String, Quantity)>,
    #[arg(long = "option", value_name = "OPTION")]
    options: Vec<String>,
    /// Only show what it would charge
    #[arg(long)]
    preview: bool,
}

#[derive(clap::Args)]
struct Previewed {
    name: String,
    /// Only show what it would charge
    #[arg(long)]
    preview: bool,
}

#[derive(clap::Args)]
struct ChangeArgs {
    name: String,
    #[arg(long)]
    plan: Option<String>,
    #[arg(long = "quantity", value_name = "COMPONENT=N", value_parser = arguments::component_quantity)]
    quantities: Vec<(String, Quantity)>,
    #[arg(long = "option", value_name = "OPTION", conflicts_with = "no_options")]
    options: Vec<String>,
    /// Without any option
    #[arg(long)]
    no_options: bool,
    /// A quantity is lowered whose lowering destroys data, and that is meant
    #[arg(long)]
    confirm_data_loss: bool,
    /// Only show what it would charge
    #[arg(long)]
    preview: bool,
}

#[derive(clap::Args)]
struct ListArgs {
    /// Only of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only in this state
    #[arg(long, value_enum)]
    state: Option<ServiceState>,
    /// Only of this mode
    #[arg(long, value_enum)]
    mode: Option<ServiceMode>,
    /// Those behind this name: the next page
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    after: String,
    /// How many at most
    #[arg(long, default_value_t = LIMIT, value_parser = clap::value_parser!(u32).range(1..=LIMIT_MAX))]
    limit: u32,
}

pub async fn run(args: ServiceArgs) -> anyhow::Result<u8> {
    let books = &args.books;
    let (json, text) = match args.command {
        ServiceCommand::Create(args) => create(books, args).await?,
        ServiceCommand::Show { name, last } => show(books, &name, last).await?,
        ServiceCommand::List(args) => list(&books.store().await?, &args).await?,
        ServiceCommand::Change(args) => change(books, args).await?,
        ServiceCommand::Enable(Previewed { name: service, preview }) => {
            apply(books, Action::Enable { service }, preview).await?
        }
        ServiceCommand::Extend(Previewed { name: service, preview }) => {
            apply(books, Action::Extend { service }, preview).await?
        }
        ServiceCommand::Disable { name: service } => apply(books, Action::Disable { service }, false).await?,
        ServiceCommand::Uncancel { name: service } => apply(books, Action::Uncancel { service }, false).await?,
        ServiceCommand::Removed { name: service } => apply(books, Action::Removed { service }, false).await?,
        ServiceCommand::Cancel { name: service, at_period_end } => {
            let when = if at_period_end { CancelWhen::PeriodEnd } else { CancelWhen::Now };
            apply(books, Action::Cancel { service, when }, false).await?
        }
        ServiceCommand::Void { name: service, reason, preview } => {
            apply(books, Action::Void { service, author: author(), reason }, preview).await?
        }
        ServiceCommand::Usage { name: service, component, quantity } => {
            apply(books, Action::Usage { service, component, quantity }, false).await?
        }
    };
    args.format.print(&json, &text)?;
    Ok(DONE)
}

/// An action on a service that is there, or its preview.
async fn apply(books: &Books, action: Action, only_preview: bool) -> anyhow::Result<(Value, String)> {
    let service = action.service().unwrap_or_default();
    act_or_preview(books, only_preview, &action, async |store| books::owner(store, service).await).await
}

async fn create(books: &Books, args: CreateArgs) -> anyhow::Result<(Value, String)> {
    let (quantities, options) = (once(args.quantities)?, args.options.into_iter().collect());
    let action = Action::CreateService { service: args.name, plan: args.plan, quantities, options };
    act_or_preview(books, args.preview, &action, async |store| books::account(store, &args.account).await).await
}

async fn change(books: &Books, args: ChangeArgs) -> anyhow::Result<(Value, String)> {
    let quantities = if args.quantities.is_empty() { None } else { Some(once(args.quantities)?) };
    let given = args.no_options || !args.options.is_empty();
    let options = given.then(|| args.options.into_iter().collect::<BTreeSet<_>>());
    let change = OrderChange { plan: args.plan, quantities, options };
    if change == OrderChange::default() {
        let ways = "give at least one of --plan, --quantity, --option and --no-options";
        return Err(BadInput(format!("nothing to change: {ways}")).into());
    }
    let action = Action::Change { service: args.name, change, confirm_data_loss: args.confirm_data_loss };
    apply(books, action, args.preview).await
}

fn once(given: Vec<(String, Quantity)>) -> Result<BTreeMap<String, Quantity>, BadInput> {
    let mut quantities = BTreeMap::new();
    for (component, quantity) in given {
        if quantities.insert(component.clone(), quantity).is_some() {
            return Err(BadInput(format!("--quantity {component}: it is given twice")));
        }
    }
    Ok(quantities)
}

async fn show(books: &Books, name: &str, last: u32) -> anyhow::Result<(Value, String)> {
    let office = books.office().await?;
    let store = &office.store;
    let owner = books::owner(store, name).await?;
    let service = store.service(name).await?;
    let Some(service) = service else { anyhow::bail!("service `{name}` is gone") };
    let number = service.service.number;
    let mut entries = store.transfers_of_service(owner, number, Timestamp::from_secs(i64::MAX), last).await?;
    let mut events = store.events_of_service(owner, number, last).await?;
    entries.reverse();
    events.reverse();
    let retention_ends = written(office.with_context(|cx| retention_end(&service.service.kind, cx)));
    let mut json = service_json(&service);
    json["retention_ends"] = json!(retention_ends);
    json["waiting_lines"] = json!(waiting_lines(&service));
    let json = json!({
        "service": json,
        "entries": entries.iter().map(entry_json).collect::<Vec<_>>(),
        "events": events.iter().map(event_json).collect::<Vec<_>>(),
    });
    let mut text = format!("{}, of account {}", service_line(&service), service.account);
    if let Some(at) = retention_ends {
        text += &format!(", kept until {at}");
    }
    if !entries.is_empty() {
        text += &format!("\n{}", entries_table(&entries, None, &Names::new()));
    }
    text += &format!("\n{}\nAs of {}.", events_table(&events), service.settled_at);
    Ok((json, text))
}

/// How many lines of a server are complete and wait for the next invoice.
fn waiting_lines(row: &ServiceRow) -> usize {
    row.service.server().map_or(0, |server| server.meter.pending.len() + server.meter.stretches.len())
}

async fn list(store: &Store, args: &ListArgs) -> anyhow::Result<(Value, String)> {
    let account = match &args.account {
        Some(name) => Some(books::account(store, name).await?),
        None => None,
    };
    let (state, mode) = (args.state.map(ServiceState::name), args.mode.map(Mode::from));
    let filter = ServiceFilter { account, state, mode, shown_only: false };
    let mut rows = store.services_page(&filter, &args.after, args.limit + 1).await?;
    let next = behind(&mut rows, args.limit).map(|last| last.service.name.clone());
    let json: Vec<Value> = rows.iter().map(service_json).collect();
    let text = if rows.is_empty() { "No services.".to_owned() } else { services_table(&rows) };
    Ok((json!({ "services": json, "next": next }), text + &more(next.as_deref())))
}
