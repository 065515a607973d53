//! PostgreSQL's own programs. Where the server is and with which password goes into their environment: arguments can be
//! read by every user of the machine.

use std::io::{self, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::{Result, StoreError};

const LOOK: Duration = Duration::from_millis(20);

/// A program that is here and not older than `needed`.
pub fn find(program: &'static str, needed: i32) -> Result<Command> {
    let told = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let told = match told {
        Ok(told) if told.status.success() => String::from_utf8_lossy(&told.stdout).into_owned(),
        Ok(_) => return Err(StoreError::NoProgram { program, needed }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::NoProgram { program, needed });
        }
        Err(error) => return Err(failed(program, error.to_string())),
    };
    match version(&told) {
        Some(found) if found < needed => Err(StoreError::ProgramTooOld { program, found, needed }),
        Some(_) => Ok(Command::new(program)),
        None => Err(failed(program, format!("it does not tell its version, but: {}", told.trim()))),
    }
}

/// Of `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(told: &str) -> Option<i32> {
    let (_, version) = told.split_once("(PostgreSQL) ")?;
    version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

pub fn failed(program: &'static str, said: impl Into<String>) -> StoreError {
    StoreError::Program { program, said: said.into() }
}

/// The same server, user and settings as these options say, for libpq.
pub fn connect(program: &'static str, command: &mut Command, options: &PgConnectOptions) -> Result<()> {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        // As URLs write an address of IPv6, and nobody else does.
        None => options.get_host().trim_matches(['[', ']']).to_owned(),
    };
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    let ssl_mode = match options.get_ssl_mode() {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    };
    command.env("PGHOST", host).env("PGPORT", options.get_port().to_string()).env("PGSSLMODE", ssl_mode);
    command.env("PGUSER", options.get_username()).env("PGDATABASE", database);
    command.env("PGCONNECT_TIMEOUT", "20").env_remove("PGSERVICE").env_remove("PGHOSTADDR");
    if let Some(options) = options.get_options() {
        command.env("PGOPTIONS", options);
    }
    // By the URL alone the rest is told; a name in it that fits no URL would be its end.
    let url = options.clone().username("-").host("-").to_url_lossy();
    if let Some(password) = url.password() {
        command.env("PGPASSWORD", decoded(password));
    }
    for (name, value) in url.query_pairs() {
        let variable = match name.as_ref() {
            "sslrootcert" => "PGSSLROOTCERT",
            "sslcert" => "PGSSLCERT",
            "sslkey" => "PGSSLKEY",
            _ => continue,
        };
        // Told as what it is, and else by the certificate's own text.
        let Some(path) = value.strip_prefix("file: ") else {
            return Err(failed(program, format!("it takes no certificate but from a file: name that as {name}")));
        };
        command.env(variable, path);
    }
    Ok(())
}

/// A text of a URL, in which `%2F` stands for a letter.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let hex = behind.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A program at work. It is ended when nobody waits for it any more.
pub struct Running {
    program: &'static str,
    pub child: Child,
    says: Option<JoinHandle<String>>,
}

impl Running {
    pub fn start(program: &'static str, command: &mut Command) -> Result<Self> {
        let started = command.stderr(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| failed(program, error.to_string()))?;
        let says = child.stderr.take().map(|said| thread::spawn(move || read(said)));
        Ok(Self { program, child, says })
    }

    /// Waits until it has done what it was to do.
    pub async fn done(mut self) -> Result<()> {
        let status = loop {
            match self.child.try_wait().map_err(|error| failed(self.program, error.to_string()))? {
                Some(status) => break status,
                None => tokio::time::sleep(LOOK).await,
            }
        };
        let said = self.says.take().and_then(|says| says.join().ok()).unwrap_or_default();
        match status.success() {
            true => Ok(()),
            false if said.contains("No space left on device") => Err(StoreError::DiskFull),
            false if said.trim().is_empty() => Err(failed(self.program, status.to_string())),
            false => Err(failed(self.program, reason(&said))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(mut said: ChildStderr) -> String {
    let mut text = Vec::new();
    // What was read until then is what there is.
    let _ = said.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The first line that tells what is wrong, without who says so.
pub fn reason(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().find(|line| line.contains("rror:") || line.contains("ERROR:")).or_else(|| lines().next());
    let line = line.unwrap_or_default();
    let said_so = ["error: ", "ERROR: "].into_iter().find_map(|word| line.split_once(word));
    said_so.map_or(line, |(_, reason)| reason.trim_start()).to_owned()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[test]
    fn versions_are_read() {
        for (told, found) in [
            ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("psql (PostgreSQL) 18beta1", Some(18)),
            ("pg_dump (PostgreSQL) 9.6.24", Some(9)),
            ("something else", None),
        ] {
            assert_eq!(version(told), found, "{told}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_in_a_line() {
        for (said, told) in [
            ("pg_dump: error: connection to server failed\npg_dump: detail: x\n", "connection to server failed"),
            ("psql:<stdin>:12: ERROR:  relation \"x\" exists\nLINE 1", "relation \"x\" exists"),
            ("\nKilled\n", "Killed"),
        ] {
            assert_eq!(reason(said), told);
        }
    }

    #[test]
    fn names_that_fit_no_url_are_told_as_they_are() {
        let told = |url: &str, name: &str| {
            let mut command = Command::new("pg_dump");
            connect("pg_dump", &mut command, &PgConnectOptions::from_str(url).expect("an address")).expect(url);
            let (_, value) = command.get_envs().find(|(of, _)| *of == name).expect(name);
            value.expect(name).to_str().expect("UTF-8").to_owned()
        };
        assert_eq!(told("postgres://h/d?user=a%40b%2Fc%3Ad", "PGUSER"), "a@b/c:d");
        assert_eq!(told("postgres://u@[::1]:5433/d", "PGHOST"), "::1");
        assert_eq!(told("postgres://u@h/d?hostaddr=::1", "PGHOST"), "::1");
        assert_eq!(told("postgres:///d?host=/run/postgresql&user=u", "PGHOST"), "/run/postgresql");
        assert_eq!(told("postgres:///a%20b?host=/run/postgresql&user=u", "PGDATABASE"), "a b");
    }

    #[test]
    fn a_server_is_told_by_the_environment_alone() {
        let url = "postgres://ann:s%26%2F%40%20%25x@db.example:5433/books?sslmode=verify-full&sslrootcert=/etc/ca.pem\
            &options=-c%20search_path%3Dbilling";
        let options = PgConnectOptions::from_str(url).expect("an address");
        let mut command = Command::new("pg_dump");
        connect("pg_dump", &mut command, &options).expect("told");
        assert_eq!(command.get_args().count(), 0);
        let told = |name: &str| {
            let (_, value) = command.get_envs().find(|(of, _)| *of == name).expect(name);
            value.expect(name).to_str().expect("UTF-8").to_owned()
        };
        for (name, value) in [
            ("PGHOST", "db.example"),
            ("PGPORT", "5433"),
            ("PGUSER", "ann"),
            ("PGDATABASE", "books"),
            ("PGPASSWORD", "s&/@ %x"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/etc/ca.pem"),
            ("PGOPTIONS", "-c search_path=billing"),
        ] {
            assert_eq!(told(name), value);
        }
        let inline = options.ssl_root_cert_from_pem(b"-----BEGIN CERTIFICATE-----".to_vec());
        let refused = connect("pg_dump", &mut command, &inline).expect_err("no file").to_string();
        assert!(refused.contains("name that as sslrootcert"), "{refused}");
    }
}
