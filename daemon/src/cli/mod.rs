//! The command line. Exit status 0: done; 1: it could not be done; 2: what was given is wrong; 3: the rules
//! refuse it; 4: not now; 78: the daemon cannot start with its configuration.

mod account;
pub mod act;
mod ask;
mod author;
mod backup;
pub mod books;
mod check;
mod clock;
mod config;
pub mod deposit;
pub mod details;
mod doctor;
pub mod explain;
pub mod failure;
mod fence;
mod given;
mod import;
pub mod invoice;
pub mod jobs;
mod keys;
mod migrate;
pub mod month;
mod out;
pub mod prices;
pub mod printed;
pub mod reference;
pub mod refusal;
pub mod report;
mod restore;
pub mod rows;
pub mod runs;
mod serve;
mod service;
mod simulate;
pub mod statement;
mod verify;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::cli::books::Books;
use crate::cli::out::Format;

/// Done.
pub const DONE: u8 = 0;
/// It could not be done; the reason is on stderr.
pub const FAILED: u8 = 1;
/// What was given is wrong: every problem is on stderr, and nothing was begun.
pub const BAD_INPUT: u8 = 2;
/// The rules refuse it: nothing moved.
pub const REFUSED: u8 = 3;
/// It can be done, but not now: nothing moved.
pub const NOT_NOW: u8 = 4;
/// The daemon's configuration is wrong, which no second start mends: EX_CONFIG of sysexits.h, as systemd knows it.
pub const MISCONFIGURED: u8 = 78;
/// Nobody reads what it prints, as shells tell of it: 128 and the number of SIGPIPE.
pub const NOBODY_READS: u8 = 141;

/// How many rows a list shows at once.
const LIMIT: u32 = 50;
const LIMIT_MAX: i64 = 10_000;

