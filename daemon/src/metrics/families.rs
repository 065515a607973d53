//! Every metric there is: its name, type and labels, and what it says. `docs/reference/metrics.md` is this list.

/// What a value does as time passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    /// Each has few values: never a name that a customer or an admin chose.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! families {
    ($($of:ident = $kind:ident $name:literal [$($label:ident),*] $help:literal;)*) => {
        $(pub static $of: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$(stringify!($label)),*],
            help: $help,
        };)*

        /// In the order in which they are told.
        pub static FAMILIES: &[&Family] = &[$(&$of),*];
    };
}

families! {
    BUILD_INFO = Gauge "bursar_build_info" [version, database, role]
        "Always 1: which program this is, on which kind of database, in which role.";
    READY = Gauge "bursar_ready" []
        "1 where /readyz says ready, else 0.";
    DATABASE_UP = Gauge "bursar_database_up" []
        "1 if the database answers and takes changes, else 0: what is read from the books is left out then.";
    BOOKS_READ = Gauge "bursar_books_read" []
        "1 if what is told of the books could be read from them, else 0: it is left out then.";
    QUEUE_UP = Gauge "bursar_queue_up" []
        "1 if the queue of work answers, wherever it lies, else 0; left out while the database does not.";
    CLOCK_IN_DOUBT = Gauge "bursar_clock_in_doubt" []
        "1 while this daemon does not believe its clock and settles nothing.";

    LAST_ALIVE = Gauge "bursar_last_alive_timestamp_seconds" []
        "When a daemon that runs jobs last said in the books that it lives.";
    CLOCK_DOUBTS = Gauge "bursar_clock_doubts" []
        "How many daemons have written into the books that they doubt their clocks.";
    JOB_LAST_SUCCESS = Gauge "bursar_job_last_success_timestamp_seconds" [job_name]
        "When the job last did its work to the end. Sweeps run only when something is due.";
    JOB_MISSED_SLOT = Gauge "bursar_job_missed_slot_timestamp_seconds" [job_name]
        "The first slot of the job that came more than ten minutes ago and has no run; left out if there is none.";
    JOB_FAILED = Gauge "bursar_job_failed" [job_name]
        "1 if the newest run of the job that ended has failed.";
    JOB_PAUSED = Gauge "bursar_job_paused" [job_name]
        "1 while an admin has the job paused.";
    RUNS_HELD = Gauge "bursar_runs_held" [job_name]
        "Runs that are held until an admin has looked.";
    RUNS_UNATTENDED = Gauge "bursar_runs_unattended" [job_name]
        "Runs on which nobody has worked for ten minutes, though nothing holds them.";
    ACCOUNTS_DUE = Gauge "bursar_accounts_due" [kind]
        "Accounts with something due, up to 100,000, without parked ones. Daily: what runs have still to look at.";
    ACCOUNTS_DUE_OLDEST = Gauge "bursar_accounts_due_oldest_timestamp_seconds" [kind]
        "Since when the longest waiting of them is due; left out if there is none.";
    KEPT_BACK = Gauge "bursar_due_kept_back" [kind]
        "1 while what is due of the kind waits for an admin: for the release of a held run, or a paused job's return.";
    PARKED = Gauge "bursar_accounts_parked" []
        "Accounts that could not be settled and are put aside, up to 100,000.";
    PARKED_OLDEST = Gauge "bursar_accounts_parked_oldest_timestamp_seconds" []
        "Since when the longest parked of them is; left out if there is none.";
    INTENTS = Gauge "bursar_card_charges_unanswered" []
        "Card charges without an answer yet, up to 100,000.";
    INTENTS_OLDEST = Gauge "bursar_card_charges_unanswered_oldest_timestamp_seconds" []
        "When the oldest of them was asked for; left out if there is none.";
    RECEIPTS = Gauge "bursar_payments_unbooked" []
        "Payments that came and are not in the ledger yet, up to 100,000.";
    RECEIPTS_OLDEST = Gauge "bursar_payments_unbooked_oldest_timestamp_seconds" []
        "When the oldest of them came; left out if there is none.";
    DOCUMENTS = Gauge "bursar_documents_unnumbered" []
        "Invoices and credit notes without a public number yet, up to 100,000 of each.";
    DOCUMENTS_OLDEST = Gauge "bursar_documents_unnumbered_oldest_timestamp_seconds" []
        "When the oldest of them was issued; left out if there is none.";
    AUDIT = Gauge "bursar_audit_unsealed" []
        "Rows of the audit log that are not sealed yet, up to 100,000.";
    AUDIT_OLDEST = Gauge "bursar_audit_unsealed_oldest_timestamp_seconds" []
        "When the oldest of them was written; left out if there is none.";
    WAKES = Gauge "bursar_queue_wakes_waiting" []
        "Wakes in the queue that no worker has taken yet.";

    MONEY = Counter "bursar_money_moved_micros_total" [kind, currency]
        "Booked by this process since its start, by kind of transfer, in millionths of the currency.";
    FAILURES = Counter "bursar_work_failures_total" [job_name]
        "How often work of the job stopped with an error in this process; it is due again.";
    RUN_SECONDS = Histogram "bursar_run_duration_seconds" [job_name]
        "How long runs took that this process finished, in whole seconds.";
    BATCH_SECONDS = Histogram "bursar_batch_duration_seconds" [job_name]
        "How long batches of accounts took: loaded, decided and committed.";
    COMMIT_SECONDS = Histogram "bursar_commit_duration_seconds" []
        "How long commits of decisions took, of jobs and of requests.";
    REQUESTS = Counter "bursar_http_requests_total" [operation, status]
        "Answers by the operation's id in /openapi.json; `other` are health checks and what is no operation.";
    REQUEST_SECONDS = Histogram "bursar_http_request_duration_seconds" [operation]
        "How long requests took until their answers began.";

    CONNECTIONS_OPEN = Gauge "bursar_database_connections" [pool]
        "Connections to the database that are open.";
    CONNECTIONS_IDLE = Gauge "bursar_database_connections_idle" [pool]
        "Those of them that nobody uses.";
    CONNECTIONS_MOST = Gauge "bursar_database_connections_max" [pool]
        "How many there may be.";
    CONNECTIONS_WAITING = Gauge "bursar_database_connections_waiting" [pool]
        "Statements and transactions that wait for a connection.";

    CPU = Counter "process_cpu_seconds_total" []
        "Time that the process kept a core busy.";
    RESIDENT = Gauge "process_resident_memory_bytes" []
        "Memory that is in use.";
    OPEN_FILES = Gauge "process_open_fds" []
        "Open files and sockets.";
    MOST_FILES = Gauge "process_max_fds" []
        "How many there may be.";
    THREADS = Gauge "process_threads" []
        "Threads of the process.";
    STARTED = Gauge "process_start_time_seconds" []
        "When the daemon started.";
}
