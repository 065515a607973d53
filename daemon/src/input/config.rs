//! The daemon's configuration, `bursar.toml`. Every key has a default; `config/bursar.toml` tells why.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use jobs::Band;
use rules::Policy;
use store::{Address, without_password};
use tracing_subscriber::EnvFilter;

use super::document::{self, Format, Node};
use super::prices::{PriceListFile, read_price_lists};
use super::problem::Problems;
use super::reader::{Report, Table, Value};
use super::secrets::{self, DATABASE_PASSWORD, QUEUE_PASSWORD};
use super::{policy, words};

const KEYS: &[&str] = &[
    "database",
    "database_password_file",
    "queue",
    "listen",
    "metrics_listen",
    "trusted_proxies",
    "log",
    "billing",
    "documents",
    "hold",
    "prices",
];
const LOG_KEYS: &[&str] = &["format", "filter"];
const HOLD_KEYS: &[&str] = &["enabled", "growth_percent", "least_amount", "least_stops"];
const PRICES_KEYS: &[&str] = &["files"];

const MOST_GROWTH_PERCENT: u32 = 10_000;

const DEFAULT_PORT: u16 = 8484;

#[derive(Clone, PartialEq, Eq)]
pub struct Config {
    /// `sqlite:` and a path, or a PostgreSQL URL, which may carry a password: never to be printed.
    pub database: String,
    /// Where its password is from, if a key says so.
    pub database_password_file: Option<PathBuf>,
    /// The Redis that carries the queue; none where it lies in the database. It may carry a password, too.
    pub queue: Option<String>,
    pub queue_password_file: Option<PathBuf>,
    /// Of the API and the health checks.
    pub listen: SocketAddr,
    /// Of the metrics; none, and nobody is told any.
    pub metrics_listen: Option<SocketAddr>,
    /// Whose word on where a request comes from is taken.
    pub trusted_proxies: Vec<IpAddr>,
    pub log: Log,
    pub policy: Policy,
    /// Beyond it a calendar run is held; none if every run goes by itself.
    pub band: Option<Band>,
    /// Price lists that a new database begins with.
    pub price_files: Vec<PathBuf>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    pub format: LogFormat,
    /// Which lines are written, as `tracing` reads it: `info`, `bursar=debug,warn`.
    pub filter: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Text,
    Json,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.queue.as_deref().map(without_password);
        let mut shown = f.debug_struct("Config");
        shown.field("database", &without_password(&self.database)).field("queue", &queue);
        shown
            .field("listen", &self.listen)
            .field("metrics_listen", &self.metrics_listen)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("log", &self.log)
            .field("policy", &self.policy);
        shown.field("band", &self.band).field("price_files", &self.price_files).finish()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database: "sqlite:/var/lib/bursar/bursar.db".to_owned(),
            database_password_file: None,
            queue: None,
            queue_password_file: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            metrics_listen: None,
            trusted_proxies: Vec::new(),
            log: Log::default(),
            policy: Policy::default(),
            band: Some(Band::default()),
            price_files: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl Config {
    /// Relative paths in it begin at the file's folder.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::of(&path.display().to_string(), &document::load(path)?, folder)
    }

    /// The same with the price lists that it names; what is wrong with any of it is told at once.
    pub fn read_whole(path: &Path) -> Result<(Self, Vec<PriceListFile>), Problems> {
        let (file, node) = (path.display().to_string(), document::load(path)?);
        let folder = path.parent().unwrap_or(Path::new(""));
        // What is wrong with the names themselves is told once, with the configuration.
        let aside = Report::new(file.clone());
        let named = Value::document(&node, &aside).table("a table").and_then(|table| price_files(&table, folder));
        let lists = named.map_or_else(|| Ok(Vec::new()), |files| read_price_lists(&files));
        match (Self::of(&file, &node, folder), lists) {
            (Ok(config), Ok(lists)) => Ok((config, lists)),
            (config, lists) => {
                let problems = [config.err(), lists.err()].into_iter().flatten().flat_map(Problems::into_vec);
                Err(problems.collect::<Vec<_>>().into())
            }
        }
    }