/// The billing office of a cloud host, as one daemon.
///
/// Exit status: 0 done, 1 it could not be done, 2 what was given is wrong (nothing was begun), 3 the rules
/// refuse it (nothing moved), 4 not now (nothing moved; stderr says when), 78 the daemon cannot start with its
/// configuration, 141 nobody read on (what was asked for may be done).
///
/// With --format json results are JSON on stdout, and why something was not done is a JSON object on stderr.
#[derive(Parser)]
#[command(name = "bursar", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bill three sample hosts: last month played, tonight's midnight live, one charge explained
    ///
    /// Needs nothing and leaves nothing: the books are a throwaway SQLite file. Exits with 0 only if they verify.
    Demo(DemoArgs),
    /// Play a scenario through the real engine, on a clock of its own
    ///
    /// Examples:
    ///   bursar simulate tests/scenarios/quarter.json
    ///   bursar simulate tests/scenarios/quarter.json --format json
    ///   bursar simulate tests/scenarios/quarter.json --disturb 7
    #[command(verbatim_doc_comment)]
    Simulate(SimulateArgs),
    /// Run the daemon
    ///
    /// Examples:
    ///   bursar serve --config config/bursar.toml
    ///   bursar serve --database-url sqlite:books.db --listen 127.0.0.1:8484
    #[command(verbatim_doc_comment)]
    Serve(ServeArgs),
    /// What runs when: list, enqueue, pause and resume jobs
    Jobs(jobs::JobsArgs),
    /// What ran and runs: list, show, watch, cancel, release and retry runs
    Runs(runs::RunsArgs),
    /// Whether the daemon believes its clock, and what to say when it does not
    Clock(clock::ClockArgs),
    /// Look at all that keeps the daemon from its work, or soon will, and say what to do; exits with 1 if there is any
    ///
    /// Examples:
    ///   bursar doctor
    ///   bursar doctor --config config/bursar.toml --format json
    #[command(verbatim_doc_comment)]
    Doctor(doctor::DoctorArgs),
    /// Check the books' invariants; names every account that breaks one
    ///
    /// Examples:
    ///   bursar verify --database-url sqlite:books.db
    ///   bursar verify --database-url sqlite:books.db --account ann --format json
    #[command(verbatim_doc_comment)]
    Verify(VerifyArgs),
    /// Accounts: open, show, deposit, details, adjust, suspend, restore, close
    ///
    /// No card can be saved yet, except by a scenario in the simulator: that waits for payment providers. Until
    /// then money comes by `accounts deposit`, and what only a card can pay is refused.
    #[command(name = "accounts")]
    Account(account::AccountArgs),
    /// Services: create, show, change, enable, disable, extend, cancel, report usage
    #[command(name = "services")]
    Service(service::ServiceArgs),
    /// A wallet's entries with their balances, and the invoices still open
    ///
    /// Examples:
    ///   bursar statement ann
    ///   bursar statement ann --from 2026-03-01 --to 2026-04-01 --format json
    #[command(verbatim_doc_comment)]
    Statement(statement::StatementArgs),
    /// Say why: of an entry, a line of an invoice, an event or a refusal, by the reference that tables show
    ///
    /// Examples:
    ///   bursar explain ann/t12
    ///   bursar explain ann/i3/2 --format json
    ///   bursar explain ann/e7
    ///   bursar explain ann/r3
    #[command(verbatim_doc_comment)]
    Explain(explain::ExplainArgs),
    /// Invoices and their lines: list, show, credit, write off
    #[command(name = "invoices")]
    Invoice(invoice::InvoiceArgs),
    /// Keys for the HTTP API: create, list, revoke
    Keys(keys::KeysArgs),
    /// Reports for accountants
    Report(report::ReportArgs),
    /// Close months, and list those that are closed
    #[command(name = "books")]
    Month(month::BooksArgs),
    /// Copy the books, as they are at one moment, into a file, beside the daemon that serves them
    ///
    /// Of an SQLite file the copy is an SQLite file, of PostgreSQL a dump by pg_dump (Debian: postgresql-client).
    /// Nobody who writes waits for it. FILE has its name only once all of it is on the disk and was read through; it
    /// is its owner's alone. Bring it back by `bursar restore`; a copy calls no provider before `bursar fence lift`.
    ///
    /// Examples:
    ///   bursar backup --to /var/backups/bursar.db
    ///   bursar backup --to bursar-monday.dump --replace --config bursar.toml --format json
    #[command(verbatim_doc_comment)]
    Backup(backup::BackupArgs),
    /// Bring a copy of the books back, into a new file or an empty database, behind a fence, and verify it
    ///
    /// The copy is checked first, and brought up to this program's schema; FILE stays as it is. What comes back can be
    /// served and read. Nothing is changed in it and no provider is asked before `bursar fence lift`, for the original
    /// may live. No password on the command line: write it into ~/.pgpass, or set PGPASSWORD.
    ///
    /// Examples:
    ///   bursar restore --from /var/backups/bursar.db --to sqlite:/var/lib/bursar/bursar.db
    ///   bursar restore --from bursar.dump --to postgres://bursar@db.example/bursar
    #[command(verbatim_doc_comment)]
    Restore(restore::RestoreArgs),
    /// Whether these books are a copy that is only read: show, raise and lift its fence
    Fence(fence::FenceArgs),
    /// Move the books of one host from its SQLite file to a PostgreSQL server, while no daemon serves them
    ///
    /// Both sides are verified, and every table must come out the same; otherwise nothing is moved. The file stays as
    /// it is. No password on the command line: write it into ~/.pgpass, or set PGPASSWORD.
    ///
    /// Examples:
    ///   bursar migrate --from sqlite:/var/lib/bursar/bursar.db --to postgres://bursar@db.example/bursar
    #[command(verbatim_doc_comment)]
    Migrate(migrate::MigrateArgs),
    /// The configuration: check a file, and show what holds by it
    #[command(subcommand)]
    Config(config::Config),
    /// Bring in the accounts of a host that moves here
    ///
    /// The file is checked whole before anything is written. The same file twice changes nothing; one that was
    /// cut off goes on where it was, with the same command; if it cannot, give it up.
    ///
    /// Examples:
    ///   bursar import move.jsonl --dry-run
    ///   bursar import move.jsonl --as-of 2026-04-01T02:00:00Z --config bursar.toml
    ///   bursar import move.jsonl --format json
    ///   bursar import move.jsonl --give-up --reason "the file is lost"
    #[command(verbatim_doc_comment)]
    Import(import::ImportArgs),
    /// Check, compare, publish, withdraw and show price lists
    #[command(subcommand)]
    Prices(prices::Prices),
}

