//! `bursar prices withdraw`.

use serde_json::json;
use store::Withdrawal;

use super::WithdrawArgs;
use crate::cli::DONE;
use crate::cli::author::author;
use crate::cli::books::Refused;
use crate::cli::import::unfinished_import;
use crate::input::BadInput;

pub async fn run(args: WithdrawArgs) -> anyhow::Result<u8> {
    let (office, id) = (args.books.office_for_prices().await?, args.id);
    let (store, now) = (&office.store, office.clock.now());
    let withdrawal = store.price_list_withdraw(id, &author(), &args.reason, now).await?;
    store.close().await;
    let (already, text) = match withdrawal {
        Withdrawal::Done => (false, format!("List {id} is withdrawn: nothing is priced by it any more.")),
        Withdrawal::NoSuchList => {
            return Err(BadInput(format!("list {id}: there is no list {id}; see `bursar prices list`")).into());
        }
        Withdrawal::Already => (true, format!("List {id} was withdrawn before; nothing changes.")),
        Withdrawal::NeededBy { list, plan } => {
            let why =
                format!("list {list} has new prices for plan `{plan}`, which list {id} brought; withdraw {list} first");
            return Err(Refused { code: "needed_by_another", why }.into());
        }
        Withdrawal::Importing(file) => {
            let why = format!(
                "the import of {file} was checked with list {id} and is not finished: {}",
                unfinished_import(&args.books, &file)
            );
            return Err(Refused { code: "in_use", why }.into());
        }
        Withdrawal::Used(by) => {
            let why = format!("list {id} is in use: {by}; apply a new list with the right prices instead");
            return Err(Refused { code: "in_use", why }.into());
        }
    };
    args.format.print(&json!({ "list": id, "withdrawn": true, "before": already }), &text)?;
    Ok(DONE)
}
