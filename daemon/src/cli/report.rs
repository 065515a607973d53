//! `bursar report`.

use clap::Subcommand;
use rules::{Micros, Period, RevenueMoves, Timestamp};
use serde_json::{Value, json};
use store::{RevenueKey, Store};

use crate::cli::books::{Books, NotNow};
use crate::cli::{DONE, Format};
use crate::tables::table;

#[derive(clap::Args)]
pub struct ReportArgs {
    #[command(flatten)]
    books: Books,
    #[arg(long, value_enum, default_value_t = Format::Table, global = true)]
    format: Format,
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Subcommand)]
enum ReportCommand {
    /// Revenue of a month by currency and plan: billed, earned, and what is deferred and accrued at its end
    ///
    /// A charge is billed at its own second and earned as its period passes, second by second. Billed and not yet
    /// earned is deferred; earned and not yet billed is accrued. For each row, opening + billed - earned = closing,
    /// where closing is deferred less accrued. What an admin charged is billed and earned at once, under no plan.
    /// Bonuses and write-offs are no revenue: they are costs. Of a month that still runs it shows what is so now; what
    /// is invoiced behind (hours, traffic, the first days of a server) comes into it with its invoice, on the 1st.
    ///
    /// Examples:
    ///   bursar report revenue --month 2026-03
    ///   bursar report revenue --month 2026-03 --format json
    #[command(verbatim_doc_comment)]
    Revenue {
        /// As in 2026-03
        #[arg(long, value_parser = month)]
        month: Period,
    },
}

/// A month of the calendar, as in `2026-03`.
pub fn month(text: &str) -> Result<Period, String> {
    let is_month = text.len() == 7 && text.as_bytes()[4] == b'-';
    let start = Timestamp::parse(&format!("{text}-01T00:00:00Z")).filter(|_| is_month);
    start.map(Period::month_of).ok_or_else(|| "it is a month like 2026-03".to_owned())
}

pub fn month_name(month: Period) -> String {
    month.from.to_string().chars().take(7).collect()
}

pub async fn run(args: ReportArgs) -> anyhow::Result<u8> {
    let ReportCommand::Revenue { month } = args.command;
    let store = args.books.store().await?;
    let (time, revenue) = revenue(&store, month, jobs::Clock::system().now()).await?;
    args.format.print(&json_of(&revenue, month, time), &text(&revenue, time))?;
    Ok(DONE)
}

type Revenue = Vec<(RevenueKey, RevenueMoves)>;

/// The revenue of a month as far as it has gone by, and how far that is.
pub async fn revenue(store: &Store, month: Period, now: Timestamp) -> anyhow::Result<(Period, Revenue)> {
    if now <= month.from {
        return Err(NotNow(format!("{} has not begun", month_name(month))).into());
    }
    let time = Period::new(month.from, month.to.min(now));
    Ok((time, store.revenue(time).await?.into_iter().collect()))
}

pub fn json_of(revenue: &[(RevenueKey, RevenueMoves)], month: Period, time: Period) -> Value {
    let rows: Vec<Value> = revenue.iter().map(|(key, moves)| row_json(key, moves)).collect();
    json!({ "month": month_name(month), "until": time.to.to_string(), "rows": rows })
}

const COLUMNS: [&str; 8] = ["currency", "plan", "opening", "billed", "earned", "closing", "deferred", "accrued"];

fn amounts(moves: &RevenueMoves) -> [String; 6] {
    let sums = [moves.opening(), moves.billed, moves.earned, moves.closing(), moves.deferred, moves.accrued];
    sums.map(|sum| i64::try_from(sum).map_or_else(|_| format!("{sum} micro-units"), |sum| Micros::new(sum).to_string()))
}

fn row_json((currency, plan): &RevenueKey, moves: &RevenueMoves) -> Value {
    let mut row = json!({ "currency": currency, "plan": plan });
    for (column, amount) in COLUMNS.iter().skip(2).zip(amounts(moves)) {
        row[*column] = json!(amount);
    }
    row
}

/// A row for each plan, and one for each currency.
fn text(revenue: &[(RevenueKey, RevenueMoves)], time: Period) -> String {
    if revenue.is_empty() {
        return format!("Nothing was billed or earned until {}.", time.to);
    }
    let mut table = table(&COLUMNS, &[2, 3, 4, 5, 6, 7]);
    for of_currency in revenue.chunk_by(|one, other| one.0.0 == other.0.0) {
        let mut total = RevenueMoves::default();
        for ((currency, plan), moves) in of_currency {
            let name = plan.as_deref().unwrap_or("(an admin's charges)");
            table.add_row([vec![currency.clone(), name.to_owned()], amounts(moves).to_vec()].concat());
            total.add(moves);
        }
        let currency = of_currency[0].0.0.clone();
        table.add_row([vec![currency, "all".to_owned()], amounts(&total).to_vec()].concat());
    }
    format!("Revenue from {} until {}\n{table}", time.from, time.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_read_as_it_is_printed() {
        for text in ["2026-03", "2027-12"] {
            assert_eq!(month_name(month(text).expect(text)), text);
        }
        for bad in ["2026-13", "2026-3", "2026-03-01", "03-2026", ""] {
            assert!(month(bad).is_err(), "{bad}");
        }
    }
}
