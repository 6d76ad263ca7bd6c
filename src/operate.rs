//! `kingcdn edge drain|down|auto` and `kingcdn explain`: what operators ask of a name server.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use kingcdn_config::{Dns, Files, units};
use kingcdn_dns::Explanation;

use crate::admin::OPERATOR;
use crate::cli::{DnsQuestion, ExplainCommand, NameServerOptions, StatusFormat, WishCommand};
use crate::failure::Failure;
use crate::{health, node};

/// The port of a name server's admin address.
const PORT: u16 = 9153;
/// A longer answer isn't ours.
const ANSWER_BYTES: u64 = 1 << 20;

/// A name server, by its name and where it is asked; without a name it is the only one asked.
struct Server {
    name: Option<String>,
    admin: SocketAddr,
}

/// Tells name servers what is wanted of edges: each has its own mind. One that can't be told keeps
/// none of the others from it.
pub(crate) fn wish(command: &WishCommand) -> Result<(), Failure> {
    let (word, options) = match command {
        WishCommand::Drain(options) => ("drain", options),
        WishCommand::Down(options) => ("down", options),
        WishCommand::Auto(options) => ("auto", options),
    };
    let mut paths = Vec::new();
    for name in &options.names {
        in_query(name)?;
        paths.push(format!("/edges/{word}?name={name}"));
    }
    let servers = servers(&options.server)?;
    let mut failed = Vec::new();
    for Server { name, admin } in &servers {
        let who = name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        for path in &paths {
            match health::post(*admin, path, OPERATOR.as_str(), ANSWER_BYTES) {
                Ok(answer) => {
                    say(&answer.lines().map(|line| format!("{who}{line}\n")).collect::<String>())?;
                }
                Err(error) => failed.push(format!("{who}{error:#}")),
            }
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(Failure::Running(anyhow::anyhow!("{}", failed.join("\nkingcdn: ")))),
    }
}

/// Whom to tell.
fn servers(options: &NameServerOptions) -> Result<Vec<Server>, Failure> {
    let (None, Some(file)) = (&options.admin, &options.config) else {
        return Ok(vec![Server { name: None, admin: admin(options)? }]);
    };
    let dns = dns(file)?;
    let admins = dns.admins();
    let known = admins.len().max(dns.nameservers.len());
    if known > admins.len() {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(
            io::stderr().lock(),
            "kingcdn: of {known} name servers {} told: say in the file where each is asked, with \
             `admin` in `[[dns.nameserver]]`",
            if admins.len() == 1 { "one is".to_owned() } else { format!("{} are", admins.len()) },
        );
    }
    let one = known == 1;
    let server =
        |(name, admin): (&str, SocketAddr)| Server { name: (!one).then(|| name.to_owned()), admin };
    Ok(admins.into_iter().map(server).collect())
}

/// Explains an answer: by the running name server's word where one answers, else from the
/// configuration.
pub(crate) fn explain(command: &ExplainCommand) -> Result<(), Failure> {
    let ExplainCommand::Dns(question) = command;
    let explanation = match asked(question) {
        Some(live) => live?,
        None => from_file(question)?,
    };
    say(&match question.format {
        StatusFormat::Text => explanation.to_string(),
        StatusFormat::Json => {
            let text = serde_json::to_string_pretty(&explanation);
            text.context("the explanation")? + "\n"
        }
    })
}

/// The running name server's word; none where there is no such server.
fn asked(question: &DnsQuestion) -> Option<Result<Explanation, Failure>> {
    if question.offline {
        return None;
    }
    let admin = match admin(&question.server) {
        Ok(admin) => admin,
        Err(failure) => return Some(Err(failure)),
    };
    let asked = || {
        in_query(&question.name)?;
        let mut path = format!("/explain?name={}&type={}", question.name, question.rtype);
        if let Some(client) = &question.client {
            in_query(client)?;
            path += &format!("&client={client}");
        }
        let document = health::get(admin, &path, ANSWER_BYTES)?;
        let read = serde_json::from_str(&document);
        Ok(read.with_context(|| format!("{admin} has another version"))?)
    };
    health::answers(admin).then(asked)
}

fn from_file(question: &DnsQuestion) -> Result<Explanation, Failure> {
    let Some(file) = &question.server.config else {
        let text = "no name server answers there, and there is no --config to explain from";
        return Err(Failure::Usage(text.to_owned()));
    };
    let config = node::read(file, Files::Checked)?;
    let client = question.client.as_deref();
    let explained = kingcdn_dns::explain(&config, &question.name, Some(&question.rtype), client);
    explained.map_err(|error| Failure::Usage(error.to_string()))
}

/// Where to ask.
fn admin(options: &NameServerOptions) -> Result<SocketAddr, Failure> {
    match (&options.admin, &options.config) {
        (Some(admin), _) => units::address(admin, PORT)
            .map_err(|error| Failure::Usage(format!("--admin {admin}: {error}"))),
        (None, Some(config)) => Ok(dns(config)?.admin),
        (None, None) => Ok(([127, 0, 0, 1], PORT).into()),
    }
}

/// The name servers of a file.
fn dns(config: &Path) -> Result<Dns, Failure> {
    let dns = node::read(config, Files::Unchecked)?.dns;
    dns.ok_or_else(|| Failure::Usage(format!("{}: there is no [dns]", config.display())))
}

/// Names, patterns and networks stand in a query as they are.
fn in_query(text: &str) -> Result<(), Failure> {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._*?:/".contains(&octet);
    if !text.is_empty() && text.bytes().all(plain) {
        return Ok(());
    }
    Err(Failure::Usage(format!("`{}` is no name and no network", text.escape_debug())))
}

fn say(text: &str) -> Result<(), Failure> {
    let said = io::stdout().lock().write_all(text.as_bytes());
    said.map_err(|error| Failure::Running(error.into()))
}