    /// Reads a text; `file` is only a name for the problems.
    pub fn parse(file: &str, text: &str, format: Format, folder: &Path) -> Result<Self, Problems> {
        Self::of(file, &document::parse(file, text, format)?, folder)
    }

    fn of(file: &str, node: &Node, folder: &Path) -> Result<Self, Problems> {
        let report = Report::new(file.to_owned());
        let config = config(&Value::document(node, &report), folder);
        Problems::checked(report.into_problems(), config)
    }
}

fn config(document: &Value<'_>, folder: &Path) -> Option<Config> {
    let table = document.table("a configuration is a table")?;
    table.only(KEYS);
    let default = Config::default();
    let password_file = table.maybe("database_password_file", |value| secrets::path(value, folder));
    let database = table.or("database", default.database, |value| database(value, folder)).and_then(|url| {
        let secret = (DATABASE_PASSWORD, password_file.as_ref()?.as_deref());
        secrets::complete(url, &table, "database_password_file", secret)
    });
    let queue = table.or("queue", (default.queue, None), |value| queue(value, folder));
    let listens = table.or("listen", default.listen, listen);
    let metrics_listen = table.maybe("metrics_listen", |value| {
        let address = listen(value)?;
        match listens == Some(address) && address.port() != 0 {
            true => value.refuse("it is where `listen` answers already: give the metrics another port"),
            false => Some(address),
        }
    });
    let trusted_proxies = table.or("trusted_proxies", default.trusted_proxies, addresses);
    let log = table.or("log", default.log, log);
    let default_documents = default.policy.documents.clone();
    let policy = table.or("billing", default.policy, policy::read);
    let documents = table.or("documents", default_documents, policy::documents);
    let band = table.or("hold", default.band, band);
    let price_files = price_files(&table, folder);
    let policy = Policy { documents: documents?, ..policy? };
    let (queue, queue_password_file) = queue?;
    Some(Config {
        database: database?,
        database_password_file: password_file?,
        queue,
        queue_password_file,
        listen: listens?,
        metrics_listen: metrics_listen?,
        trusted_proxies: trusted_proxies?,
        log: log?,
        policy,
        band: band?,
        price_files: price_files?,
    })
}

fn database(value: &Value<'_>, folder: &Path) -> Option<String> {
    let Some(url) = value.as_str() else {
        return value.refuse("a database is \"sqlite:\" and a path, like \"sqlite:/var/lib/bursar/bursar.db\"");
    };
    let path = match Address::parse(url) {
        Ok(Address::Sqlite(path)) => folder.join(path),
        Ok(Address::Postgres(_)) => return Some(url.to_owned()),
        Err(error) => return value.fail(error.to_string()),
    };
    // Piece by piece: two slashes at the beginning would be read as the address's.
    let path: PathBuf = path.components().collect();
    let Some(path) = path.to_str() else { return value.fail("the path to this file's folder is not UTF-8") };
    let url = format!("sqlite:{path}");
    match Address::parse(&url) {
        Ok(_) => Some(url),
        Err(error) => value.fail(error.to_string()),
    }
}

const QUEUE_KEYS: &[&str] = &["url", "password_file"];

fn queue(value: &Value<'_>, folder: &Path) -> Option<(Option<String>, Option<PathBuf>)> {
    let table = value.table("queue is a table")?;
    table.only(QUEUE_KEYS);
    let password_file = table.maybe("password_file", |value| secrets::path(value, folder))?;
    let read = |value: &Value<'_>| {
        let url = words::text(value)?;
        match url.starts_with("redis://") || url.starts_with("unix://") {
            true => Some(url),
            // What stands here may hold a password.
            false => value.fail("it must be the URL of a Redis, like \"redis://127.0.0.1:6379\", without TLS"),
        }
    };
    let url = match password_file {
        None => table.maybe("url", read)?,
        Some(_) => Some(table.need("url", read)?),
    };
    let secret = (QUEUE_PASSWORD, password_file.as_deref());
    let url = match url {
        Some(url) => Some(secrets::complete(url, &table, "password_file", secret)?),
        None => None,
    };
    Some((url, password_file))
}

