//! `bursar prices withdraw`.

use store::Withdrawal;

use super::WithdrawArgs;
use crate::cli::books::author;
use crate::cli::{DONE, REFUSED};
use crate::input::BadInput;

pub async fn run(args: WithdrawArgs) -> anyhow::Result<u8> {
    if args.reason.trim().is_empty() {
        return Err(BadInput("--reason: say why, for who looks later".to_owned()).into());
    }
    let (store, id) = (args.books.store().await?, args.id);
    let now = jobs::Clock::system().now();
    let withdrawal = store.price_list_withdraw(id, &author(), &args.reason, now).await?;
    store.close().await;
    match withdrawal {
        Withdrawal::Done => println!("List {id} is withdrawn: nothing is priced by it any more."),
        Withdrawal::NoSuchList => {
            return Err(BadInput(format!("there is no list {id}; see `bursar prices list`")).into());
        }
        Withdrawal::Already => println!("List {id} was withdrawn before; nothing changes."),
        Withdrawal::NeededBy { list, plan } => {
            eprintln!(
                "refused: list {list} has new prices for plan `{plan}`, which list {id} brought; withdraw {list} first"
            );
            return Ok(REFUSED);
        }
        Withdrawal::Used(by) => {
            eprintln!("refused: list {id} is in use: {by}; apply a new list with the right prices instead");
            return Ok(REFUSED);
        }
    }
    Ok(DONE)
}