#[derive(clap::Args)]
struct DemoArgs {
    /// Keep the books in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

#[derive(clap::Args)]
struct SimulateArgs {
    /// The scenario, in JSON or TOML
    file: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Make job execution unreliable, deterministically from this seed; the output stays the same
    #[arg(long, value_name = "SEED")]
    disturb: Option<u64>,
    /// An empty database to play in, and to keep: sqlite:PATH or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

#[derive(clap::Args)]
struct ServeArgs {
    /// The configuration file; without one every key has its default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Instead of the configuration's `database`: sqlite:PATH or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// Of several daemons over one PostgreSQL: what this one does
    #[arg(long, value_enum, default_value_t)]
    role: crate::serve::Role,
    /// Instead of the configuration's `listen`
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<std::net::SocketAddr>,
    /// Instead of the configuration's `metrics_listen`: where Prometheus is answered
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<std::net::SocketAddr>,
}

#[derive(clap::Args)]
struct VerifyArgs {
    #[command(flatten)]
    books: Books,
    /// Only this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// A seal of the audit log that was told before and kept elsewhere: whether the log still has it
    #[arg(long, value_name = "PLACE:HASH", value_parser = verify::seal, conflicts_with = "account")]
    audit_seal: Option<verify::Seal>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Reads the arguments and does what they say.
pub fn run() -> ExitCode {
    let as_json = failure::wants_json(env::args());
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        given::keep(&matches);
        Cli::from_arg_matches(&matches)
    });
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return failure::end_of_arguments(&error, as_json),
    };
    // While there is one thread only.
    let listener = match cli.command {
        Command::Serve(_) => crate::serve::listener::inherited(),
        _ => Ok(None),
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return failure::end(&error, as_json),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return failure::end(&anyhow::Error::from(error).context("cannot start"), as_json);
        }
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => crate::demo::demo(args.keep.as_deref()).await.map(|()| DONE),
            Command::Simulate(args) => simulate::run(args).await,
            Command::Serve(args) => serve::run(args, listener).await,
            Command::Jobs(args) => jobs::run(args).await,
            Command::Runs(args) => runs::run(args).await,
            Command::Clock(args) => clock::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Verify(args) => verify::run(args).await,
            Command::Account(args) => account::run(args).await,
            Command::Service(args) => service::run(args).await,
            Command::Statement(args) => statement::run(args).await,
            Command::Explain(args) => explain::run(args).await,
            Command::Invoice(args) => invoice::run(args).await,
            Command::Keys(args) => keys::run(args).await,
            Command::Report(args) => report::run(args).await,
            Command::Month(args) => month::run(args).await,
            Command::Backup(args) => backup::run(args).await,
            Command::Restore(args) => restore::run(args).await,
            Command::Fence(args) => fence::run(args).await,
            Command::Migrate(args) => migrate::run(args).await,
            Command::Config(command) => config::run(command),
            Command::Import(args) => import::run(args).await,
            Command::Prices(command) => prices::run(command).await,
        }
    });
    match done {
        Ok(status) => ExitCode::from(status),
        Err(error) => failure::end(&error, as_json),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use clap::error::ErrorKind;

    use super::*;

    fn documents() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let (mut found, mut folders) = (vec![root.join("README.md")], vec![root.join("docs"), root.join("systemd")]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()) {
                match path.extension() {
                    None if path.is_dir() => folders.push(path),
                    Some(kind) if kind == "md" => found.push(path),
                    _ => {}
                }
            }
        }
        found
    }

    /// Words as a shell splits them, up to where another command begins.
    fn words(command: &str) -> Vec<String> {
        let quoted = command.split('"').enumerate();
        let words = quoted.flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        });
        words.take_while(|word| word != "|" && word != ">").collect()
    }

    /// What stands between backticks and begins with the program's name.
    fn inline(text: &str) -> Vec<String> {
        let prose = text.split("```").step_by(2).collect::<Vec<_>>().join(" ");
        let spans: Vec<&str> = prose.split('`').skip(1).step_by(2).collect();
        spans.into_iter().filter(|span| span.starts_with("bursar ")).map(str::to_owned).collect()
    }

    #[test]
    fn commands_in_the_text_of_documents_are_those_of_the_program() {
        // What a sentence leaves out, or calls by a word in capitals, is for the reader to fill in.
        const LEFT_OUT: [ErrorKind; 5] = [
            ErrorKind::MissingRequiredArgument,
            ErrorKind::MissingSubcommand,
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ErrorKind::DisplayHelp,
            ErrorKind::InvalidValue,
        ];
        let (mut found, mut wrong) = (0, Vec::new());
        for document in documents() {
            for command in inline(&fs::read_to_string(&document).expect("a text")) {
                found += 1;
                let words = words(&command.replace("COMMAND", "verify").replace("RUN", "1").replace("LIST", "1"));
                let words: Vec<String> = words
                    .into_iter()
                    .map(|word| if word == "TIME" { "2026-01-01T00:00:00Z".to_owned() } else { word })
                    .collect();
                match Cli::try_parse_from(&words) {
                    Err(error) if !LEFT_OUT.contains(&error.kind()) => {
                        wrong.push(format!("{}: {command}: {error}", document.display()));
                    }
                    _ => {}
                }
            }
        }
        assert!(found > 15, "only {found} commands");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(Cli::try_parse_from(["bursar", "runs", "cansel"]).is_err());
    }
}
