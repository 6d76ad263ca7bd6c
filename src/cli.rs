//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::role::Role;

/// A self-hosted pull-through CDN: DNS that names the nearest healthy edge, and edges that cache.
#[derive(Debug, Parser)]
#[command(name = "kingcdn", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) logs: LogOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole CDN on this machine: an origin with a video, three edges and DNS.
    Up(UpOptions),
    /// Run a name server.
    Dns(DnsOptions),
    /// Run an edge; or tell a name server to send it no new clients.
    Edge(EdgeOptions),
    /// Run the reference origin.
    Origin(NodeOptions),
    /// Check a configuration file: exit 0 when it is right, 2 with every error when it isn't.
    Check(CheckOptions),
    /// Show the whole CDN as a name server sees it: edges, where clients are sent, recent changes.
    Status(StatusOptions),
    /// Write the nodes as targets for Prometheus: JSON for `file_sd_configs` and `http_sd_configs`.
    PrometheusTargets(TargetsOptions),
    /// Explain an answer, step by step.
    #[command(subcommand)]
    Explain(ExplainCommand),
    /// Make a location database.
    #[command(subcommand)]
    Geo(GeoCommand),
    /// Find out what a cache would do with a trace.
    #[command(subcommand)]
    Simulate(SimulateCommand),
    /// Ask a node on this machine for its health: exit 0 when it is well, 1 when it isn't.
    Health(HealthOptions),
    /// Start this program with other arguments, say its process id and end: an upgrade's first step.
    #[command(hide = true)]
    StartSuccessor {
        /// The arguments.
        #[arg(last = true)]
        line: Vec<std::ffi::OsString>,
    },
}

/// Which logs are written, and how. They go to standard error.
#[derive(Debug, Args)]
pub(crate) struct LogOptions {
    /// What is logged: error, warn, info, debug or trace, also by module ("info,kingcdn_edge=debug").
    #[arg(long, global = true, value_name = "FILTER", env = "KINGCDN_LOG")]
    #[arg(default_value = "info", help_heading = "Logs")]
    pub(crate) log: String,
    /// How a line looks.
    #[arg(long, global = true, value_name = "FORMAT", env = "KINGCDN_LOG_FORMAT")]
    #[arg(value_enum, default_value_t = LogFormat::Text, help_heading = "Logs")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct UpOptions {
    /// Folder for the configuration, the sample site and the logs; kept afterwards.
    /// A temporary one when absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Time before a node that died is started again; grows while it keeps dying.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = kingcdn_config::units::duration)]
    pub(crate) restart_after: Duration,
}

/// Which configuration, and which of its nodes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Selection {
    /// The configuration file of the whole CDN.
    #[arg(long, value_name = "FILE", env = "KINGCDN_CONFIG")]
    pub(crate) config: PathBuf,
    /// Which `[[edge]]` of the file this is; needed when there are several.
    #[arg(long, value_name = "NAME", env = "KINGCDN_NODE")]
    pub(crate) node: Option<String>,
    /// Listen here instead of where the file says; several with commas.
    #[arg(long, value_name = "ADDRESS", env = "KINGCDN_LISTEN", value_delimiter = ',')]
    pub(crate) listen: Vec<String>,
    /// Answer /metrics, /healthz and /status here instead of where the file says.
    #[arg(long, value_name = "ADDRESS", env = "KINGCDN_ADMIN")]
    pub(crate) admin: Option<String>,
    /// Keep the disk tier of an edge's cache here instead of where the file says.
    #[arg(long, value_name = "DIR", env = "KINGCDN_CACHE_PATH")]
    pub(crate) cache_path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

/// How a node begins and ends.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// A Unix socket, for an upgrade that loses nothing: from the process that answers there, take
    /// its listeners, and let it end; then hand them there to the next one. SIGUSR2 starts it.
    #[arg(long, value_name = "PATH", env = "KINGCDN_HAND_OVER")]
    pub(crate) hand_over: Option<PathBuf>,
    /// Stop when standard input ends: `kingcdn up` holds the other end, so that no child outlives it.
    #[arg(long, hide = true)]
    pub(crate) until_stdin_ends: bool,
}

#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct EdgeOptions {
    #[command(subcommand)]
    pub(crate) wish: Option<WishCommand>,
    #[command(flatten)]
    pub(crate) selection: Option<Selection>,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WishCommand {
    /// Send no new clients to these edges, while others are up.
    Drain(WishOptions),
    /// Treat these edges as if their health checks failed.
    Down(WishOptions),
    /// Go by health checks and load again.
    Auto(WishOptions),
}

#[derive(Debug, Args)]
pub(crate) struct WishOptions {
    /// The edges, by name; `*` and `?` stand for any characters and for one ("eu-*").
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) server: NameServerOptions,
}