fn listen(value: &Value<'_>) -> Option<SocketAddr> {
    let address = value.as_str().and_then(|text| text.parse().ok());
    address.or_else(|| value.refuse("it is an IP address and a port, like \"127.0.0.1:8484\" or \"[::1]:8484\""))
}

fn addresses(value: &Value<'_>) -> Option<Vec<IpAddr>> {
    let items = value.list("it is a list of IP addresses, like [\"127.0.0.1\"]")?;
    let read = |item: &Value<'_>| {
        let address = item.as_str().and_then(|text| text.parse().ok());
        address.or_else(|| item.refuse("it is an IP address, like \"127.0.0.1\""))
    };
    let read: Vec<Option<IpAddr>> = items.iter().map(read).collect();
    read.into_iter().collect()
}

fn log(value: &Value<'_>) -> Option<Log> {
    let table = value.table("log is a table")?;
    table.only(LOG_KEYS);
    let default = Log::default();
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = table.or("format", default.format, words::one_of(&formats));
    let filter = table.or("filter", default.filter, filter);
    Some(Log { format: format?, filter: filter? })
}

fn filter(value: &Value<'_>) -> Option<String> {
    let filter = words::text(value)?;
    match EnvFilter::try_new(&filter) {
        Ok(_) => Some(filter),
        Err(error) => value.refuse(&format!("a filter is like \"info\" or \"bursar=debug,warn\" ({error})")),
    }
}

fn band(value: &Value<'_>) -> Option<Option<Band>> {
    let table = value.table("hold is a table")?;
    table.only(HOLD_KEYS);
    let default = Band::default();
    let enabled = table.or("enabled", true, words::flag);
    let growth_percent = table.or("growth_percent", default.growth_percent, words::whole(0..=MOST_GROWTH_PERCENT));
    let least_amount = table.or("least_amount", default.least_amount, words::amount);
    let least_stops = table.or("least_stops", default.least_stops, words::whole(0..=u32::MAX));
    let band = Band { growth_percent: growth_percent?, least_amount: least_amount?, least_stops: least_stops? };
    Some(enabled?.then_some(band))
}

