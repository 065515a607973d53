//! `bursar prices withdraw`.

use jobs::Office;
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
    let way_out = |file: &str| unfinished_import(&args.books, file);
    let before = withdraw(&office, id, &author(), &args.reason, way_out).await?;
    office.store.close().await;
    let text = match before {
        false => format!("List {id} is withdrawn: nothing is priced by it any more."),
        true => format!("List {id} was withdrawn before; nothing changes."),
    };
    args.format.print(&json!({ "list": id, "withdrawn": true, "before": before }), &text)?;
    Ok(DONE)
}

/// Withdraws a list, or says why not; whether it was withdrawn before. `way_out` says what to do about the import of a
/// file that was cut off.
pub async fn withdraw(
    office: &Office,
    id: i64,
    author: &str,
    reason: &str,
    way_out: impl Fn(&str) -> String,
) -> anyhow::Result<bool> {
    let in_use = |why: String| Err(Refused { code: "in_use", why }.into());
    match office.store.price_list_withdraw(id, author, reason, office.clock.now()).await? {
        Withdrawal::Done => Ok(false),
        Withdrawal::Already => Ok(true),
        Withdrawal::NoSuchList => {
            Err(BadInput(format!("list {id}: there is no list {id}; see `bursar prices list`")).into())
        }
        Withdrawal::NeededBy { list, plan } => {
            let why =
                format!("list {list} has new prices for plan `{plan}`, which list {id} brought; withdraw {list} first");
            Err(Refused { code: "needed_by_another", why }.into())
        }
        Withdrawal::Importing(file) => {
            in_use(format!("the import of {file} was checked with list {id} and is not finished: {}", way_out(&file)))
        }
        Withdrawal::Used(by) => {
            in_use(format!("list {id} is in use: {by}; apply a new list with the right prices instead"))
        }
    }
}