/// Which name server is asked. `edge drain` and its like tell every one that the file knows of.
#[derive(Debug, Args)]
pub(crate) struct NameServerOptions {
    /// The configuration file, whose `[dns]` says where to ask.
    #[arg(long, value_name = "FILE", env = "KINGCDN_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Ask the name server with this admin address; 127.0.0.1:9153 when nothing else is said.
    #[arg(long, value_name = "ADDRESS", env = "KINGCDN_ADMIN")]
    pub(crate) admin: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExplainCommand {
    /// Why DNS names an edge to a client: by the running name server's word, else by the file's.
    Dns(DnsQuestion),
}

#[derive(Debug, Args)]
pub(crate) struct DnsQuestion {
    /// The name that is asked for.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The client's address or network, as EDNS Client Subnet tells it, or the resolver's address.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) client: Option<String>,
    /// A or AAAA.
    #[arg(long = "type", value_name = "TYPE", default_value = "A")]
    pub(crate) rtype: String,
    #[command(flatten)]
    pub(crate) server: NameServerOptions,
    /// Don't ask a running name server: go by the file, as if every edge were up.
    #[arg(long)]
    pub(crate) offline: bool,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub(crate) format: StatusFormat,
}

#[derive(Debug, Args)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct DnsOptions {
    #[command(subcommand)]
    pub(crate) command: Option<DnsCommand>,
    #[command(flatten)]
    pub(crate) selection: Option<Selection>,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Make a zone's key, unless it has one, and print the DS records for its parent zone.
    Keys(KeysOptions),
}

#[derive(Debug, Args)]
pub(crate) struct KeysOptions {
    /// The configuration file of the whole CDN.
    #[arg(long, value_name = "FILE", env = "KINGCDN_CONFIG")]
    pub(crate) config: PathBuf,
    /// Make another key: both sign until one is removed.
    #[arg(long)]
    pub(crate) new: bool,
    /// The zone; the CDN's own when absent.
    #[arg(value_name = "ZONE")]
    pub(crate) zone: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// The configuration file.
    #[arg(value_name = "FILE", env = "KINGCDN_CONFIG")]
    pub(crate) file: PathBuf,
    /// As a node of this role reads it: only name servers need the files that it names.
    #[arg(long, value_enum)]
    pub(crate) role: Option<Role>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    /// The configuration file, whose `[dns]` says where to ask.
    #[arg(long, value_name = "FILE", env = "KINGCDN_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Ask the name server with this admin address; 127.0.0.1:9153 when nothing else is said.
    #[arg(long, value_name = "ADDRESS", env = "KINGCDN_ADMIN")]
    pub(crate) admin: Option<String>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = StatusFormat::Text)]
    pub(crate) format: StatusFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusFormat {
    /// For people.
    Text,
    /// The document as it is.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct TargetsOptions {
    /// The configuration file of the whole CDN.
    #[arg(long, value_name = "FILE", env = "KINGCDN_CONFIG")]
    pub(crate) config: PathBuf,
    /// Nodes of this role only.
    #[arg(long, value_enum)]
    pub(crate) role: Option<Role>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GeoCommand {
    /// Make one of two tables of ranges, or of a city database.
    Build(GeoOptions),
}

#[derive(Debug, Args)]
pub(crate) struct GeoOptions {
    /// Lines `first address,latitude,longitude` by address, also compressed (.zst). A range ends
    /// before the next line's address; without degrees it is nowhere.
    #[arg(long, value_name = "FILE", requires = "ipv6", required_unless_present = "mmdb")]
    pub(crate) ipv4: Option<PathBuf>,
    /// The same for IPv6.
    #[arg(long, value_name = "FILE", requires = "ipv4")]
    pub(crate) ipv6: Option<PathBuf>,
    /// A city database in MaxMind's format instead.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ipv4", "ipv6"])]
    pub(crate) mmdb: Option<PathBuf>,
    /// What it is and of when, as /status says: "DB-IP City Lite 2026-06".
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) edition: String,
    /// What its licence wants to be said.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) attribution: String,
    /// The database to write, for `geoip` in `[dns]`.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct HealthOptions {
    /// What the node does. Without it, the node is the one that process 1 is: a container's.
    #[arg(value_enum)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SimulateCommand {
    /// Replay requests through the policy that edges run: hit ratios, writes, evictions.
    Cache(SimulateCacheOptions),
}

#[derive(Debug, Args)]
pub(crate) struct SimulateCacheOptions {
    /// Requests: lines `time,key,size` below such a header, or an edge's access log in JSON;
    /// also compressed (.zst, .gz). A size is all that an object takes.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: PathBuf,
    /// Size of the memory tier: "512 MiB", or a number of bytes.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: u64,
    /// Size of the disk tier.
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = size)]
    pub(crate) disk: u64,
    /// What is evicted when the cache is full.
    #[arg(long, value_enum, default_value_t = SimulatedEviction::Lfu)]
    pub(crate) eviction: SimulatedEviction,
    /// Misses at twelve sizes, 0.5 % to 50 % of all objects' bytes, memory and disk in the given
    /// proportion.
    #[arg(long)]
    pub(crate) curve: bool,
    /// The curve as a picture.
    #[arg(long, value_name = "FILE", requires = "curve")]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SimulatedEviction {
    /// The least frequently used, with aging and history.
    Lfu,
    /// The least recently used.
    Lru,
}

/// A size with its unit, or bytes: sizes that are to be compared with others are often computed.
fn size(text: &str) -> Result<u64, kingcdn_config::units::SizeError> {
    text.trim().parse().or_else(|_| kingcdn_config::units::size(text))
}
