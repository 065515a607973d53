//! Who gives a command, for the books.

use std::env;
use std::fs;

use rustix::process::getuid;

const USERS: &str = "/etc/passwd";

/// Set by the kernel when somebody logs in. It survives sudo and runuser, and who is logged in cannot change it.
const LOGIN: &str = "/proc/self/loginuid";

/// Of who did not log in: a service, a timer, a container.
const NO_LOGIN: u32 = u32::MAX;

/// As in `cli:ann`: the user who logged in, or else the one whose process this is, and whom sudo says it works for.
pub fn author() -> String {
    let login = fs::read_to_string(LOGIN).ok().and_then(|text| text.trim().parse().ok());
    let users = fs::read_to_string(USERS).unwrap_or_default();
    named(login, getuid().as_raw(), env::var("SUDO_USER").ok().as_deref(), &users)
}

/// Anybody can set the environment to anything, so what it says is written as a claim, and only where no login says it.
fn named(login: Option<u32>, uid: u32, sudo_user: Option<&str>, users: &str) -> String {
    let name = |uid: u32| name_of(users, uid).unwrap_or_else(|| format!("uid {uid}"));
    if let Some(login) = login.filter(|login| *login != NO_LOGIN) {
        return format!("cli:{}", name(login));
    }
    let own = name(uid);
    match sudo_user.filter(|claimed| is_a_name(claimed) && *claimed != own) {
        Some(claimed) => format!("cli:{own} (says {claimed})"),
        None => format!("cli:{own}"),
    }
}

/// Nothing that could be read as more than a name.
fn is_a_name(text: &str) -> bool {
    let fits = |letter: char| letter.is_alphanumeric() || "._-@+$\\".contains(letter);
    (1..=256).contains(&text.len()) && text.chars().all(fits)
}

/// The name of a user in a file like `/etc/passwd`.
fn name_of(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut cells = line.split(':');
        let (name, _password, id) = (cells.next()?, cells.next()?, cells.next()?);
        (id.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\n# a comment\n:x:7::\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n";

    #[test]
    fn a_user_is_named_by_its_id() {
        assert_eq!(name_of(USERS, 0).as_deref(), Some("root"));
        assert_eq!(name_of(USERS, 1000).as_deref(), Some("ann"));
        assert_eq!((name_of(USERS, 7), name_of(USERS, 100), name_of("", 0)), (None, None, None));
    }

    #[test]
    fn an_author_is_who_logged_in_or_else_whose_process_it_is() {
        for (login, uid, sudo_user, author) in [
            // Through `sudo runuser -u bursar`, whatever the environment says.
            (Some(1000), 61184, Some("mallory"), "cli:ann"),
            (Some(1000), 0, Some("ann"), "cli:ann"),
            (Some(1001), 61184, None, "cli:uid 1001"),
            (Some(0), 61184, None, "cli:root"),
            // Nobody logged in.
            (Some(NO_LOGIN), 1000, None, "cli:ann"),
            (None, 61184, None, "cli:uid 61184"),
            (None, 61184, Some("ann"), "cli:uid 61184 (says ann)"),
            (Some(NO_LOGIN), 0, Some("ann"), "cli:root (says ann)"),
            (None, 0, Some("DOMAIN\\ann"), "cli:root (says DOMAIN\\ann)"),
            (None, 1000, Some("ann"), "cli:ann"),
            (None, 0, Some(""), "cli:root"),
            (None, 0, Some("ann) (says bob"), "cli:root"),
            (None, 0, Some("ann\nbob"), "cli:root"),
        ] {
            assert_eq!(named(login, uid, sudo_user, USERS), author, "{login:?} {uid} {sudo_user:?}");
        }
    }
}
