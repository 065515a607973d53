//! Who gives a command, for the books.

use std::env;
use std::fs;

use rustix::process::getuid;

const USERS: &str = "/etc/passwd";

/// As in `cli:ann`: the user whose process this is. Anybody can set the environment to anything: it is asked only where
/// root says through sudo for whom it works.
pub fn author() -> String {
    let uid = getuid();
    let sudo = if uid.is_root() { env::var("SUDO_USER").ok().filter(|user| !user.is_empty()) } else { None };
    let users = fs::read_to_string(USERS).unwrap_or_default();
    let named = || name_of(&users, uid.as_raw()).unwrap_or_else(|| format!("uid {}", uid.as_raw()));
    format!("cli:{}", sudo.unwrap_or_else(named))
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

    #[test]
    fn a_user_is_named_by_its_id() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# a comment\n:x:7::\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n";
        assert_eq!(name_of(users, 0).as_deref(), Some("root"));
        assert_eq!(name_of(users, 1000).as_deref(), Some("ann"));
        assert_eq!((name_of(users, 7), name_of(users, 100), name_of("", 0)), (None, None, None));
    }
}