fn price_files(config: &Table<'_>, folder: &Path) -> Option<Vec<PathBuf>> {
    config.or("prices", Vec::new(), |value| {
        let table = value.table("prices is a table")?;
        table.only(PRICES_KEYS);
        table.or("files", Vec::new(), |files| {
            let items = files.list("files are a list of paths, like [\"prices/vps.toml\"]")?;
            let paths: Vec<Option<PathBuf>> =
                items.iter().map(|item| words::text(item).map(|path| folder.join(path))).collect();
            paths.into_iter().collect()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Config, Problems> {
        Config::parse("bursar.toml", text, Format::Toml, Path::new("/etc/bursar"))
    }

    #[test]
    fn the_shipped_file_says_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/bursar.toml");
        assert_eq!(Config::read(&path).map_err(|problems| problems.to_string()), Ok(Config::default()));
        assert_eq!(parsed(""), Ok(Config::default()));
    }

    #[test]
    fn relative_paths_begin_at_the_files_folder() {
        let config = parsed("database = \"sqlite:books/b.db\"\nprices.files = [\"vps.toml\", \"/srv/c.toml\"]");
        let config = config.expect("a configuration");
        assert_eq!(config.database, "sqlite:/etc/bursar/books/b.db");
        assert_eq!(config.price_files, [Path::new("/etc/bursar/vps.toml"), Path::new("/srv/c.toml")]);
        for (folder, written, read) in [
            ("/etc/bursar", "sqlite:///var/b.db", "sqlite:/var/b.db"),
            ("/etc/bursar", "sqlite:////var/b.db", "sqlite:/var/b.db"),
            ("/etc/bursar", "sqlite://b.db", "sqlite:/etc/bursar/b.db"),
            ("//etc/bursar", "sqlite:b.db", "sqlite:/etc/bursar/b.db"),
            ("/srv/100%/what?", "sqlite:b%20c.db", "sqlite:/srv/100%/what?/b%20c.db"),
        ] {
            let text = format!("database = \"{written}\"");
            let config = Config::parse("bursar.toml", &text, Format::Toml, Path::new(folder)).expect(written);
            assert_eq!(config.database, read);
        }
    }

    #[test]
    fn a_database_that_the_daemon_could_not_open_is_refused() {
        for database in
            ["sqlite::memory:", "sqlite:", "sqlite://", "books.db", "mysql://localhost/b", "postgres:localhost/b"]
        {
            let problems = parsed(&format!("database = \"{database}\"")).expect_err(database).to_string();
            assert!(problems.starts_with("bursar.toml:1: database: "), "{problems}");
            assert!(problems.contains("give `sqlite:PATH` or `postgres://"), "{problems}");
        }
        let server = "postgres://bursar@db.example/books";
        let config =
            parsed(&format!("database = \"{server}\"\n[queue]\nurl = \"redis://[::1]:6379\"")).expect("a server");
        assert_eq!((config.database.as_str(), config.queue.as_deref()), (server, Some("redis://[::1]:6379")));
        let refused = parsed("[queue]\nurl = \"amqp://localhost\"").expect_err("no Redis").to_string();
        assert!(refused.contains("queue.url: ") && refused.contains("the URL of a Redis"), "{refused}");
        for text in ["database = \"mysql://u:se/cret@h/d\"", "[queue]\nurl = \"rediss://:se/cret@h\""] {
            let refused = parsed(text).expect_err(text).to_string();
            assert!(!refused.contains("cret"), "{refused}");
        }
        let text = "database = \"postgres://u:secret@h/d\"\n[queue]\nurl = \"redis://:secret@h\"";
        let shown = format!("{:?}", parsed(text).expect("a configuration"));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn metrics_have_an_address_of_their_own_or_none() {
        let listens = |text: &str| parsed(text).map(|config| config.metrics_listen.map(|address| address.to_string()));
        assert_eq!(listens(""), Ok(None));
        assert_eq!(listens("metrics_listen = \"[::1]:9000\""), Ok(Some("[::1]:9000".to_owned())));
        for text in
            ["metrics_listen = \"127.0.0.1:8484\"", "metrics_listen = \"localhost:9000\"", "metrics_listen = 9000"]
        {
            let refused = parsed(text).expect_err(text).to_string();
            assert!(refused.starts_with("bursar.toml:1: metrics_listen: "), "{refused}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = r#"
database = "mysql://localhost/bursar"
listen = "localhost"
port = 80
[log]
format = "xml"
filter = "bursar=loud"
[billing]
grace_days = "7"
[prices]
files = "prices/vps.toml"
[hold]
growth_percent = -5
"#;
        let problems = parsed(text).expect_err("eight problems");
        let lines: Vec<Option<usize>> = problems.as_slice().iter().map(|problem| problem.place.line).collect();
        assert_eq!(lines, [2, 3, 4, 6, 7, 9, 11, 13].map(Some), "{problems}");
        let keys: Vec<&str> = problems.as_slice().iter().map(|problem| problem.place.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "database",
                "listen",
                "port",
                "log.format",
                "log.filter",
                "billing.grace_days",
                "prices.files",
                "hold.growth_percent"
            ]
        );
    }
}
